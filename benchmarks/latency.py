"""How soon a job starts, and how soon there is a client."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import (
    Row,
    bench_fractal,
    bench_task,
    end_supervisor,
    finish,
    named_images,
    run_benchmark,
    say,
    scratch_folder,
    supervisor,
)
from fractal_jupyter import Fractal
from fractal_jupyter.store.store import STORE_VARIABLE

CLIENT = """
import time
start = time.perf_counter()
from fractal_jupyter import Fractal
Fractal()
print(time.perf_counter() - start)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--repetitions", type=int, default=7)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure jobs with and without a supervisor, and clients of old and new stores."""
    down, up = job_starts(options.repetitions)
    new, old = client_starts(options.repetitions)
    note = f"median of {options.repetitions}"
    worst = f"{note}, at most "
    return [
        Row(
            what="submit returned → unit started, supervisor up",
            ours=statistics.median(up),
            target="below",
            limit=0.3,
            note=f"{worst}{max(up):.3f} s",
        ),
        Row(
            what="submit returned → unit started, supervisor not up",
            ours=statistics.median(down),
            target="below",
            limit=1.5,
            note=f"{worst}{max(down):.3f} s",
        ),
        Row(
            what="import and Fractal(), existing store",
            ours=statistics.median(old),
            target="below",
            limit=0.5,
            note=f"{worst}{max(old):.3f} s, in a new process each",
        ),
        Row(
            what="import and Fractal(), new store",
            ours=statistics.median(new),
            target="below",
            limit=0.5,
            note=f"{worst}{max(new):.3f} s, in a new process each",
        ),
    ]


def job_starts(repetitions: int) -> tuple[list[float], list[float]]:
    """Seconds until a unit has started: without a supervisor, and with one."""
    down, up = [], []
    with bench_fractal() as fractal:
        for _ in range(repetitions):
            end_supervisor(fractal._store)
            down.append(job_start(fractal))
            up.append(job_start(fractal))
            say(f"unit started after {up[-1]:.3f} s, without a supervisor {down[-1]:.3f} s")
            if supervisor(fractal._store) is None:
                raise RuntimeError("the supervisor has ended too early")
    return down, up


def job_start(fractal: Fractal) -> float:
    """Seconds from `submit` having returned until the only unit of the job has started."""
    task = bench_task(fractal, "No-op", python=sys.executable)
    dataset = named_images(fractal, 1)
    job = fractal.submit(task, dataset)
    submitted = time.time()
    finish(job)
    (unit,) = job.units()
    if unit.started is None:
        raise RuntimeError("the unit has not started")
    return unit.started - submitted


def client_starts(repetitions: int) -> tuple[list[float], list[float]]:
    """Seconds that the first two lines of a notebook take: with a new store, and with an old."""
    new, old = [], []
    with scratch_folder() as folder:
        for number in range(repetitions):
            new.append(client_start(folder / str(number)))
            old.append(client_start(folder / str(number)))
            say(f"Fractal() took {old[-1]:.3f} s, with a new store {new[-1]:.3f} s")
    return new, old


def client_start(folder: Path) -> float:
    """Seconds for the import and `Fractal()` in a new process."""
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(folder)}
    environment.pop(STORE_VARIABLE, None)
    command = [sys.executable, "-c", CLIENT]
    result = subprocess.run(command, capture_output=True, check=True, env=environment)
    return float(result.stdout)


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

"""200 units that import ngio and do nothing, against a pool of processes that has imported it."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence

from benchmarks.common import (
    SIDE_BY_SIDE,
    Row,
    alternate,
    bench_fractal,
    bench_task,
    core_tasks,
    finish,
    fork_loop,
    named_images,
    peer,
    run_benchmark,
    scratch_folder,
    timed,
)
from fractal_jupyter.environment import job_environment

MODULES = "ngio,command_line,locale,shutil"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure both in the environment of fractal-tasks-core, imports included."""
    with bench_fractal() as fractal:
        python = str(core_tasks(fractal).python)
        task = bench_task(fractal, "Import ngio", python=python)

        def ours() -> float:
            dataset = named_images(fractal, options.units)
            return timed(lambda: finish(fractal.submit(task, dataset)))

        def against() -> float:
            command = [python, peer("pool.py"), str(options.units), str(SIDE_BY_SIDE)]
            return timed(lambda: subprocess.run(command, env=job_environment(), check=True))

        ours_seconds, against_seconds = alternate(ours, against, repetitions=options.repetitions)
        with scratch_folder() as folder:
            command = fork_loop(python, "import_ngio.py", MODULES, units=options.units)
            forks = timed(lambda: subprocess.run(command, cwd=folder, check=True))
    return [
        Row(
            what=f"{options.units} × import ngio, {SIDE_BY_SIDE} at a time; ProcessPoolExecutor",
            ours=ours_seconds,
            against=against_seconds,
            target="times",
            limit=1.5,
            note=f"median of {options.repetitions}; both with the first import; a bare loop that "
            f"forks a process for each, as noop_units has it, takes {forks:.1f} s",
        )
    ]


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

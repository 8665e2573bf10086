"""The worker alone, without supervisor and store: no-op units against a bare loop of forks.

Wall time says little while the machine does something else; processor time, of the worker and all
its children, says more.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common import (
    SIDE_BY_SIDE,
    TASKS,
    Row,
    peer,
    run_benchmark,
    say,
    scratch_folder,
    timed,
)
from benchmarks.noop_units import MODULES
from fractal_jupyter.environment import job_environment
from fractal_jupyter.worker.bundle import bundle
from fractal_jupyter.worker.records import decode_lines

Costs = tuple[float, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--units", type=int, default=5_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the units")


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Run both in turn; report medians of wall time and of processor time."""

    def ours() -> None:
        with scratch_folder() as folder:
            write_batch(folder, options.units, options.python)
            archive = folder / "worker.pyz"
            subprocess.run([options.python, "-I", "-S", archive, "run", folder], check=True)
            check(folder / "attempt-1", options.units)

    def against() -> None:
        with scratch_folder() as folder:
            command = [options.python, peer("fork_loop.py"), str(TASKS / "noop.py"), MODULES]
            command += [str(options.units), str(SIDE_BY_SIDE)]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    costs: list[tuple[Costs, Costs]] = []
    for _ in range(options.repetitions):
        costs.append((cost(ours), cost(against)))
        say(
            "worker {:.2f} s ({:.2f} s of CPU), loop {:.2f} s ({:.2f} s of CPU)".format(
                *costs[-1][0], *costs[-1][1]
            )
        )
    return [
        Row(
            what=f"{options.units:,} no-op units, {SIDE_BY_SIDE} at a time, worker alone; {what}",
            ours=statistics.median(own[kind] for own, _ in costs),
            against=statistics.median(other[kind] for _, other in costs),
            target="times",
            limit=1.3,
        )
        for kind, what in enumerate(("wall time", "processor time"))
    ]


def write_batch(folder: Path, units: int, python: str) -> None:
    """Write a batch and the worker's archive."""
    batch = {
        "version": 1,
        "label": "no-op units",
        "command": [python, str(TASKS / "noop.py")],
        "concurrency": SIDE_BY_SIDE,
        "cold": None,
        "preload": [],
        "env": job_environment(),
        "inherit": False,
        "cwd": None,
        "memory_limit": None,
        "memory_advice": "",
        "rerun_interrupted": False,
        "heartbeat_interval": 1.0,
        "log_limit": 1_000_000,
        "notify": None,
        "common_args": {},
        "units": [
            {"index": index, "args": {"zarr_url": f"/data/image-{index}.zarr"}}
            for index in range(units)
        ],
    }
    (folder / "batch.json").write_text(json.dumps(batch))
    (folder / "worker.pyz").write_bytes(bundle())


def check(attempt: Path, units: int) -> None:
    """See that every unit is done."""
    data = b"".join(path.read_bytes() for path in sorted(attempt.glob("results-*")))
    records, _ = decode_lines(data)
    done = sum(record.get("status") == "done" for record in records)
    if done != units:
        raise SystemExit(f"{done} of {units} units are done")


def cost(action: Callable[[], None]) -> Costs:
    """Wall time and processor time of an action that runs in child processes, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = timed(action)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

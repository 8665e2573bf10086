"""5,000 units that do nothing, against a bare loop that forks a warm process for each."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.common import (
    SIDE_BY_SIDE,
    Row,
    alternate,
    bench_fractal,
    bench_task,
    finish,
    fork_loop,
    named_images,
    run_benchmark,
    scratch_folder,
    timed,
)

# What the script imports, and what argparse loads when it is used.
MODULES = "command_line,locale,shutil"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--units", type=int, default=5_000)
    parser.add_argument("--repetitions", type=int, default=3)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure the whole path, from `submit` until the job is done and its images are merged."""
    with bench_fractal() as fractal, scratch_folder() as folder:
        task = bench_task(fractal, "No-op", python=sys.executable)

        def ours() -> float:
            dataset = named_images(fractal, options.units)
            return timed(lambda: finish(fractal.submit(task, dataset)))

        def against() -> float:
            command = fork_loop(sys.executable, "noop.py", MODULES, units=options.units)
            return timed(lambda: subprocess.run(command, cwd=folder, check=True))

        ours_seconds, against_seconds = alternate(ours, against, repetitions=options.repetitions)
    return [
        Row(
            what=f"{options.units:,} no-op units, {SIDE_BY_SIDE} at a time; bare loop of forks",
            ours=ours_seconds,
            against=against_seconds,
            target="times",
            limit=1.5,
            note=f"median of {options.repetitions}; ours from submit to done, "
            f"{ours_seconds / options.units * 1000:.2f} ms a unit, "
            f"the loop {against_seconds / options.units * 1000:.2f} ms",
        )
    ]


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

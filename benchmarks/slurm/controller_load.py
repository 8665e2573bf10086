"""How many commands are sent to SLURM's controller while 20 jobs wait in its queue."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.common import Row, bench_task, named_images, run_benchmark
from benchmarks.slurm.common import HOLD, cluster, counted_commands, slurm_fractal
from fractal_jupyter.client.jobs import Job
from tests.slurm.ways import RESOURCE

POLL_SECONDS = 5
COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "sinfo", "scancel")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Let jobs wait in the queue, and count."""
    with (
        counted_commands(*COMMANDS) as calls,
        slurm_fractal(poll_seconds=POLL_SECONDS) as fractal,
        cluster(),
    ):
        task = bench_task(fractal, "No-op", python=sys.executable, resource=RESOURCE)
        jobs = [
            fractal.submit(task, named_images(fractal, 10), meta=HOLD) for _ in range(options.jobs)
        ]
        while not all(map(waits, jobs)):
            time.sleep(0.1)
        before = Counter(calls.read_text().split())
        time.sleep(options.seconds)
        during = Counter(calls.read_text().split()) - before
        for job in jobs:
            job.cancel()
        with contextlib.redirect_stdout(None):
            for job in jobs:
                job.wait()
    counted = ", ".join(f"{count} × {name}" for name, count in during.items())
    return [
        Row(
            what=f"commands to the controller per poll interval, {options.jobs} jobs waiting",
            ours=during.total() * POLL_SECONDS / options.seconds,
            unit="commands",
            target="below",
            limit=2.01,
            note=f"{counted} in {options.seconds} s; jobs_poll_interval is {POLL_SECONDS} s",
        )
    ]


def waits(job: Job) -> bool:
    """Whether a job waits in SLURM's queue."""
    return bool(job.waiting_for) and all(b.handle for b in job._store.jobs.batches(job.id))


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

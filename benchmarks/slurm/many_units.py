"""10,000 units: until SLURM has accepted all of them, and the files that they leave."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import (
    Row,
    bench_task,
    end_supervisor,
    finish,
    named_images,
    run_benchmark,
    say,
)
from benchmarks.slurm.common import (
    BATCHES,
    HOLD,
    cluster,
    counted_commands,
    remote_fractal,
    slurm_fractal,
)
from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.slurm.ways import RESOURCE
from tests.sshd import why_no_sshd

MORE_BATCHES = 3 * BATCHES


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=3)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Submit as ourselves and through SSH; let a job run to its end, and look at its folder."""
    units, repetitions = options.units, options.repetitions
    with counted_commands("sbatch") as calls, slurm_fractal() as fractal, cluster():
        own = submissions(fractal, units, repetitions)
        asked = len(calls.read_text().splitlines()) / len(own)
    with cluster():
        files = {batches: files_left(units, batches) for batches in (BATCHES, MORE_BATCHES)}
    what = f"submit → all of {units:,} units accepted by SLURM"
    rows = [
        submission_row(what, own, limit=2),
        Row(
            what=f"sbatch commands for {units:,} units",
            ours=asked,
            unit="commands",
            target="below",
            limit=1.5,
        ),
        Row(
            what=f"files left by {units:,} units in {BATCHES} batches",
            ours=files[BATCHES],
            unit="files",
            target="below",
            limit=100,
            note="of the whole job, folders included; "
            f"{files[MORE_BATCHES]} in {MORE_BATCHES} batches",
        ),
    ]
    if why := why_no_sshd():
        say(f"not measured through SSH: {why}")
        return rows
    with remote_fractal() as fractal, cluster():
        rows.append(submission_row(f"{what}, SSH", submissions(fractal, units, repetitions), 3))
    return rows


def submission_row(what: str, seconds: Sequence[float], limit: float) -> Row:
    """A row of several submissions."""
    return Row(
        what=what,
        ours=statistics.median(seconds),
        target="below",
        limit=limit,
        note=f"median of {len(seconds)}, at most {max(seconds):.2f} s; "
        "each with a supervisor that has to start",
    )


def submissions(fractal: Fractal, units: int, repetitions: int) -> list[float]:
    """Seconds from `submit` until SLURM has given all units to a job; nothing runs meanwhile."""
    task = bench_task(fractal, "No-op", python=sys.executable, resource=RESOURCE)
    seconds = []
    for _ in range(repetitions):
        dataset = named_images(fractal, units)
        end_supervisor(fractal._store)
        start = time.perf_counter()
        job = fractal.submit(task, dataset, meta=HOLD)
        while not all_accepted(job):
            time.sleep(0.01)
        seconds.append(time.perf_counter() - start)
        say(f"accepted after {seconds[-1]:.2f} s")
        job.cancel()
        with contextlib.redirect_stdout(None):
            job.wait()
    return seconds


def all_accepted(job: Job) -> bool:
    """Whether each batch of a job is known to SLURM."""
    if job.error:
        raise RuntimeError(job.error)
    batches = job._store.jobs.batches(job.id)
    return bool(batches) and all(batch.handle for batch in batches)


def files_left(units: int, batches: int) -> int:
    """How many files and folders a job with so many batches leaves."""
    with slurm_fractal(batches=batches) as fractal:
        task = bench_task(fractal, "No-op", python=sys.executable, resource=RESOURCE)
        job = fractal.submit(task, named_images(fractal, units))
        finish(job)
    assert job.folder is not None
    count = sum(1 for _ in Path(job.folder).rglob("*"))
    say(f"{count} files and folders left by {batches} batches")
    return count


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

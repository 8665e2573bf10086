"""400 units that do nothing, in 4 batches, against submitit and against `sbatch` by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common import (
    TASKS,
    Row,
    alternate,
    bench_task,
    finish,
    named_images,
    run_benchmark,
    say,
    scratch_folder,
    timed,
)
from benchmarks.slurm.common import (
    BATCHES,
    Peer,
    cluster,
    sbatch_array,
    slurm_fractal,
    submitit_folder,
    submitit_map,
)
from fractal_jupyter import Fractal
from tests.slurm.ways import RESOURCE

TARGET = "noop:noop"
SCRIPT = str(TASKS / "noop.py")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--units", type=int, default=400)
    parser.add_argument("--repetitions", type=int, default=3, help="of what takes seconds only")
    parser.add_argument(
        "--sample",
        type=int,
        help="run so many units only where each is a job, and extrapolate; default: all",
    )


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure ours and the pool in turn; then once what has a job for each unit."""
    units = options.units
    sample = min(options.sample or units, units)
    submitit_folder()
    with slurm_fractal() as fractal:
        with cluster(), scratch_folder() as folder:
            ours, chunks = in_turn(fractal, units, options.repetitions, folder)
        each = one_by_one(submitit, sample, units)
        by_hand = one_by_one(sbatch, sample, units)
    what = f"{units} no-op units in {BATCHES} batches"
    extrapolated = f"; measured on {sample}, extrapolated" if sample < units else ""
    note = f"{ours / units * 1000:.0f} ms a unit from submit to done"
    return [
        Row(
            what=f"{what}; submitit, a job each",
            ours=ours,
            against=each,
            target="faster",
            limit=5,
            note=f"{note}, {each / units * 1000:.0f} ms with submitit{extrapolated}",
        ),
        Row(
            what=f"{what}; sbatch, a process each",
            ours=ours,
            against=by_hand,
            target="faster",
            limit=5,
            note=f"{by_hand / units * 1000:.0f} ms a unit with sbatch{extrapolated}",
        ),
        Row(
            what=f"{what}; submitit, {BATCHES} pools",
            ours=ours,
            against=chunks,
            target="times",
            limit=1.3,
            note=f"medians of {options.repetitions}; a pool has no process, log or state for "
            "each unit",
        ),
    ]


def in_turn(fractal: Fractal, units: int, repetitions: int, folder: Path) -> tuple[float, float]:
    """Medians of the seconds that ours and submitit's pools take."""
    task = bench_task(fractal, "No-op", python=sys.executable, resource=RESOURCE)

    def ours() -> float:
        dataset = named_images(fractal, units)
        return timed(lambda: finish(fractal.submit(task, dataset)))

    def chunks() -> float:
        pools = folder / "pools"
        return submitit_map(
            sys.executable, TARGET, urls(units), folder=pools, chunks=BATCHES
        ).seconds()

    return alternate(ours, chunks, repetitions=repetitions)


def one_by_one(run: Callable[[list[str], Path], Peer], sample: int, units: int) -> float:
    """Seconds with a job for each unit."""
    with cluster(), scratch_folder() as folder:
        peer = run(urls(sample), folder)
    say(f"{run.__name__}, a job each: {peer.seconds():.1f} s for {sample} units")
    return peer.seconds(units)


def submitit(images: list[str], folder: Path) -> Peer:
    """A submitit job for each unit."""
    return submitit_map(sys.executable, TARGET, images, folder=folder)


def sbatch(images: list[str], folder: Path) -> Peer:
    """An element of a job array for each unit, written by hand."""
    return sbatch_array(sys.executable, SCRIPT, images, folder=folder)


def urls(count: int) -> list[str]:
    """Images that exist by name only."""
    return [f"/data/image-{number}.zarr" for number in range(count)]


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

"""Project Image of fractal-tasks-core on 200 real images, against a SLURM job for each image."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import (
    Row,
    core_tasks,
    run_benchmark,
    say,
    scratch_folder,
)
from benchmarks.project_images import (
    TASK,
    check_projections,
    make_images,
    one_job,
    remove_projections,
)
from benchmarks.slurm.common import (
    UNIT_MB,
    Peer,
    cluster,
    sbatch_array,
    slurm_fractal,
    submitit_folder,
    submitit_map,
)
from fractal_jupyter.client.task_groups import TaskGroup

TARGET = "fractal_tasks_core.projection:projection"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument(
        "--sample",
        type=int,
        default=24,
        help="how many of them a job each is run for; the time is extrapolated",
    )
    parser.add_argument("--full", action="store_true", help="a job for each of all images")


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure ours, then what has a job for each image."""
    images = make_images(options.images)
    sample = images if options.full else images[: options.sample]
    submitit_folder()
    with slurm_fractal() as fractal:
        group = core_tasks(fractal)
        with cluster():
            ours = one_job(fractal, group, images, {"mem": UNIT_MB})
        peers = {
            "submitit, a job each": one_by_one(group, sample, by_hand=False),
            "sbatch, a process each": one_by_one(group, sample, by_hand=True),
        }
    remove_projections(images)
    sampled = "" if len(sample) == len(images) else f"; measured on {len(sample)}, extrapolated"
    return [
        Row(
            what=f"{len(images)} images, {TASK}; {name}",
            ours=ours,
            against=peer.seconds(len(images)),
            target="faster",
            limit=8,
            note=f"{ours / len(images) * 1000:.0f} ms an image from submit to done, "
            f"{peer.seconds(len(images)) / len(images):.2f} s against it{sampled}",
        )
        for name, peer in peers.items()
    ]


def one_by_one(group: TaskGroup, images: Sequence[Path], *, by_hand: bool) -> Peer:
    """Have a job for each image: `sbatch` by hand, or submitit."""
    remove_projections(images)
    python, names = str(group.python), [str(image) for image in images]
    (script,) = Path(group.folder).glob("**/fractal_tasks_core/projection.py")
    with cluster(), scratch_folder() as folder:
        if by_hand:
            peer = sbatch_array(python, str(script), names, folder=folder)
        else:
            peer = submitit_map(python, TARGET, names, folder=folder)
    check_projections(images)
    say(f"a job each: {peer.seconds():.1f} s for {len(images)} images")
    return peer


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

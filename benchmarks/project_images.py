"""Project Image of fractal-tasks-core on 200 real images, against a process for each image."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import (
    SIDE_BY_SIDE,
    Row,
    bench_folder,
    bench_fractal,
    core_tasks,
    finish,
    new_dataset,
    run_benchmark,
    say,
    scratch_folder,
    timed,
)
from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from fractal_jupyter.environment import job_environment
from fractal_jupyter.runner.submitting import thread_limits

TASK = "Project Image"
DIFFERENT_IMAGES = 8
PROJECTION = "_mip.zarr"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument(
        "--sample",
        type=int,
        default=20,
        help="how many of them a process each is started for; the time is extrapolated",
    )
    parser.add_argument(
        "--full", action="store_true", help="a process for each of all images: about ten minutes"
    )


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure half of the processes, then ours, then the other half of the processes."""
    with bench_fractal() as fractal, scratch_folder() as scratch:
        group = core_tasks(fractal)
        images = make_images(options.images)
        sample = images if options.full else images[: options.sample]
        half = len(sample) // 2
        against = one_process_each(group, sample[:half], scratch)
        ours = one_job(fractal, group, images)
        against += one_process_each(group, sample[half:], scratch)
        remove_projections(images)
    extrapolated = (
        ""
        if len(sample) == len(images)
        else f" measured on {len(sample)} images and extrapolated to {len(images)} (--full: all)"
    )
    against *= len(images) / len(sample)
    return [
        Row(
            what=f"{len(images)} images, {TASK}, {SIDE_BY_SIDE} at a time; xargs",
            ours=ours,
            against=against,
            target="faster",
            limit=10,
            note=f"ours from submit to done; {against / len(images):.2f} s an image with a "
            f"process each{extrapolated}, {ours / len(images) * 1000:.0f} ms with ours",
        )
    ]


def make_images(count: int) -> list[Path]:
    """OME-Zarr images of cells, 8 planes of 256 × 256 pixels in two channels; made once.

    Making one takes longer than projecting it: a few are made, the others are copies.
    """
    from fractal_jupyter.demo import data

    folder = bench_folder() / "images"
    made = folder / "made"
    if not made.exists():
        say(f"making {DIFFERENT_IMAGES} images")
        data.make_images(folder / "being-made", n=DIFFERENT_IMAGES)
        (folder / "being-made").rename(made)
    sources = sorted(made.iterdir())
    images = []
    for number in range(count):
        image = folder / f"image-{number:04d}.zarr"
        if not image.exists():
            copy = image.with_suffix(".copy")
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(sources[number % len(sources)], copy)
            copy.rename(image)
        images.append(image)
    return images


def projection_of(image: Path) -> Path:
    """Where the task writes."""
    return image.with_name(image.stem + PROJECTION)


def remove_projections(images: Sequence[Path]) -> None:
    """Remove what the task has written, so that it writes everything anew."""
    for image in images:
        shutil.rmtree(projection_of(image), ignore_errors=True)


def check_projections(images: Sequence[Path]) -> None:
    """Make sure that the work was done."""
    missing = [image for image in images if not projection_of(image).is_dir()]
    if missing:
        raise RuntimeError(f"{len(missing)} images were not projected, the first: {missing[0]}")


def one_job(
    fractal: Fractal,
    group: TaskGroup,
    images: Sequence[Path],
    meta: Mapping[str, Any] | None = None,
) -> float:
    """Seconds from submitting a job on the images until it is done."""
    remove_projections(images)
    task = fractal.tasks.get(TASK, version=group.version)
    dataset = new_dataset(
        fractal, images[0].parent, [str(image) for image in images], types={"is_3D": True}
    )
    seconds = timed(lambda: finish(fractal.submit(task, dataset, meta=meta)))
    check_projections(images)
    say(f"ours: {seconds:.1f} s for {len(images)} images")
    return seconds


def one_process_each(group: TaskGroup, images: Sequence[Path], scratch: Path) -> float:
    """Seconds that xargs takes for a command for each image."""
    remove_projections(images)
    options = []
    for image in images:
        args = scratch / f"{image.stem}.args.json"
        args.write_text(json.dumps({"zarr_url": str(image)}))
        options += ["--args-json", args, "--out-json", scratch / f"{image.stem}.out.json"]
    (script,) = Path(group.folder).glob("**/fractal_tasks_core/projection.py")
    command = ["xargs", "-n", "4", "-P", str(SIDE_BY_SIDE), str(group.python), str(script)]
    with (scratch / "log").open("wb") as log:
        seconds = timed(
            lambda: subprocess.run(
                command,
                input="\n".join(map(str, options)).encode(),
                stdout=log,
                stderr=log,
                env={**job_environment(), **thread_limits(1)},
                check=True,
            )
        )
    check_projections(images)
    say(f"a process each: {seconds:.1f} s for {len(images)} images")
    return seconds


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

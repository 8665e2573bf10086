"""Planning and merging 100,000 images, against 10,000: by the engine alone, and with the store."""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from benchmarks.common import Row, bench_task, run_benchmark, say, scratch_folder
from fractal_jupyter import Fractal
from fractal_jupyter.client.defaults import PROFILE_NAME
from fractal_jupyter.engine.filters import select_inputs
from fractal_jupyter.engine.merging import UnitOutput, merge
from fractal_jupyter.engine.planning import plan_parallel
from fractal_jupyter.models.bulk import collector_paused
from fractal_jupyter.models.images import Image, parse_task_output
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.models.workflow import parse_workflow
from fractal_jupyter.runner.backend import make_backend
from fractal_jupyter.runner.context import JobContext, Waker
from fractal_jupyter.runner.paths import JobPaths
from fractal_jupyter.runner.step import PARALLEL, StepRun
from fractal_jupyter.runner.submission import JobRequest, prepare
from fractal_jupyter.schedulers.processes import identity
from fractal_jupyter.store.records import JobRecord
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store

ZARR_DIR = "/data"
INPUT_TYPES, OUTPUT_TYPES = {"is_3D": True}, {"is_3D": False}
FEW, MANY = 10_000, 100_000
MOST_TIMES, MOST_SECONDS = 12, 3
MOST_SUBMIT_SECONDS = 1
Parts = tuple[float, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--repetitions", type=int, default=3)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Measure 10,000 and 100,000 in turn, by the engine and through the store."""
    return [
        *rows("by the engine alone", by_engine, options.repetitions),
        *rows("from store to store", by_runner, options.repetitions),
        submission_row(options.repetitions),
    ]


def rows(how: str, seconds: Callable[[int], Parts], repetitions: int) -> Sequence[Row]:
    """The rows of one way."""
    few, many = [], []
    seconds(MANY)  # gets the memory: how soon the system gives it is another question
    for _ in range(repetitions):
        few += [seconds(FEW) for _ in range(MANY // FEW // 2)]
        many.append(seconds(MANY))
        say(f"{how}: planned and merged {MANY:,} images in {many[-1][0]:.2f} + {many[-1][1]:.2f} s")
    plan, merging = (statistics.median(parts) for parts in zip(*many, strict=True))
    of_few = statistics.median(map(sum, few))
    of_many = statistics.median(map(sum, many))
    what = f"plan and merge {MANY:,} images {how}"
    note = f"medians of {len(many)} and {len(few)}; planning {plan:.2f} s, merging {merging:.2f} s"
    return [
        Row(
            what=f"{what}; {FEW:,} images",
            ours=of_many,
            against=of_few,
            target="times",
            limit=MOST_TIMES,
            note=note,
        ),
        Row(what=what, ours=of_many, target="below", limit=MOST_SECONDS),
    ]


def submission_row(repetitions: int) -> Row:
    """The row of what a submission does before it returns."""
    with scratch_folder() as folder:
        fractal = Fractal(f"sqlite:///{folder}/fractal.db")
        try:
            add_job(fractal, make_images(MANY))
            took = []
            for _ in range(repetitions):
                start = time.perf_counter()
                submit_again(fractal)
                took.append(time.perf_counter() - start)
        finally:
            fractal.close()
    return Row(
        what=f"submit with {MANY:,} images",
        ours=statistics.median(took),
        target="below",
        limit=MOST_SUBMIT_SECONDS,
        note="checked and stored; no supervisor is started",
    )


def timed_parts(plan: Callable[[], object], merging: Callable[[], object]) -> Parts:
    """Seconds of both parts, one after the other."""
    start = time.perf_counter()
    plan()
    planned = time.perf_counter()
    merging()
    return planned - start, time.perf_counter() - planned


def make_images(count: int) -> list[Image]:
    """Images of a large plate."""
    return [
        Image(
            f"{ZARR_DIR}/plate.zarr/{number // 10:05d}/{number % 10}",
            None,
            {"plate": "plate.zarr", "well": f"W{number // 10:05d}", "acquisition": 0},
            INPUT_TYPES,
        )
        for number in range(count)
    ]


def task_output(url: str) -> dict[str, Any]:
    """What a unit writes that makes one new image of each image."""
    return {"image_list_updates": [{"zarr_url": f"{url}_mip", "origin": url}]}


# by the engine alone


def by_engine(count: int) -> Parts:
    """Seconds for selecting and planning, and for reading outputs and merging."""
    images = make_images(count)
    outputs = [task_output(image.zarr_url) for image in images]

    def plan() -> None:
        selected = select_inputs(
            images,
            task_name="Project",
            task_type="parallel",
            type_filter=INPUT_TYPES,
            attribute_filters={"plate": ["plate.zarr"]},
        )
        if len(plan_parallel(selected, {"overwrite": True})) != count:
            raise RuntimeError("units are missing")

    @collector_paused()
    def merging() -> None:
        merged = merge(
            {image.zarr_url: image for image in images},
            [
                UnitOutput(number, image.zarr_url, parse_task_output(output))
                for number, (image, output) in enumerate(zip(images, outputs, strict=True))
            ],
            zarr_dir=ZARR_DIR,
            output_types=OUTPUT_TYPES,
            inputs=[image.zarr_url for image in images],
            task_type="parallel",
        )
        if len(merged.added) != count:
            raise RuntimeError("images are missing")

    return timed_parts(plan, merging)


# from store to store: what the supervisor does before the first and after the last unit


def by_runner(count: int) -> Parts:
    """Seconds for images to units in the store, and for results to images in the store."""
    with scratch_folder() as folder:
        fractal = Fractal(f"sqlite:///{folder}/fractal.db")
        try:
            return _by_runner(fractal, count)
        finally:
            fractal.close()


def _by_runner(fractal: Fractal, count: int) -> Parts:
    store = fractal._store
    job = add_job(fractal, make_images(count))
    lease = store.leases.take(job.owner, process=identity(), address=None)
    if lease is None:
        raise RuntimeError("somebody else drives this store")
    running = Running(store.database, lease)
    (step,) = store.jobs.steps(job.id)
    run = StepRun(job_context(job, running), step, {})
    entry = TaskEntry.model_validate(step.request["entry"])
    plan_seconds, _ = timed_parts(lambda: run.plan(entry, PARALLEL), lambda: None)
    pretend_to_run(store, running, job)
    _, merge_seconds = timed_parts(lambda: None, lambda: run.merge(entry, PARALLEL))
    if store.datasets.count_images(job.dataset_id) != 2 * count:
        raise RuntimeError("images are missing")
    return plan_seconds, merge_seconds


def add_job(fractal: Fractal, images: Sequence[Image]) -> JobRecord:
    """A job that nobody drives, on a new dataset."""
    bench_task(fractal, "No-op", python=sys.executable)
    fractal.datasets.create("plate", zarr_dir=ZARR_DIR).add_images(images)
    return submit_again(fractal)


def submit_again(fractal: Fractal) -> JobRecord:
    """Another job that nobody drives, on that dataset."""
    store = fractal._store
    request = JobRequest(
        name="plan",
        steps=parse_workflow("plan", [{"task": "No-op"}]).steps,
        dataset=store.datasets.get("plate"),
        profile=store.profiles.get(PROFILE_NAME),
        type_filters=INPUT_TYPES,
        attribute_filters={"plate": ["plate.zarr"]},
    )
    prepared = prepare(store, request)
    return store.jobs.add(prepared.job, prepared.steps)


def job_context(job: JobRecord, running: Running) -> JobContext:
    """What a supervisor has at hand when it drives the job."""
    return JobContext(
        job=job,
        running=running,
        backend=make_backend(
            parse_resource(job.request["resource"]), parse_profile(job.request["profile"])
        ),
        paths=JobPaths(PurePosixPath(job.folder or "")),
        waker=Waker(),
        notify=None,
        event=threading.Event(),
    )


def pretend_to_run(store: Store, running: Running, job: JobRecord) -> None:
    """Record a result for each unit, as if it had run."""
    (step,) = store.jobs.steps(job.id)
    units = store.jobs.units(job.id)
    running.record_results(
        step,
        changes={
            unit.index: {
                "status": "done",
                "started": 1.0,
                "ended": 2.0,
                "exit_code": 0,
                "peak_memory": 100_000_000,
                "cpu_seconds": 0.1,
                "log": {"attempt": 1, "segment": 0, "offset": 0, "length": 0, "dropped": 0},
                "output": task_output(unit.zarr_url or ""),
            }
            for unit in units
        },
        counters=Counter(done=len(units)),
        positions={},
    )


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)

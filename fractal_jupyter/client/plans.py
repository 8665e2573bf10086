"""What a submission would run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.client.listing import Shown
from fractal_jupyter.display.page import Page
from fractal_jupyter.display.words import counted
from fractal_jupyter.engine.filters import select_inputs, step_type_filter
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.runner.backend import Backend
from fractal_jupyter.runner.paths import JobPaths
from fractal_jupyter.runner.step import PARALLEL, PHASES, plan_first_phase, unit_command
from fractal_jupyter.runner.submission import JobRequest, prepare
from fractal_jupyter.schedulers.base import Submission
from fractal_jupyter.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlannedPhase:
    """One phase of a step.

    Attributes:
        name: `non_parallel` or `parallel`.
        command: The command line of a unit, without its files of arguments and output.
        args: The arguments that all units share.
        units: How many units; None where only the step before can tell.
        batches: How many units are in each batch; None where the number of units is not known.
        side_by_side: How many units of a batch run at the same time; None likewise.
        script: The script that would be submitted, without what travels in it; None where there
            is none, or where the number of units is not known.
    """

    name: str
    command: tuple[str, ...]
    args: dict[str, Any]
    units: int | None
    batches: tuple[int, ...] | None
    side_by_side: int | None
    script: str | None = None

    def __repr__(self) -> str:
        units = "" if self.units is None else f", {counted(self.units, 'unit')}"
        return f"<Planned phase {self.name}{units}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlannedStep:
    """One step: its task, the images that it would get, and its phases.

    Attributes:
        position: Position in the workflow.
        task: Name of the task.
        package: Package and version.
        type_filter: The types that its images must have.
        images: The URLs of its images; None where only the steps before can tell.
        phases: Its phases.
    """

    position: int
    task: str
    package: str
    type_filter: dict[str, bool]
    images: tuple[str, ...] | None
    phases: tuple[PlannedPhase, ...]

    def __repr__(self) -> str:
        images = "" if self.images is None else f", {counted(len(self.images), 'image')}"
        return f"<Planned step {self.position}: {self.task} of {self.package}{images}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan(Shown):
    """What a submission would run, step by step."""

    name: str
    dataset: str
    resource: str
    profile: str
    steps: tuple[PlannedStep, ...]

    def _page(self) -> Page:
        from fractal_jupyter.display.workflows import plan_page

        return plan_page(self)


def make_plan(store: Store, request: JobRequest) -> Plan:
    """Check a request as `submit` does, and say what it would run; runs nothing."""
    prepared = prepare(store, request)
    backend = prepared.backend
    running = dict(request.type_filters)
    steps = []
    for number, row in enumerate(prepared.steps):
        entry = TaskEntry.model_validate(row["request"]["entry"])
        steps.append(
            _planned_step(store, request, prepared.job, row, backend, running, first=not number)
        )
        running.update(entry.output_types)
    return Plan(
        name=request.name,
        dataset=request.dataset.name,
        resource=prepared.job["resource_name"],
        profile=request.profile.name,
        steps=tuple(steps),
    )


def _planned_step(
    store: Store,
    request: JobRequest,
    job: dict[str, Any],
    row: dict[str, Any],
    backend: Backend,
    running: dict[str, bool],
    *,
    first: bool,
) -> PlannedStep:
    asked = row["request"]
    entry = TaskEntry.model_validate(asked["entry"])
    type_filter = step_type_filter(
        running=running, input_types=entry.input_types, step_filters=asked["type_filters"]
    )
    images: tuple[str, ...] | None = () if entry.is_converter else None
    counts: list[int | None] = [None] * len(PHASES[entry.type])
    if first and not entry.is_converter:
        selected = select_inputs(
            store.datasets.images(request.dataset.id),
            task_name=entry.name,
            task_type=entry.type,
            type_filter=type_filter,
            attribute_filters=request.attribute_filters,
        )
        images = tuple(image.zarr_url for image in selected)
        counts[0] = len(plan_first_phase(entry, selected, asked, zarr_dir=request.dataset.zarr_dir))
    elif PHASES[entry.type][0] != PARALLEL:
        counts[0] = 1
    return PlannedStep(
        position=row["position"],
        task=row["task_name"],
        package=f"{row['package']} {row['version']}",
        type_filter=type_filter,
        images=images,
        phases=tuple(
            _planned_phase(entry, row, job, phase, count, backend)
            for phase, count in zip(PHASES[entry.type], counts, strict=True)
        ),
    )


def _planned_phase(
    entry: TaskEntry,
    row: dict[str, Any],
    job: dict[str, Any],
    phase: str,
    count: int | None,
    backend: Backend,
) -> PlannedPhase:
    asked = row["request"]
    layout = None
    script = None
    if count:
        layout = backend.lay_out(count, asked[f"meta_{phase}"], job["request"])
        paths = JobPaths(PurePosixPath(job["folder"]))
        first = paths.batch(row["position"], row["task_name"], phase, 0)
        script = backend.scheduler.preview(
            Submission(
                name=f"fractal-JOB-{row['position']}-TOKEN",
                folder=str(first.parent),
                batches={number: {} for number in range(len(layout.batches))},
                needs=layout.needs,
            )
        )
    return PlannedPhase(
        name=phase,
        command=unit_command(entry, asked, phase),
        args=asked[f"args_{phase}"],
        units=count,
        batches=None if layout is None else _sizes(layout.batches),
        side_by_side=None if layout is None else layout.side_by_side,
        script=script,
    )


def _sizes(batches: Sequence[range]) -> tuple[int, ...]:
    return tuple(len(batch) for batch in batches)

"""The JSON of things: a model for each, made of what the store and the Python API return.

Times are seconds since the epoch (UTC), sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from fractal_jupyter.client.plans import Plan, PlannedStep
from fractal_jupyter.client.workflows import TaskUpdate
from fractal_jupyter.display.pace import average, run_seconds
from fractal_jupyter.models.images import Image
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.runner.activities.cleaning import Cleanable
from fractal_jupyter.server.problems import FieldProblem
from fractal_jupyter.store.records import (
    ActivityRecord,
    JobRecord,
    ProfileRecord,
    ResourceRecord,
    StepRecord,
    TaskGroupRecord,
    TaskRecord,
)

JobStatus = Literal["submitted", "running", "done", "failed", "cancelled"]
StepStatus = Literal["pending", "running", "done", "failed", "cancelled"]
UnitStatus = Literal["pending", "running", "done", "failed", "cancelled", "interrupted"]
ActivityStatus = Literal["pending", "ongoing", "OK", "failed", "cancelled"]
ActivityAction = Literal[
    "collect",
    "collect_custom",
    "deactivate",
    "reactivate",
    "delete",
    "clean",
    "check",
    "scan",
]
Origin = Literal["pypi", "wheel", "editable", "pixi", "custom"]

Json = dict[str, Any]


class Answer(BaseModel):
    """What clients get."""

    model_config = ConfigDict(from_attributes=True, frozen=True, defer_build=True)


T = TypeVar("T", bound=Answer)


class Items(Answer, Generic[T]):
    """All there is."""

    items: list[T]


class Page(Answer, Generic[T]):
    """A part of a long list.

    Attributes:
        items: The items.
        total: How many there are in the whole list; null where counting would take long.
        next: Where the next page begins; null when this is the last one.
    """

    items: list[T]
    total: int | None
    next: int | None


class ServerDocument(Answer):
    """What a client has to know before anything else.

    `problems` are what of the administrator's files cannot be used, and why.
    """

    version: str
    user: str
    store: str
    profile_id: int | None
    page_size: int
    largest_page: int
    log_page_bytes: int
    problems: list[str]


class SchemasDocument(Answer):
    """JSON schemas of documents, by the type of resource that they are for.

    Attributes:
        meta: The schema of the `meta` of a step.
        begun: What a new resource may begin with: the interpreters of this machine, say.
    """

    resource: dict[str, Json]
    profile: dict[str, Json]
    meta: Json
    begun: dict[str, Json]


class ResourceDocument(Answer):
    """Where computing happens: `document` is what was added.

    `source` is the file of the administrator that it comes from, where it cannot be changed here.
    """

    id: int
    name: str
    type: Literal["local", "slurm_sudo", "slurm_ssh"]
    warm: bool
    document: Json
    source: str | None
    created: float

    @classmethod
    def of(cls, record: ResourceRecord) -> Self:
        """Make it of a resource."""
        return cls(
            id=record.id,
            name=record.name,
            type=record.document["type"],
            warm=record.warm,
            document=record.document,
            source=record.source,
            created=record.created,
        )


class ProfileDocument(Answer):
    """As whom computing happens; `source` is as with resources."""

    id: int
    name: str
    resource_id: int
    resource: str
    document: Json
    source: str | None
    created: float

    @classmethod
    def of(cls, record: ProfileRecord, resource: ResourceRecord) -> Self:
        """Make it of a profile and its resource."""
        return cls(
            id=record.id,
            name=record.name,
            resource_id=resource.id,
            resource=resource.name,
            document=record.document,
            source=record.source,
            created=record.created,
        )


class KeyDocument(Answer):
    """Where the key of a host that is trusted from now on was written to."""

    known_hosts: str


class CheckDocument(Answer):
    """One thing that was tried; `cure` says what to do when it does not work.

    `fingerprint` is that of the key of a host that nobody has vouched for yet, or empty.
    """

    subject: str
    ok: bool
    found: str
    cure: str
    fingerprint: str


class ActivityDocument(Answer):
    """Something that takes its time, such as collecting, checking, or scanning. It has a log.

    `result` is what came of it: the list of checks, or how many images were found and added.
    """

    id: int
    action: ActivityAction
    subject: str
    status: ActivityStatus
    cancel_requested: bool
    error: str | None
    task_group_id: int | None
    result: Any
    created: float
    ended: float | None

    @classmethod
    def of(cls, record: ActivityRecord) -> Self:
        """Make it of an activity."""
        return cls.model_validate(record)


class TaskGroupDocument(Answer):
    """One installed version of one task package.

    `active` is whether it has an environment, `own_bytes` what removing that would free. `python`
    is its interpreter, `source` the folder of one in editable mode.
    """

    id: int
    resource_id: int
    package: str
    version: str | None
    origin: Origin
    python_version: str
    python: str | None
    source: str | None
    folder: str
    freeze: list[str]
    size_bytes: int | None
    own_bytes: int | None
    active: bool
    created: float
    last_used: float | None
    tasks: list[str]

    @classmethod
    def of(cls, record: TaskGroupRecord, tasks: Sequence[TaskRecord]) -> Self:
        """Make it of a task group and its tasks."""
        fields = {
            name: getattr(record, name) for name in cls.model_fields.keys() - {"tasks", "source"}
        }
        source = record.request.get("source")
        return cls(**fields, source=source, tasks=[task.name for task in tasks])


class UnusedItem(Answer):
    """Something that nothing uses; `unknown` is what this store does not know, and never removes.

    `frees` is what removing it frees.
    """

    kind: Literal["task group", "leftover", "cache", "unknown"]
    what: str
    resource: str
    folder: str
    frees: int
    task_group_id: int | None


class UnusedDocument(Answer):
    """What nothing uses, and what environments would take in addition if they shared nothing.

    `problems` say which folders of environments cannot be looked at, and why.
    """

    items: list[UnusedItem]
    saved_bytes: int
    problems: list[str]

    @classmethod
    def of(cls, found: Sequence[Cleanable], problems: Sequence[str]) -> Self:
        """Make it of what was found."""
        return cls(
            items=[UnusedItem.model_validate(each) for one in found for each in one.unused],
            saved_bytes=sum(one.usage.saved_bytes for one in found),
            problems=list(problems),
        )


class PackageDocument(Answer):
    """A file that was kept for a collection, which names it by its `requirement`."""

    name: str
    sha256: str
    requirement: str


class TaskSummary(Answer):
    """A task, without its schemas."""

    id: int
    task_group_id: int
    resource_id: int
    package: str
    version: str | None
    name: str
    type: str
    category: str | None
    modality: str | None
    tags: list[str]
    input_types: dict[str, bool]
    output_types: dict[str, bool]

    @classmethod
    def of(cls, record: TaskRecord, group: TaskGroupRecord) -> Self:
        """Make it of a task and its task group."""
        return cls(**_task_fields(record, group))


class TaskVersion(Answer):
    """The same task in a task group of its package; `active` is whether it can be run."""

    task_id: int
    version: str | None
    resource_id: int
    python_version: str
    active: bool


class TaskDocument(TaskSummary):
    """A task with what its form is made from, and the versions of it, the newest first."""

    docs_info: str | None
    docs_link: str | None
    meta_non_parallel: Json | None
    meta_parallel: Json | None
    args_schema_non_parallel: Json | None
    args_schema_parallel: Json | None
    versions: list[TaskVersion]

    @classmethod
    def with_versions(
        cls,
        record: TaskRecord,
        group: TaskGroupRecord,
        versions: Sequence[tuple[TaskRecord, TaskGroupRecord]],
    ) -> Self:
        """Make it of a task and its task group, and of all of its package that have it."""
        own = cls.model_fields.keys() - TaskSummary.model_fields.keys() - {"versions"}
        said = {name: record.entry.get(name) for name in own}
        return cls(
            **_task_fields(record, group) | said,
            versions=[
                TaskVersion(
                    task_id=task.id,
                    version=other.version,
                    resource_id=other.resource_id,
                    python_version=other.python_version,
                    active=other.active,
                )
                for task, other in versions
            ],
        )


def _task_fields(record: TaskRecord, group: TaskGroupRecord) -> Json:
    entry = TaskEntry.model_validate(record.entry)
    return {
        "id": record.id,
        "task_group_id": group.id,
        "resource_id": group.resource_id,
        "package": group.package,
        "version": group.version,
        "name": record.name,
        "type": entry.type,
        "category": entry.category,
        "modality": entry.modality,
        "tags": list(entry.tags),
        "input_types": dict(entry.input_types),
        "output_types": dict(entry.output_types),
    }


class DatasetDocument(Answer):
    """A folder of images with its list."""

    id: int
    name: str
    zarr_dir: str
    project_dir: str
    created: float
    images: int


class ImageDocument(Answer):
    """One image of a dataset."""

    zarr_url: str
    origin: str | None
    attributes: dict[str, str | int | float | bool]
    types: dict[str, bool]

    @classmethod
    def of(cls, image: Image) -> Self:
        """Make it of an image."""
        return cls.model_construct(**image.to_document())


class CountDocument(Answer):
    """How many things were changed."""

    count: int


class WorkflowDocument(Answer):
    """An ordered list of steps, as they were given."""

    id: int
    name: str
    steps: list[Json]
    created: float


class ChangeDocument(Answer):
    """Something that a task does differently in another version."""

    what: str
    before: Any
    after: Any


class UpdateDocument(Answer):
    """What updating a step to another version of its task would mean.

    Attributes:
        before: The version that the step has; null where it does not say one.
        version: The version that it would have; `task_id` is the task in that version.
        step: The step as it would be.
        changes: What the task does differently.
        problems: What no longer fits; as long as there are any, nothing is changed.
    """

    position: int
    task: str
    task_id: int
    package: str
    before: str | None
    version: str
    step: Json
    changes: list[ChangeDocument]
    problems: list[FieldProblem]

    @classmethod
    def of(cls, update: TaskUpdate) -> Self:
        """Make it of an update."""
        same = ("position", "task", "task_id", "package", "before", "version", "step")
        return cls(
            **{name: getattr(update, name) for name in same},
            changes=[ChangeDocument.model_validate(change) for change in update.changes],
            problems=[FieldProblem.of(problem) for problem in update.problems],
        )


class RateDocument(Answer):
    """How fast the units of a step end, and how long the rest takes at this pace."""

    per_second: float
    seconds_left: float


class StepSummary(Answer):
    """How far a step of a job is; `position` is its place in the job, from 0.

    `pending` to `interrupted` count its units. `mode` says why units run warm or cold.
    """

    position: int
    task: str
    package: str
    version: str | None
    status: StepStatus
    error: str | None
    mode: str | None
    total: int
    pending: int
    running: int
    done: int
    failed: int
    cancelled: int
    interrupted: int
    started: float | None
    ended: float | None
    seconds: float | None
    rate: RateDocument | None

    @classmethod
    def of(cls, record: StepRecord, *, now: float) -> Self:
        """Make it of a step, as it is at a moment."""
        return cls(**_step_fields(record, now))


class StepDocument(StepSummary):
    """A step with what it was asked to do."""

    args_non_parallel: Json
    args_parallel: Json
    meta_non_parallel: Json
    meta_parallel: Json
    type_filters: dict[str, bool]
    warm: bool

    @classmethod
    def of(cls, record: StepRecord, *, now: float) -> Self:
        """Make it of a step, as it is at a moment."""
        own = cls.model_fields.keys() - StepSummary.model_fields.keys()
        return cls(**_step_fields(record, now), **{name: record.request[name] for name in own})


def _step_fields(record: StepRecord, now: float) -> Json:
    over = record.done + record.failed + record.cancelled + record.interrupted
    rate = average(record, now)
    same = ("position", "package", "version", "status", "error", "mode", "started", "ended")
    counts = ("total", "running", "done", "failed", "cancelled", "interrupted")
    return {
        **{name: getattr(record, name) for name in (*same, *counts)},
        "task": record.task_name,
        "pending": max(0, record.total - record.running - over),
        "seconds": run_seconds(record, now),
        "rate": None if rate is None else RateDocument.model_validate(rate),
    }


class UnitSummary(Answer):
    """One process of a step, without what may be large."""

    index: int
    step: int
    phase: Literal["non_parallel", "parallel"]
    zarr_url: str | None
    status: UnitStatus
    error: str | None
    problem: str | None
    exit_code: int | None
    signal: int | None
    started: float | None
    ended: float | None
    peak_memory: int | None
    cpu_seconds: float | None
    node: str | None


class TimelineDocument(Answer):
    """All units of a job in columns, in the order of their indexes: `status[i]` is of `index[i]`.

    Attributes:
        index: The number of a unit in its job.
        step: The position of its step.
        status: Its status, as a position in `statuses`.
        started: When it started, in seconds after `origin`; null if it has not.
        ended: When it ended, likewise.
        node: Where it ran, as a position in `nodes`; null where that is not known.
        statuses: The statuses that a unit may have.
        nodes: The names of the nodes.
        origin: When the first unit started; null if none has.
        now: The time of the server.
    """

    index: list[int]
    step: list[int]
    status: list[int]
    started: list[float | None]
    ended: list[float | None]
    node: list[int | None]
    statuses: list[UnitStatus]
    nodes: list[str]
    origin: float | None
    now: float


class UnitDocument(UnitSummary):
    """One process of a step, with the arguments that differ between units."""

    args: Json


class JobSummary(Answer):
    """One submission.

    `error` says why it failed, `waiting_for` why nothing of it runs yet, both in words.
    `seconds` is how long it has run, all its runs together; `cleaned` is when its files were
    removed.
    """

    id: int
    name: str
    status: JobStatus
    error: str | None
    waiting_for: str | None
    cancel_requested: bool
    dataset_id: int
    dataset: str
    resource: str
    profile: str
    created: float
    started: float | None
    ended: float | None
    seconds: float | None
    cleaned: float | None
    steps: list[StepSummary]

    @classmethod
    def of(cls, record: JobRecord, steps: Sequence[StepRecord], *, now: float) -> Self:
        """Make it of a job and its steps, as they are at a moment."""
        return cls(**job_fields(record, steps, now))


class JobsPage(Page[JobSummary]):
    """Some jobs, the newest first; `counts` says how many there are of each status."""

    counts: dict[str, int]


class JobDocument(JobSummary):
    """One submission with all that its view needs.

    Attributes:
        bad_units: The first few units that failed or were interrupted.
        code: The Python cell that would submit the same.
    """

    type_filters: dict[str, bool]
    attribute_filters: dict[str, list[str | int | float | bool]]
    bad_units: list[UnitSummary]
    code: str


def job_fields(record: JobRecord, steps: Sequence[StepRecord], now: float) -> Json:
    """What a `JobSummary` has."""
    same = ("id", "name", "status", "error", "waiting_for", "cancel_requested", "dataset_id")
    times = ("created", "started", "ended", "cleaned")
    return {
        **{name: getattr(record, name) for name in (*same, *times)},
        "dataset": record.dataset_name,
        "resource": record.resource_name,
        "profile": record.profile_name,
        "seconds": run_seconds(record, now),
        "steps": [StepSummary.of(step, now=now) for step in steps],
    }


class PlannedPhaseDocument(Answer):
    """One phase of a step that would run; null where only the step before can tell."""

    name: Literal["non_parallel", "parallel"]
    args: Json
    units: int | None
    batches: list[int] | None
    side_by_side: int | None
    script: str | None


class PlannedStepDocument(Answer):
    """One step that would run; `images` is how many it gets."""

    position: int
    task: str
    package: str
    type_filter: dict[str, bool]
    images: int | None
    phases: list[PlannedPhaseDocument]

    @classmethod
    def of(cls, step: PlannedStep) -> Self:
        """Make it of a step of a plan."""
        return cls(
            position=step.position,
            task=step.task,
            package=step.package,
            type_filter=step.type_filter,
            images=None if step.images is None else len(step.images),
            phases=[PlannedPhaseDocument.model_validate(phase) for phase in step.phases],
        )


class PlanDocument(Answer):
    """What a submission would run."""

    name: str
    dataset: str
    resource: str
    profile: str
    steps: list[PlannedStepDocument]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Make it of a plan."""
        return cls(
            name=plan.name,
            dataset=plan.dataset,
            resource=plan.resource,
            profile=plan.profile,
            steps=[PlannedStepDocument.of(step) for step in plan.steps],
        )

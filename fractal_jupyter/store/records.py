"""What the store returns: one frozen dataclass per table, with the columns as fields.

Times are seconds since the epoch (UTC); sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa

from fractal_jupyter.environments.lock import parse_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row of a table."""

    @classmethod
    def from_row(cls, row: sa.Row[Any]) -> Self:
        """Make the record of a row that has all columns of the table."""
        return cls(**row._mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRecord(Record):
    """Where computing happens. `warm` is whether units may be forked from a warm process.

    `source` is the file of the administrator that it comes from; None for what a user has added.
    """

    id: int
    name: str
    document: dict[str, Any]
    warm: bool
    source: str | None = None
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRecord(Record):
    """As whom computing happens. `source` is as with resources."""

    id: int
    name: str
    resource_id: int
    document: dict[str, Any]
    source: str | None = None
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroupRecord(Record):
    """One installed version of one task package."""

    id: int
    resource_id: int
    package: str
    version: str | None
    origin: str
    request: dict[str, Any]
    folder: str
    python_version: str
    python: str | None
    package_root: str | None
    lock: dict[str, Any] | None
    size_bytes: int | None
    own_bytes: int | None
    active: bool
    created: float
    last_used: float | None

    @property
    def freeze(self) -> tuple[str, ...]:
        """What its environment consists of, as exact requirements."""
        return () if self.lock is None else parse_lock(self.lock).freeze

    @property
    def place(self) -> str:
        """What only one activity may change at a time."""
        return place_of(self.resource_id, self.folder)


def place_of(resource_id: int, folder: str) -> str:
    """The name of a folder of a resource."""
    return f"{resource_id}:{folder}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRecord(Record):
    """Something done to a task group or the like, see `ACTIVITY_STATUSES`.

    `request` is what is to be done; `place` what nobody else may change meanwhile; `error_type`
    the name of the class of the error; `process` the identity of who does it; `result` what came
    of it, as JSON.
    """

    id: int
    task_group_id: int | None
    action: str
    subject: str
    request: dict[str, Any]
    place: str | None
    status: str
    cancel_requested: bool
    error: str | None
    error_type: str | None
    log: str
    process: dict[str, Any]
    result: Any
    created: float
    ended: float | None

    def __repr__(self) -> str:
        return f"<Activity {self.id}: {self.action} {self.subject}, {self.status}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord(Record):
    """One entry of the manifest of a task group."""

    id: int
    task_group_id: int
    position: int
    name: str
    entry: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord(Record):
    """A folder of OME-Zarr images, with its image list in the table of images.

    `revision` grows with every change of the list.
    """

    id: int
    name: str
    zarr_dir: str
    project_dir: str
    revision: int
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRecord(Record):
    """An ordered list of steps."""

    id: int
    name: str
    steps: list[dict[str, Any]]
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(Record):
    """One submission. `request` is what was asked for, frozen at submission.

    `started` and `ended` are those of the last run; runs before a retry took `seconds_before`.
    `cleaned` is when its folder was removed last.
    """

    id: int
    owner: str
    name: str
    status: str
    error: str | None
    waiting_for: str | None
    dataset_id: int
    dataset_name: str
    resource_name: str
    profile_name: str
    request: dict[str, Any]
    folder: str | None
    cancel_requested: bool
    created: float
    started: float | None
    ended: float | None
    seconds_before: float
    cleaned: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord(Record):
    """One step of a job; `request` is the task as it was at submission, with its arguments.

    `environment` is the digest of what it runs in; `Environments` has it.
    `started` and `ended` are those of the last run; runs before a retry took `seconds_before`.
    """

    job_id: int
    position: int
    task_name: str
    package: str
    version: str | None
    environment: str | None
    request: dict[str, Any]
    status: str
    error: str | None
    mode: str | None
    phases_planned: int
    type_filter: dict[str, bool] | None
    total: int
    running: int
    done: int
    failed: int
    cancelled: int
    interrupted: int
    started: float | None
    ended: float | None
    seconds_before: float

    def __repr__(self) -> str:
        counts = f", {self.done} of {self.total} units done" if self.total else ""
        return (
            f"<Step {self.position} of job {self.job_id}: {self.task_name}, {self.status}{counts}>"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRecord(Record):
    """One command-line process of a step. `args` are those that differ between units."""

    job_id: int
    index: int
    step: int
    phase: str
    batch_id: int | None
    zarr_url: str | None
    args: dict[str, Any]
    status: str
    error: str | None
    problem: str | None
    exit_code: int | None
    signal: int | None
    started: float | None
    ended: float | None
    peak_memory: int | None
    cpu_seconds: float | None
    node: str | None
    output: Any
    merged: bool
    log: dict[str, Any] | None

    def __repr__(self) -> str:
        error = f": {self.error}" if self.error else ""
        where = f", {self.zarr_url}" if self.zarr_url else ""
        return f"<Unit {self.index} of job {self.job_id}{where}, {self.status}{error}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord(Record):
    """Units that one worker runs: `planned` (intent only), `submitted` or `ended`.

    `number` counts the batches of a phase; those that are submitted together have one `name`.
    """

    id: int
    job_id: int
    step: int
    phase: str
    number: int
    name: str
    folder: str
    status: str
    handle: dict[str, Any] | None
    submissions: int
    fruitless: int
    positions: dict[str, list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord(Record):
    """Who drives the jobs of one user."""

    owner: str
    token: str
    epoch: int
    beat: int
    released: bool
    process: dict[str, Any]
    address: bytes | None

"""Jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from fractal_jupyter.display.pace import run_seconds
from fractal_jupyter.server.documents.answer import Answer, Json, Page
from fractal_jupyter.server.documents.steps import StepSummary
from fractal_jupyter.server.documents.units import UnitSummary
from fractal_jupyter.store.records import JobRecord, StepRecord

JobStatus = Literal["submitted", "running", "done", "failed", "cancelled"]


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

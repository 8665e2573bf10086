"""Steps of jobs."""

from __future__ import annotations

from typing import Literal, Self

from fractal_jupyter.display.pace import average, run_seconds
from fractal_jupyter.server.documents.answer import Answer, Json
from fractal_jupyter.store.records import StepRecord

StepStatus = Literal["pending", "running", "done", "failed", "cancelled"]


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

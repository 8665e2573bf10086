"""What takes its time, and what came of it."""

from __future__ import annotations

from typing import Any, Literal, Self

from fractal_jupyter.server.documents.answer import Answer
from fractal_jupyter.store.records import ActivityRecord

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


class CheckDocument(Answer):
    """One thing that was tried; `cure` says what to do when it does not work.

    `fingerprint` is that of the key of a host that nobody has vouched for yet, or empty. With
    `note` it was not tried, and this only says something about it.
    """

    subject: str
    ok: bool
    found: str
    cure: str
    fingerprint: str
    note: bool


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

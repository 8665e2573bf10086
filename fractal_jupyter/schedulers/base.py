"""What a scheduler does for the runner: submit, poll, cancel, and find again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

# What the store keeps to know a submitted batch again; its form is the scheduler's own business.
Handle = Mapping[str, Any]


class BatchState(StrEnum):
    """What the scheduler says of a batch. `UNKNOWN` is never a synonym of `ENDED`."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """The state of a batch, and the scheduler's reason for it in words, where it gives one."""

    state: BatchState
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One batch to start.

    Attributes:
        name: Unique name, recorded in the store before the batch is submitted.
        folder: The batch's folder, as the compute side sees it.
        argv: The command that runs the worker on that folder.
    """

    name: str
    folder: str
    argv: tuple[str, ...]


class Scheduler(Protocol):
    """Starts batches and says what became of them. Methods may be called from any thread."""

    def submit(self, submissions: Sequence[Submission]) -> list[Handle]:
        """Start batches; raises `SchedulerError` when none was accepted."""

    def poll(self, handles: Sequence[Handle]) -> list[BatchStatus]:
        """Say what has become of batches. Never raises because the scheduler does not answer."""

    def cancel(self, handles: Sequence[Handle], *, at_once: bool = False) -> None:
        """Ask for batches to end, or end them without asking; `poll` says when they have."""

    def find(self, submission: Submission) -> Handle | None:
        """Find a batch, not ended, whose submission was intended, and perhaps made, by another."""

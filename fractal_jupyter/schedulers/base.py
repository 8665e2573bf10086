"""What a scheduler does for the runner: submit, poll, cancel, and find again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

# What the store keeps to know a submitted batch again. Its form is the scheduler's own business,
# but for `output`: the path of what the worker itself has written, on the compute side.
Handle = Mapping[str, Any]


class BatchState(StrEnum):
    """What the scheduler says of a batch.

    `UNKNOWN` is never a synonym of `ENDED`: the scheduler does not answer, so nothing changes.
    `OUT_OF_SIGHT` says that it answers, and cannot know: only the worker's signs of life tell.
    """

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"
    OUT_OF_SIGHT = "out of sight"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What has become of a batch.

    Attributes:
        state: Its state.
        reason: The scheduler's reason for it, in words that complete "when …"; None without one.
        problem: A code for the reason why a batch has ended early, such as `out_of_memory`.
        before_start: What there is to say instead if its worker has recorded nothing.
        began: Whether its worker may have run, so that results of it may still be on their way.
        said: What it has written beside its results, where that was looked at.
    """

    state: BatchState
    reason: str | None = None
    problem: str | None = None
    before_start: BatchStatus | None = None
    began: bool = True
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Batches of one phase that are started together.

    Attributes:
        name: Unique for what is submitted together, and recorded before it is submitted.
        folder: The folder of the phase, as the compute side sees it; it is there.
        batches: By number, what the worker of each batch is to read.
        needs: What each batch asks the scheduler for, in a form of its own.
    """

    name: str
    folder: str
    batches: Mapping[int, Mapping[str, Any]]
    needs: Any = None


class Scheduler(Protocol):
    """Starts batches and says what became of them. Methods may be called from any thread."""

    def submit(self, submission: Submission) -> dict[int, Handle]:
        """Start batches.

        Returns:
            The handles of those that were started, by number. What is missing has to wait its
            turn: it is more than the scheduler takes at a time.

        Raises:
            SchedulerError: They are refused, and always would be.
            HostUnreachable: Whether they were started is not known; `find` tells.
        """

    def poll(self, handles: Sequence[Handle]) -> list[BatchStatus]:
        """Say what has become of batches. Never raises because the scheduler does not answer."""

    def explain(self, handle: Handle, status: BatchStatus, said: str | None) -> BatchStatus:
        """Say why a batch has ended, given what its worker has written beside its results.

        Args:
            handle: The batch.
            status: What `poll` has said of its end; or that it waits, of one that has run: then
                `problem` says why it waits again, if that is known.
            said: What is at the handle's `output`; None if there is nothing, or not yet.
        """

    def cancel(self, handles: Sequence[Handle], *, at_once: bool = False) -> None:
        """Ask for batches to end, or end them without asking; `poll` says when they have.

        Where a scheduler itself ends those that do not, both are the same.
        """

    def find(
        self, name: str, folder: str, batches: Mapping[int, Handle | None], *, intended: bool
    ) -> dict[int, Handle]:
        """Find batches that another supervisor may have started.

        Args:
            name: The name of their submission.
            folder: The folder of their phase.
            batches: Which of its batches, by number, and what is known of the last start of each:
                that it has ended, and what it was known by; None for what was never started.
            intended: Whether that supervisor may have died while it was submitting them, so that
                they may still be about to appear, or have ended already.

        Raises:
            HostUnreachable: The scheduler does not answer.
        """

    def tidy(self, names: Iterable[str]) -> None:
        """Remove what submissions of these names have left outside of the folders of their jobs.

        All their batches have ended, and none is started again.
        """

    def preview(self, submission: Submission) -> str | None:
        """The text that would be submitted; None where there is none."""


def batch_folder(folder: str, number: int) -> str:
    """The folder of a batch in that of its phase."""
    return f"{folder}/batch-{number:04d}"

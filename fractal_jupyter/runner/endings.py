"""What becomes of units that a worker left behind, and what their users are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from fractal_jupyter.errors import FileMissing
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.runner.batches import ACTIVE, LiveBatch, PhaseUnits
from fractal_jupyter.runner.files import exists
from fractal_jupyter.runner.units import CANCELLED, UnitChanges
from fractal_jupyter.schedulers.base import BatchStatus, Handle

# Ends of a batch that are the fault of what its units need: they have failed, and a retry would
# fail as well unless something is changed. After the others, units were interrupted.
FAULTS = frozenset({"out_of_memory", "time_limit"})
# Ends after which a batch is not started again: it would meet the same again, or somebody wants it
# gone.
FINAL = frozenset({"worker_could_not_start", "never_started", "cancelled_from_outside"})
# Of what a batch wrote beside its results, its users are told the end.
MOST_SAID = 1_000


@dataclass(frozen=True, slots=True)
class Endings:
    """Says what became of the units of batches whose worker has ended.

    Attributes:
        units: The units, and the batches that they are in.
    """

    units: PhaseUnits

    def is_there(self, live: LiveBatch) -> bool:
        """Whether the files of the batch are still there: users tidy up."""
        path = PurePosixPath(live.record.folder) / "batch.json" if live.begun else live.folder
        return exists(self.units.context.backend.host, path)

    def never_began(self, live: LiveBatch, status: BatchStatus) -> bool:
        """Whether its own output says that a batch which has ended never had a worker."""
        unsure = replace(status.before_start or status, began=True)
        return not self._explained(live, unsure).began

    def explain(self, live: LiveBatch, status: BatchStatus) -> tuple[str | None, str]:
        """Why a worker ended: as a code, and in words, with the end of what it wrote itself."""
        if not self.is_there(live):
            folder = live.record.folder
            return status.problem, f"the folder of its batch, {folder}, was removed"
        status = self._explained(live, status)
        why = status.reason or "its worker ended"
        if live.damaged:
            why += " (some of what it recorded, perhaps of this unit, is damaged)"
        end = f"; its output ends with: {status.said[-MOST_SAID:]}" if status.said else ""
        return status.problem, f"{why}{end}"

    def _explained(self, live: LiveBatch, status: BatchStatus) -> BatchStatus:
        """What is known of its end, given what it wrote itself."""
        backend = self.units.context.backend
        return backend.scheduler.explain(
            live.handle or {}, status, output_of(backend.host, live.handle)
        )

    def judge_cut(self, live: LiveBatch, problem: str | None, why: str) -> None:
        """Say why units were ended whose worker knew only that it was told to end.

        Where that is wanted, they are run again, unless it would end the same.
        """
        changes = self.units.changes()
        for index in live.cut:
            if self.units.statuses[index] != "interrupted":
                continue
            if self.units.reruns and problem not in FAULTS | FINAL:
                changes.set(index, "pending", error=None, problem=None, ended=None)
            elif problem not in (None, "unknown_end"):
                _cut_off(changes, index, problem, why)
        if changes.columns:
            self.units.record(changes)

    def write_off(
        self,
        live: LiveBatch,
        why: str,
        problem: str | None = None,
        *,
        cancelled: bool = False,
        statuses: Sequence[str] = ACTIVE,
    ) -> None:
        """Say what became of the units of a batch that nobody runs any more, and why."""
        changes = self.units.changes()
        for index, status in self.units.left(live).items():
            if status not in statuses:
                continue
            if cancelled:
                changes.set(index, "cancelled", error=CANCELLED)
            elif status == "running":
                _cut_off(changes, index, problem, why)
            else:
                changes.set(
                    index,
                    "failed",
                    problem=problem or "could_not_start",
                    error=f"It never started: {why.rstrip('.')}.",
                )
        if changes.columns:
            self.units.record(changes)


def output_of(host: Host, handle: Handle | None) -> str | None:
    """What a batch has written beside its results; None if there is nothing, or not yet."""
    try:
        content = host.read((handle or {})["output"])
    except (FileMissing, KeyError):
        return None
    return content.decode(errors="replace")


def _cut_off(changes: UnitChanges, index: int, problem: str | None, why: str) -> None:
    """Say of a unit that was running what ended it."""
    changes.set(
        index,
        "failed" if problem in FAULTS else "interrupted",
        problem=problem or "worker_gone",
        error=f"The unit was running when {why.rstrip('.')}. "
        "What it had done until then is not known.",
    )

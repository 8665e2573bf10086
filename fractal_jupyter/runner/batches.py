"""The units of a phase, and the batches that they are in: what is known of them at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.runner.context import JobContext
from fractal_jupyter.runner.results import ResultsFollower
from fractal_jupyter.runner.units import UnitChanges
from fractal_jupyter.schedulers.base import BatchState, BatchStatus, Handle
from fractal_jupyter.store.records import BatchRecord, StepRecord

# Units that have not ended.
ACTIVE = ("pending", "running")


@dataclass(slots=True)
class LiveBatch:
    """A batch that has not ended.

    Attributes:
        record: The batch as it was when we began to follow it.
        units: The indexes of its units.
        follower: Reads what its workers report.
        handle: What the scheduler knows it by; None until it was submitted, and again when it is
            to be submitted again.
        last: What the scheduler knew it by last.
        submissions: How often it was started.
        fruitless: How often in a row it was started and no unit ended.
        fruitful: Whether a unit has ended since it was started last.
        begun: Whether a worker has recorded anything since it was started last.
        finished: Whether its last worker has said that it ends.
        cut: Units that its last worker had to end, because it was told to end itself.
        damaged: Whether some of what its workers recorded cannot be read.
        told_to_end: When it was told to end (`time.monotonic()`).
        ended: When it was first seen to have ended (`time.monotonic()`).
        end: What the scheduler said of its end, which it may soon have forgotten.
        heartbeat: The last sign of life, and since when it has not changed.
    """

    record: BatchRecord
    units: frozenset[int]
    follower: ResultsFollower
    handle: Handle | None
    submissions: int
    fruitless: int
    last: Handle | None
    fruitful: bool = False
    begun: bool = False
    finished: bool = False
    cut: set[int] = field(default_factory=set)
    damaged: bool = False
    told_to_end: float | None = None
    ended: float | None = None
    end: BatchStatus | None = None
    heartbeat: tuple[bytes, float] | None = None

    @property
    def folder(self) -> PurePosixPath:
        """The folder of its phase."""
        return PurePosixPath(self.record.folder).parent

    def notice(self, record: Mapping[str, Any]) -> None:
        """Take into account what a record says of the worker itself."""
        match record.get("event"):
            case "attempt":
                self.begun, self.finished = True, False
                self.cut = set()
            case "finished":
                self.finished = True
            case "end" if record["status"] == "cancelled":
                self.cut.add(record["unit"])

    def started_as(self, handle: Handle) -> None:
        """Take into account that it was started (again)."""
        self.handle = self.last = handle
        self.begun = self.fruitful = self.finished = False
        self.ended = self.end = self.told_to_end = self.heartbeat = None
        self.submissions += 1

    def remember(self, status: BatchStatus) -> BatchStatus:
        """What is known of it, given what the scheduler says now."""
        if status.state is BatchState.OUT_OF_SIGHT and self.end is not None:
            return self.end
        if status.state is BatchState.ENDED:
            self.end = status
        elif status.state is not BatchState.UNKNOWN:
            self.end = self.ended = None
        return status


@dataclass(slots=True, kw_only=True)
class PhaseUnits:
    """The units of one phase of a step, as they are in the store.

    Attributes:
        context: The job.
        step: The step.
        phase: `non_parallel` or `parallel`.
        is_init: Whether this is the initialisation of a compound task.
        statuses: The status of each unit, by index.
        live: The batches that have not ended, by id.
    """

    context: JobContext
    step: StepRecord
    phase: str
    is_init: bool
    statuses: dict[int, str] = field(default_factory=dict)
    live: dict[int, LiveBatch] = field(default_factory=dict)

    def load(self) -> None:
        """Take up the units and the batches that have not ended."""
        job, step, running = self.context.job, self.step, self.context.running
        self.statuses = running.unit_statuses(job.id, step.position, self.phase)
        for record in running.open_batches(job.id, step.position, self.phase):
            self.follow(record, running.batch_units(record))

    def follow(self, record: BatchRecord, indexes: Sequence[int]) -> LiveBatch:
        """Begin to follow a batch of these units."""
        live = LiveBatch(
            record,
            frozenset(indexes),
            ResultsFollower(PurePosixPath(record.folder), dict(record.positions)),
            record.handle if record.status == "submitted" else None,
            record.submissions,
            record.fruitless,
            record.handle,
            begun=bool(record.positions),
        )
        self.live[record.id] = live
        return live

    def changes(self, *, cancelled: bool = False) -> UnitChanges:
        """Changes of the units to come, which `record` puts into the store."""
        return UnitChanges(self.statuses, self.is_init, cancelled)

    def record(
        self, changes: UnitChanges, positions: Mapping[int, Mapping[str, list[int]]] | None = None
    ) -> None:
        """Put changes into the store, and how far the results of batches were read."""
        self.context.running.record_results(
            self.step,
            changes=changes.columns,
            counters=changes.counters,
            positions=positions or {},
            mode=changes.mode,
        )

    def left(self, live: LiveBatch) -> dict[int, str]:
        """The units of a batch that have not ended."""
        return {i: self.statuses[i] for i in live.units if self.statuses[i] in ACTIVE}

    @property
    def reruns(self) -> bool:
        """Whether units that were cut off are run again without being asked for."""
        return bool(self.context.job.request.get("rerun_interrupted"))


def grouped(
    batches: Iterable[LiveBatch],
) -> dict[tuple[str, PurePosixPath], list[LiveBatch]]:
    """Batches by what they are submitted under: name and folder."""
    groups: dict[tuple[str, PurePosixPath], list[LiveBatch]] = defaultdict(list)
    for live in batches:
        groups[live.record.name, live.folder].append(live)
    return groups

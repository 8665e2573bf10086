"""One phase of a step: its units go into batches, and their results come back."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.errors import HostError, HostUnreachable, SchedulerError
from fractal_jupyter.runner.backend import Layout
from fractal_jupyter.runner.context import JobContext
from fractal_jupyter.runner.files import exists, read_if_there
from fractal_jupyter.runner.results import Report, ResultsFollower, read_results
from fractal_jupyter.runner.units import CANCELLED, UnitChanges
from fractal_jupyter.schedulers.base import BatchState, BatchStatus, Handle, Submission
from fractal_jupyter.store.records import BatchRecord, StepRecord

log = logging.getLogger(__name__)

# A worker that was started this often without one unit having ended is not started again.
MOST_FRUITLESS_STARTS = 3
# A worker that was told to end gives its units, and then the kernel, some 35 s in all.
CANCEL_PATIENCE_SECONDS = 45.0
# A worker that only its heartbeat tells of (once a second) is given up for dead after that long.
SILENCE_SECONDS = 30.0
# SLURM says of a job that it has ended for a moment before it says that it waits again.
REQUEUE_SECONDS = 4.0
# Batches that the scheduler did not take are offered again after that long, if none has ended.
TURN_SECONDS = 30.0
# Libraries that would otherwise start as many threads as there are processors, in every unit.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
ACTIVE = ("pending", "running")
# Ends of a batch that are the fault of what its units need: they have failed, and a retry would
# fail as well unless something is changed. After the others, units were interrupted.
FAULTS = frozenset({"out_of_memory", "time_limit"})
# Ends after which a batch is not started again: it would meet the same again, or somebody wants it
# gone.
FINAL = frozenset({"worker_could_not_start", "never_started", "cancelled_from_outside"})


@dataclass(slots=True)
class LiveBatch:
    """A batch that has not ended.

    Attributes:
        record: The batch as it was when we began to follow it.
        units: The indexes of its units.
        follower: Reads what its workers report.
        handle: What the scheduler knows it by; None until it was submitted.
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
class PhaseRun:
    """Runs the units of one phase that are pending, and follows those that run.

    Attributes:
        context: The job.
        step: The step.
        phase: `non_parallel` or `parallel`.
        is_init: Whether this is the initialisation of a compound task.
        command: The command line of a unit, without its files of arguments and output.
        common_args: The arguments that all units share.
        meta: The step's meta for this phase.
        warm: Whether units may be forked from a process that has done the imports.
        statuses: The status of each unit, by index.
        live: The batches that have not ended, by id.
        preload: Modules that units are known to load.
        turn: When batches that the scheduler did not take are offered again.
        waits: What the user was told last of why nothing runs.
    """

    context: JobContext
    step: StepRecord
    phase: str
    is_init: bool
    command: Sequence[str]
    common_args: Mapping[str, Any]
    meta: Mapping[str, Any]
    warm: bool
    statuses: dict[int, str] = field(default_factory=dict)
    live: dict[int, LiveBatch] = field(default_factory=dict)
    preload: list[str] = field(default_factory=list)
    turn: float = 0.0
    waits: str | None = None

    def run(self) -> dict[int, str]:
        """Run until no unit is active; return the status of each unit by index."""
        job, step = self.context.job, self.step
        running = self.context.running
        self.statuses = running.unit_statuses(job.id, step.position, self.phase)
        for record in running.open_batches(job.id, step.position, self.phase):
            self._follow(record, running.batch_units(record))
        if self.live:
            self._collect(list(self.live.values()), cancelled=self.context.cancelled())
            self._find_intended()
        self._submit_rest()
        self._round()
        while self.live:
            self.context.wait(self.context.backend.round_seconds)
            self._round()
        self._say(None)
        return self.statuses

    # submitting

    def _follow(self, record: BatchRecord, indexes: Sequence[int]) -> LiveBatch:
        live = LiveBatch(
            record,
            frozenset(indexes),
            ResultsFollower(PurePosixPath(record.folder), dict(record.positions)),
            record.handle,
            record.submissions,
            record.fruitless,
            begun=bool(record.positions),
        )
        self.live[record.id] = live
        return live

    def _find_intended(self) -> None:
        """Settle batches whose submission was intended when the last supervisor died."""
        intended = [live for live in self.live.values() if live.handle is None]
        self._submitted(self._find(intended, intended=True))
        lost = [live for live in intended if live.handle is None]
        # They may have run while they were looked for, and be forgotten.
        self._collect(lost, cancelled=self.context.cancelled())
        for live in lost:
            if self.context.cancelled():
                self._give_up(live, CANCELLED, cancelled=True)
            elif not self._left(live):
                self._end(live)
        self._start([live for live in lost if live.record.id in self.live])

    def _find(self, batches: Iterable[LiveBatch], *, intended: bool) -> dict[int, Handle]:
        """Ask the scheduler for batches that somebody else may have started; handles by id."""
        found: dict[int, Handle] = {}
        for (name, folder), group in _grouped(batches).items():
            numbers = {live.record.number: live.record.id for live in group}
            handles = self.context.backend.scheduler.find(
                name, str(folder), numbers, intended=intended
            )
            found |= {numbers[number]: handle for number, handle in handles.items()}
        return found

    def _submit_rest(self) -> None:
        """Put pending units that are in no batch into new ones."""
        batched = frozenset[int]().union(*(live.units for live in self.live.values()))
        rest = [i for i, s in self.statuses.items() if s == "pending" and i not in batched]
        if not rest or self.context.cancelled():
            return
        context, step = self.context, self.step
        first = context.running.count_batches(context.job.id, step.position, self.phase)
        layout = context.backend.lay_out(len(rest), self.meta, context.job.request)
        records = context.running.add_batches(
            step,
            self.phase,
            name=f"fractal-{context.job.id}-{step.position}-{secrets.token_hex(4)}",
            planned=[
                (
                    number,
                    str(context.paths.batch(step.position, step.task_name, self.phase, number)),
                    [rest[position] for position in positions],
                )
                for number, positions in enumerate(layout.batches, first)
            ],
        )
        self._start(
            [
                self._follow(record, [rest[position] for position in positions])
                for record, positions in zip(records, layout.batches, strict=True)
            ]
        )

    def _start(self, batches: Sequence[LiveBatch]) -> None:
        """Start batches; the units of those that cannot be started fail, and say why."""
        for group in _grouped(batches).values():
            try:
                self._submit(group)
            except HostUnreachable:
                raise  # they may have been started: tried again later, not given up
            except (HostError, SchedulerError) as error:
                for live in group:
                    self._give_up(live, str(error), cancelled=False)

    def _submit(self, batches: Sequence[LiveBatch]) -> None:
        """Submit batches of one name; those that have to wait their turn keep no handle."""
        backend = self.context.backend
        # Whoever was stopped for a while must not start what another supervisor has started.
        self.context.running.check()
        for folder in (self.context.paths.folder, batches[0].folder):
            backend.host.mkdir(str(folder))
        accepted = backend.scheduler.submit(self._submission(batches))
        handles = {
            live.record.id: accepted[live.record.number]
            for live in batches
            if live.record.number in accepted
        }
        self._submitted(handles)
        for live in batches:
            if live.record.id not in handles:
                live.handle = None
                self.turn = time.monotonic() + TURN_SECONDS

    def _submission(self, batches: Sequence[LiveBatch]) -> Submission:
        context = self.context
        args = context.running.unit_args(context.job.id, self.step.position, self.phase)
        # Never again what has ended, nor what was cut off, unless that is wanted.
        wanted = ACTIVE if self._reruns else ("pending",)
        indexes = {
            live.record.number: sorted(
                i for i, status in self._left(live).items() if status in wanted
            )
            for live in batches
        }
        count = max(1, sum(map(len, indexes.values())))
        layout = context.backend.lay_out(count, self.meta, context.job.request)
        common = self._common_document(layout)
        return Submission(
            name=batches[0].record.name,
            folder=str(batches[0].folder),
            needs=layout.needs,
            batches={
                number: {
                    **common,
                    "label": f"job {context.job.id}, step {self.step.position} "
                    f"({self.step.task_name}), batch {number}",
                    "concurrency": max(1, min(layout.side_by_side, len(units))),
                    "units": [{"index": i, "args": args[i]} for i in units],
                }
                for number, units in indexes.items()
            },
        )

    def _common_document(self, layout: Layout) -> dict[str, Any]:
        request = self.context.job.request
        return {
            "version": 1,
            "command": list(self.command),
            "warm": self.warm,
            "preload": self.preload,
            "env": {**thread_limits(layout.cpus_per_unit), **request["environment"]},
            "inherit": self.context.backend.inherits,
            "cwd": None,
            "memory_limit": request.get("memory_limit"),
            "memory_advice": layout.memory_advice,
            "rerun_interrupted": self._reruns,
            "heartbeat_interval": 1.0,
            "log_limit": 10_000_000,
            "notify": self.context.notify if self.context.backend.notifies else None,
            "common_args": self.common_args,
        }

    @property
    def _reruns(self) -> bool:
        """Whether units that were cut off are run again without being asked for."""
        return bool(self.context.job.request.get("rerun_interrupted"))

    def _submitted(self, handles: Mapping[int, Mapping[str, Any]]) -> None:
        changes = {}
        for key, handle in handles.items():
            live = self.live[key]
            live.handle = handle
            live.begun = live.fruitful = live.finished = False
            live.ended = live.end = live.told_to_end = live.heartbeat = None
            live.submissions += 1
            changes[key] = {
                "status": "submitted",
                "handle": dict(handle),
                "submissions": live.submissions,
                "fruitless": live.fruitless,
            }
        if changes:
            self.context.running.update_batches(changes)
            self.context.news()

    # following

    def _round(self) -> None:
        """Read what is new; settle batches whose worker has ended; cancel if that is wanted."""
        batches = [live for live in self.live.values() if live.handle is not None]
        # First ask, then read: what a worker wrote before it ended is then surely read.
        polled = self.context.backend.scheduler.poll([live.handle or {} for live in batches])
        # Asked before reading: who finds units that were cancelled knows that the job was.
        cancelled = self.context.cancelled()
        self._collect(batches, cancelled=cancelled)
        for live, answer in zip(batches, polled, strict=True):
            status = live.remember(answer)
            if live.finished and not live.cut and not self._left(live):
                self._settle(live, BatchStatus(BatchState.ENDED), cancelled=cancelled)
            elif status.state is BatchState.ENDED:
                if cancelled or self._is_complete(live):
                    said = status if live.begun else status.before_start or status
                    self._settle(live, said, cancelled=cancelled)
            elif self._is_gone(live, status):
                why = f"there was no sign of life from its worker any more ({status.reason})"
                self._settle(live, BatchStatus(BatchState.ENDED, why), cancelled=cancelled)
            elif cancelled and status.state is not BatchState.UNKNOWN:
                # Who does not answer is told when it does: it would only keep us waiting.
                self._tell_to_end(live, status)
        self._give_turns(cancelled=cancelled)
        self._say_what_waits(polled)

    def _give_turns(self, *, cancelled: bool) -> None:
        """Offer the scheduler again what it did not take: when something ended, or in a while."""
        waiting = [live for live in self.live.values() if live.handle is None]
        if cancelled:
            for live in waiting:
                self._give_up(live, CANCELLED, cancelled=True)
        elif waiting and time.monotonic() >= self.turn:
            self._start(waiting)

    def _say_what_waits(self, polled: Sequence[BatchStatus]) -> None:
        """Tell the user why nothing runs, as long as nothing does."""
        waiting = sum(live.handle is None for live in self.live.values())
        pending = [status for status in polled if status.state is BatchState.PENDING]
        silent = [status for status in polled if status.state is BatchState.UNKNOWN]
        why = None
        if silent:
            why = silent[0].reason
        elif pending and len(pending) == len(polled):
            reasons = Counter(status.reason for status in pending if status.reason)
            why = "; ".join(reason for reason, _ in reasons.most_common(2)) or None
        elif waiting and not polled:
            why = "the scheduler takes no more of your jobs at the moment"
        self._say(why)

    def _say(self, why: str | None) -> None:
        if why != self.waits:
            self.waits = why
            self.context.running.set_waiting(self.context.job.id, why)

    def _is_complete(self, live: LiveBatch) -> bool:
        """Whether all that the workers of an ended batch wrote can be taken to have been read.

        What was written on another machine may appear here later than the news that it has ended.
        And a batch whose worker was told to end may be about to be queued again.
        """
        late = self.context.backend.late_results_seconds
        settled = live.finished or not self._left(live)
        if settled and not live.cut:
            return True
        if live.ended is None:
            live.ended = time.monotonic()
        return time.monotonic() - live.ended >= (min(REQUEUE_SECONDS, late) if settled else late)

    def _tell_to_end(self, live: LiveBatch, status: BatchStatus) -> None:
        """Tell a worker to end; kill one that does not; do it by a claim where we cannot reach."""
        now = time.monotonic()
        scheduler = self.context.backend.scheduler
        if live.told_to_end is None:
            live.told_to_end = now
            self.context.running.check()
            scheduler.cancel([live.handle or {}])
            if status.state is BatchState.OUT_OF_SIGHT:
                live.follower.supersede(self.context.backend.host)
        elif now - live.told_to_end > CANCEL_PATIENCE_SECONDS:
            live.told_to_end = now
            scheduler.cancel([live.handle or {}], at_once=True)

    def _is_gone(self, live: LiveBatch, status: BatchStatus) -> bool:
        """Whether a worker that the scheduler knows nothing of gives no sign of life."""
        if status.state is not BatchState.OUT_OF_SIGHT:
            live.heartbeat = None
            return False
        heartbeat = live.follower.heartbeat(self.context.backend.host)
        if live.heartbeat is None or live.heartbeat[0] != heartbeat:
            live.heartbeat = heartbeat, time.monotonic()
        return time.monotonic() - live.heartbeat[1] > SILENCE_SECONDS

    def _collect(self, batches: Sequence[LiveBatch], *, cancelled: bool) -> None:
        changes = UnitChanges(self.statuses, self.is_init, cancelled)
        positions = {}
        by_folder = {live.follower.folder: live for live in batches}
        followers = [live.follower for live in batches]
        for follower, reports in read_results(self.context.backend.host, followers):
            live = by_folder[follower.folder]
            self._apply(live, changes, reports)
            positions[live.record.id] = follower.positions
        self.preload.extend(changes.learned)
        if positions:
            self._record(changes, positions)
            self.context.news()

    @staticmethod
    def _apply(live: LiveBatch, changes: UnitChanges, reports: Iterable[Report]) -> None:
        ended, damaged = changes.ended, changes.damaged
        for attempt, record in reports:
            changes.apply(attempt, record)
            live.notice(record)
        live.fruitful = live.fruitful or changes.ended > ended
        if changes.damaged > damaged:
            live.damaged = True
            log.warning("%s has damaged records in %s", live.record.name, live.record.folder)

    def _record(
        self, changes: UnitChanges, positions: Mapping[int, Mapping[str, list[int]]] | None = None
    ) -> None:
        self.context.running.record_results(
            self.step,
            changes=changes.columns,
            counters=changes.counters,
            positions=positions or {},
            mode=changes.mode,
        )

    def _settle(self, live: LiveBatch, status: BatchStatus, *, cancelled: bool) -> None:
        """Decide what becomes of the units that a worker left behind."""
        if not cancelled and self._left(live) and self._follow_another(live):
            return
        # Other batches have their turn now.
        self.turn = time.monotonic()
        live.fruitless = 0 if live.fruitful else live.fruitless + 1
        why = self._why(live, status.reason)
        if not cancelled:
            self._judge_cut(live, status.problem, why)
        again = live.fruitless < MOST_FRUITLESS_STARTS and status.problem not in FINAL
        if not cancelled and again and self._is_there(live):
            cut_off = "running" in self._left(live).values()
            if not self._reruns:
                self._write_off(live, why, status.problem, statuses=("running",))
            if self._left(live) or cut_off:
                # Even if nothing is left to run: the next worker ends what units that were cut
                # off have started themselves.
                self._start([live])
                return
        self._give_up(live, why, status.problem, cancelled=cancelled)

    def _follow_another(self, live: LiveBatch) -> bool:
        """Follow the worker that a supervisor started which died before it could say so."""
        found = self._find([live], intended=False)
        self._submitted(found)
        return bool(found)

    def _judge_cut(self, live: LiveBatch, problem: str | None, why: str) -> None:
        """Say why units were ended whose worker knew only that it was told to end.

        If the scheduler does not know either, they are run again where that is wanted.
        """
        changes = UnitChanges(self.statuses, self.is_init)
        for index in live.cut:
            if self.statuses[index] != "interrupted":
                continue
            if problem not in (None, "unknown_end"):
                self._cut_off(changes, index, problem, why)
            elif self._reruns:
                changes.set(index, "pending", error=None, problem=None, ended=None)
        if changes.columns:
            self._record(changes)

    def _left(self, live: LiveBatch) -> dict[int, str]:
        """The units of a batch that have not ended."""
        return {i: self.statuses[i] for i in live.units if self.statuses[i] in ACTIVE}

    def _give_up(
        self, live: LiveBatch, why: str, problem: str | None = None, *, cancelled: bool
    ) -> None:
        """End a batch that is not started again."""
        self._write_off(live, why, problem, cancelled=cancelled)
        self._end(live)

    def _write_off(
        self,
        live: LiveBatch,
        why: str,
        problem: str | None = None,
        *,
        cancelled: bool = False,
        statuses: Sequence[str] = ACTIVE,
    ) -> None:
        """Say what became of the units of a batch that nobody runs any more, and why."""
        changes = UnitChanges(self.statuses, self.is_init)
        for index, status in self._left(live).items():
            if status not in statuses:
                continue
            if cancelled:
                changes.set(index, "cancelled", error=CANCELLED)
            elif status == "running":
                self._cut_off(changes, index, problem, why)
            else:
                changes.set(
                    index,
                    "failed",
                    problem=problem or "could_not_start",
                    error=f"It never started: {why.rstrip('.')}.",
                )
        if changes.columns:
            self._record(changes)

    @staticmethod
    def _cut_off(changes: UnitChanges, index: int, problem: str | None, why: str) -> None:
        """Say of a unit that was running what ended it."""
        changes.set(
            index,
            "failed" if problem in FAULTS else "interrupted",
            problem=problem or "worker_gone",
            error=f"The unit was running when {why.rstrip('.')}. "
            "What it had done until then is not known.",
        )

    def _end(self, live: LiveBatch) -> None:
        self.context.running.update_batches(
            {live.record.id: {"status": "ended", "fruitless": live.fruitless}}
        )
        del self.live[live.record.id]

    def _is_there(self, live: LiveBatch) -> bool:
        """Whether the files of the batch are still there: users tidy up."""
        path = PurePosixPath(live.record.folder) / "batch.json" if live.begun else live.folder
        return exists(self.context.backend.host, path)

    def _why(self, live: LiveBatch, reason: str | None) -> str:
        """Why a worker ended, in words, with the end of what it said itself."""
        if not self._is_there(live):
            return f"the folder of its batch, {live.record.folder}, was removed"
        why = reason or "its worker ended"
        if live.damaged:
            why += " (some of what it recorded, perhaps of this unit, is damaged)"
        path = PurePosixPath((live.handle or {})["output"])
        said = read_if_there(self.context.backend.host, path).decode(errors="replace").strip()
        return f"{why}; the worker said: {said[-1_000:]}" if said else why


def _grouped(
    batches: Iterable[LiveBatch],
) -> dict[tuple[str, PurePosixPath], list[LiveBatch]]:
    """Batches by what they are submitted under."""
    groups: dict[tuple[str, PurePosixPath], list[LiveBatch]] = defaultdict(list)
    for live in batches:
        groups[live.record.name, live.folder].append(live)
    return groups


def thread_limits(cpus: int) -> dict[str, str]:
    """Variables that make numerical libraries keep to the processors that a unit asked for."""
    return dict.fromkeys(THREAD_VARIABLES, str(cpus))

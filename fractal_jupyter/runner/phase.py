"""One phase of a step: its units go into batches, and their results come back."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.errors import HostError, HostUnreachable, SchedulerError
from fractal_jupyter.runner.context import JobContext
from fractal_jupyter.runner.files import exists, read_if_there
from fractal_jupyter.runner.paths import worker_archive
from fractal_jupyter.runner.results import ResultsFollower
from fractal_jupyter.runner.units import CANCELLED, UnitChanges
from fractal_jupyter.schedulers.base import BatchState, BatchStatus, Submission
from fractal_jupyter.schedulers.direct import WORKER_LOG
from fractal_jupyter.store.records import BatchRecord, StepRecord
from fractal_jupyter.worker.bundle import bundle, bundle_digest

log = logging.getLogger(__name__)

# A worker that was started this often without one unit having ended is not started again.
MOST_FRUITLESS_STARTS = 3
# A worker that was told to end gives its units, and then the kernel, some 35 s in all.
CANCEL_PATIENCE_SECONDS = 45.0
# A worker that only its heartbeat tells of (once a second) is given up for dead after that long.
SILENCE_SECONDS = 30.0
# Libraries that would otherwise start as many threads as there are processors, in every unit.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
ACTIVE = ("pending", "running")
BATCH_FILE = "batch.json"


@dataclass(slots=True)
class LiveBatch:
    """A batch that has not ended.

    Attributes:
        record: The batch as it was when we began to follow it.
        units: The indexes of its units.
        follower: Reads what its workers report.
        handle: What the scheduler knows it by.
        submissions: How often it was started.
        fruitless: How often in a row it was started and no unit ended.
        fruitful: Whether a unit has ended since it was started last.
        damaged: Whether some of what its workers recorded cannot be read.
        told_to_end: When it was told to end (`time.monotonic()`).
        heartbeat: The last sign of life, and since when it has not changed.
    """

    record: BatchRecord
    units: frozenset[int]
    follower: ResultsFollower
    handle: Mapping[str, Any] | None
    submissions: int
    fruitless: int
    fruitful: bool = False
    damaged: bool = False
    told_to_end: float | None = None
    heartbeat: tuple[bytes, float] | None = None


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

    def run(self) -> dict[int, str]:
        """Run until no unit is active; return the status of each unit by index."""
        job, step = self.context.job, self.step
        running = self.context.running
        self.statuses = running.unit_statuses(job.id, step.position, self.phase)
        for record in running.open_batches(job.id, step.position, self.phase):
            self._follow(record, running.batch_units(record))
        self._find_intended()
        self._submit_rest()
        self._round()
        while self.live:
            self.context.wait(self.context.backend.poll_seconds)
            self._round()
        return self.statuses

    # submitting

    def _follow(self, record: BatchRecord, indexes: Sequence[int]) -> LiveBatch:
        follower = ResultsFollower(
            self.context.backend.host, PurePosixPath(record.folder), dict(record.positions)
        )
        live = LiveBatch(
            record,
            frozenset(indexes),
            follower,
            record.handle,
            record.submissions,
            record.fruitless,
        )
        self.live[record.id] = live
        return live

    def _find_intended(self) -> None:
        """Settle batches whose submission was intended when the last supervisor died."""
        for live in list(self.live.values()):
            if live.record.status != "planned":
                continue
            found = self.context.backend.scheduler.find(self._submission(live))
            if found is not None:
                self._submitted({live.record.id: found})
            elif self.context.cancelled():
                self._give_up(live, CANCELLED, cancelled=True)
            else:
                self._start([live])

    def _submit_rest(self) -> None:
        """Put pending units that are in no batch into new ones."""
        batched = frozenset[int]().union(*(live.units for live in self.live.values()))
        rest = [i for i, s in self.statuses.items() if s == "pending" and i not in batched]
        if not rest or self.context.cancelled():
            return
        context, step = self.context, self.step
        number = context.running.count_batches(context.job.id, step.position, self.phase)
        layout = context.backend.lay_out(len(rest), self.meta)
        named = [
            (
                f"fractal-{context.job.id}-{step.position}-{number + k}-{secrets.token_hex(4)}",
                str(context.paths.batch(step.position, step.task_name, self.phase, number + k)),
                [rest[position] for position in positions],
            )
            for k, positions in enumerate(layout.batches)
        ]
        records = context.running.add_batches(step, self.phase, named)
        new = [
            self._follow(record, indexes)
            for record, (_, _, indexes) in zip(records, named, strict=True)
        ]
        self._start(new)

    def _start(self, batches: Sequence[LiveBatch]) -> None:
        """Start batches; the units of those that cannot be started fail, and say why."""
        try:
            self._write_batches(batches)
            self._submit(batches)
        except HostUnreachable:
            raise  # they may have been started: tried again later, not given up
        except (HostError, SchedulerError) as error:
            for live in batches:
                self._give_up(live, str(error), cancelled=False)

    def _write_batches(self, batches: Sequence[LiveBatch]) -> None:
        context = self.context
        context.running.check()
        args = context.running.unit_args(context.job.id, self.step.position, self.phase)
        files: dict[str, bytes] = {}
        for live in batches:
            context.backend.host.mkdir(live.record.folder)
            # Never again what has ended, nor what was cut off, unless that is wanted.
            wanted = ACTIVE if self._reruns else ("pending",)
            indexes = sorted(i for i, status in self._left(live).items() if status in wanted)
            document = {
                **self._batch_document(len(indexes), live.record.name),
                "units": [{"index": i, "args": args[i]} for i in indexes],
            }
            files[f"{live.record.folder}/{BATCH_FILE}"] = json.dumps(document).encode()
        archive = self._worker()
        if not exists(context.backend.host, archive):
            context.backend.host.mkdir(str(archive.parent))
            files[str(archive)] = bundle()
        context.backend.host.write_many(files)

    def _batch_document(self, count: int, name: str) -> dict[str, Any]:
        request = self.context.job.request
        layout = self.context.backend.lay_out(count, self.meta)
        return {
            "version": 1,
            "label": f"job {self.context.job.id}, step {self.step.position} "
            f"({self.step.task_name}), {name}",
            "command": list(self.command),
            "concurrency": layout.side_by_side,
            "warm": self.warm,
            "preload": self.preload,
            "env": {**thread_limits(self.meta), **request["environment"]},
            "cwd": None,
            "memory_limit": request.get("memory_limit"),
            "rerun_interrupted": self._reruns,
            "heartbeat_interval": 1.0,
            "log_limit": 10_000_000,
            "notify": self.context.notify,
            "common_args": self.common_args,
        }

    @property
    def _reruns(self) -> bool:
        """Whether units that were cut off are run again without being asked for."""
        return bool(self.context.job.request.get("rerun_interrupted"))

    def _worker(self) -> PurePosixPath:
        return worker_archive(self.context.backend.jobs_dir, bundle_digest())

    def _submission(self, live: LiveBatch) -> Submission:
        return Submission(
            name=live.record.name,
            folder=live.record.folder,
            argv=(
                *(self.context.backend.worker_python, "-I", "-S"),
                *(str(self._worker()), "run", live.record.folder),
            ),
        )

    def _submit(self, batches: Sequence[LiveBatch]) -> None:
        # Whoever was stopped for a while must not start what another supervisor has started.
        self.context.running.check()
        handles = self.context.backend.scheduler.submit([self._submission(b) for b in batches])
        self._submitted(dict(zip((b.record.id for b in batches), handles, strict=True)))

    def _submitted(self, handles: Mapping[int, Mapping[str, Any]]) -> None:
        changes = {}
        for key, handle in handles.items():
            live = self.live[key]
            live.handle, live.fruitful = handle, False
            live.submissions += 1
            changes[key] = {
                "status": "submitted",
                "handle": dict(handle),
                "submissions": live.submissions,
                "fruitless": live.fruitless,
            }
        self.context.running.update_batches(changes)

    # following

    def _round(self) -> None:
        """Read what is new; settle batches whose worker has ended; cancel if that is wanted."""
        batches = list(self.live.values())
        # First ask, then read: what a worker wrote before it ended is then surely read.
        polled = self.context.backend.scheduler.poll([live.handle or {} for live in batches])
        # Asked before reading: who finds units that were cancelled knows that the job was.
        cancelled = self.context.cancelled()
        self._collect(batches, cancelled=cancelled)
        for live, status in zip(batches, polled, strict=True):
            if status.state is BatchState.ENDED:
                self._settle(live, status.reason, cancelled=cancelled)
            elif self._is_gone(live, status):
                why = f"there was no sign of life from its worker any more ({status.reason})"
                self._settle(live, why, cancelled=cancelled)
            elif cancelled:
                self._tell_to_end(live, status)

    def _tell_to_end(self, live: LiveBatch, status: BatchStatus) -> None:
        """Tell a worker to end; kill one that does not; do it by a claim where we cannot reach."""
        now = time.monotonic()
        scheduler = self.context.backend.scheduler
        if live.told_to_end is None:
            live.told_to_end = now
            self.context.running.check()
            scheduler.cancel([live.handle or {}])
            if status.state is BatchState.UNKNOWN:
                live.follower.supersede()
        elif now - live.told_to_end > CANCEL_PATIENCE_SECONDS:
            live.told_to_end = now
            scheduler.cancel([live.handle or {}], at_once=True)

    def _is_gone(self, live: LiveBatch, status: BatchStatus) -> bool:
        """Whether a worker unknown to the scheduler is done, or gives no sign of life."""
        if status.state is not BatchState.UNKNOWN:
            live.heartbeat = None
            return False
        if not self._left(live):
            return True
        heartbeat = live.follower.heartbeat()
        if live.heartbeat is None or live.heartbeat[0] != heartbeat:
            live.heartbeat = heartbeat, time.monotonic()
        return time.monotonic() - live.heartbeat[1] > SILENCE_SECONDS

    def _collect(self, batches: Sequence[LiveBatch], *, cancelled: bool) -> None:
        changes = UnitChanges(self.statuses, self.is_init, cancelled)
        positions = {}
        for live in batches:
            before = live.follower.positions
            ended, damaged = changes.ended, changes.damaged
            for attempt, record in live.follower.read():
                changes.apply(attempt, record)
            live.fruitful = live.fruitful or changes.ended > ended
            if changes.damaged > damaged:
                live.damaged = True
                log.warning("%s has damaged records in %s", live.record.name, live.record.folder)
            if live.follower.positions != before:
                positions[live.record.id] = live.follower.positions
        self.preload.extend(changes.learned)
        if positions:
            self._record(changes, positions)

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

    def _settle(self, live: LiveBatch, reason: str | None, *, cancelled: bool) -> None:
        """Decide what becomes of the units that a worker left behind."""
        if not cancelled and self._left(live) and self._follow_another(live):
            return
        live.fruitless = 0 if live.fruitful else live.fruitless + 1
        why = self._why(live, reason)
        if not cancelled and live.fruitless < MOST_FRUITLESS_STARTS and self._is_there(live):
            cut_off = "running" in self._left(live).values()
            if not self._reruns:
                self._write_off(live, why, statuses=("running",))
            if self._left(live) or cut_off:
                # Even if nothing is left to run: the next worker ends what units that were cut
                # off have started themselves.
                self._start([live])
                return
        self._give_up(live, why, cancelled=cancelled)

    def _follow_another(self, live: LiveBatch) -> bool:
        """Follow the worker that a supervisor started which died before it could say so."""
        found = self.context.backend.scheduler.find(self._submission(live))
        if found is None:
            return False
        self._submitted({live.record.id: found})
        return True

    def _left(self, live: LiveBatch) -> dict[int, str]:
        """The units of a batch that have not ended."""
        return {i: self.statuses[i] for i in live.units if self.statuses[i] in ACTIVE}

    def _give_up(self, live: LiveBatch, why: str, *, cancelled: bool) -> None:
        """End a batch that is not started again."""
        self._write_off(live, why, cancelled=cancelled)
        self._end(live)

    def _write_off(
        self,
        live: LiveBatch,
        why: str,
        *,
        cancelled: bool = False,
        statuses: Sequence[str] = ACTIVE,
    ) -> None:
        """Say what became of the units of a batch that nobody runs any more, and why."""
        changes = UnitChanges(self.statuses, self.is_init)
        why = why.rstrip(".")
        for index, status in self._left(live).items():
            if status not in statuses:
                continue
            if cancelled:
                changes.set(index, "cancelled", error=CANCELLED)
            elif status == "running":
                changes.interrupt(
                    [index],
                    f"The unit was running when {why}. What it had done until then is not known.",
                )
            else:
                changes.set(
                    index, "failed", problem="could_not_start", error=f"It never started: {why}."
                )
        if changes.columns:
            self._record(changes)

    def _end(self, live: LiveBatch) -> None:
        self.context.running.update_batches(
            {live.record.id: {"status": "ended", "fruitless": live.fruitless}}
        )
        del self.live[live.record.id]

    def _is_there(self, live: LiveBatch) -> bool:
        """Whether the files of the batch are still there: users tidy up."""
        path = PurePosixPath(live.record.folder) / BATCH_FILE
        return exists(self.context.backend.host, path)

    def _why(self, live: LiveBatch, reason: str | None) -> str:
        """Why a worker ended, in words, with the end of what it said itself."""
        if not self._is_there(live):
            return f"the folder of its batch, {live.record.folder}, was removed"
        why = reason or "its worker ended"
        if live.damaged:
            why += " (some of what it recorded, perhaps of this unit, is damaged)"
        path = PurePosixPath(live.record.folder) / WORKER_LOG
        said = read_if_there(self.context.backend.host, path).decode(errors="replace").strip()
        return f"{why}; the worker said: {said[-1_000:]}" if said else why


def thread_limits(meta: Mapping[str, Any]) -> dict[str, str]:
    """Variables that make numerical libraries keep to the processors that a unit asked for."""
    return dict.fromkeys(THREAD_VARIABLES, str(meta.get("cpus_per_task") or 1))

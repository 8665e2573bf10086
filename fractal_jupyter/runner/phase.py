"""One phase of a step: its units go into batches, and their results come back."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fractal_jupyter.errors import SubmissionRejected
from fractal_jupyter.runner.batches import LiveBatch, PhaseUnits
from fractal_jupyter.runner.context import JobContext
from fractal_jupyter.runner.endings import FINAL, Endings
from fractal_jupyter.runner.results import Report, read_results
from fractal_jupyter.runner.submitting import Submitter
from fractal_jupyter.runner.units import CANCELLED, UnitChanges
from fractal_jupyter.schedulers.base import BatchState, BatchStatus

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


@dataclass(slots=True, kw_only=True)
class PhaseRun:
    """Runs the units of one phase that are pending, and follows those that run.

    Attributes:
        units: The units, and the batches that they are in.
        submitter: Gets them to the scheduler.
        turn: When batches that the scheduler did not take are offered again.
        waits: What the user was told last of why nothing runs.
    """

    units: PhaseUnits
    submitter: Submitter
    turn: float = 0.0
    waits: str | None = None

    @property
    def context(self) -> JobContext:
        """The job."""
        return self.units.context

    @property
    def endings(self) -> Endings:
        """Says what becomes of units that a worker left behind."""
        return Endings(self.units)

    def run(self) -> dict[int, str]:
        """Run until no unit is active; return the status of each unit by index."""
        self.units.load()
        live = self.units.live
        if live:
            # What the others have written is read when it is known which start it belongs to.
            known = [batch for batch in live.values() if batch.handle is not None]
            self._collect(known, cancelled=self.context.cancelled())
            self._find_intended()
        self._start(self.submitter.plan())
        self._round()
        while live:
            self.context.wait(self.context.backend.round_seconds)
            self._round()
        self._say(None)
        self.submitter.tidy()
        return self.units.statuses

    def _find_intended(self) -> None:
        """Settle batches whose submission was intended when the last supervisor died."""
        intended = [live for live in self.units.live.values() if live.handle is None]
        self.submitter.find(intended, intended=True)
        lost = [live for live in intended if live.handle is None]
        # They may have run while they were looked for, and be forgotten.
        self._collect(lost, cancelled=self.context.cancelled())
        for live in lost:
            if self.context.cancelled():
                self._give_up(live, CANCELLED, cancelled=True)
            elif not self.units.left(live):
                self._end(live)
        self._start([live for live in lost if live.record.id in self.units.live])

    def _start(self, batches: Sequence[LiveBatch]) -> None:
        """Start batches; the units of those that cannot be started fail, and say why."""
        for live, error in self.submitter.start(batches):
            problem = "rejected" if isinstance(error, SubmissionRejected) else None
            self._give_up(live, str(error), problem, cancelled=False)
        if any(live.handle is None and live.record.id in self.units.live for live in batches):
            self.turn = time.monotonic() + TURN_SECONDS

    def _round(self) -> None:
        """Read what is new; settle batches whose worker has ended; cancel if that is wanted."""
        batches = [live for live in self.units.live.values() if live.handle is not None]
        # First ask, then read: what a worker wrote before it ended is then surely read.
        polled = self.context.backend.scheduler.poll([live.handle or {} for live in batches])
        # Asked before reading: who finds units that were cancelled knows that the job was.
        cancelled = self.context.cancelled()
        self._collect(batches, cancelled=cancelled)
        ended: list[tuple[LiveBatch, BatchStatus]] = []
        for live, answer in zip(batches, polled, strict=True):
            status = live.remember(answer)
            if live.finished and not live.cut and not self.units.left(live):
                ended.append((live, BatchStatus(BatchState.ENDED)))
            elif status.state is BatchState.ENDED:
                if cancelled or self._is_complete(live, status):
                    ended.append((live, status if live.begun else status.before_start or status))
            elif self._is_gone(live, status):
                why = f"there was no sign of life from its worker any more ({status.reason})"
                ended.append((live, BatchStatus(BatchState.ENDED, why)))
            elif cancelled and status.state is not BatchState.UNKNOWN:
                # Who does not answer is told when it does: it would only keep us waiting.
                self._tell_to_end(live, status)
            elif status.state is BatchState.PENDING and live.finished:
                self._waits_again(live, status)
        self._settle(ended, cancelled=cancelled)
        self._give_turns(cancelled=cancelled)
        self._say_what_waits(polled)

    # following

    def _collect(self, batches: Sequence[LiveBatch], *, cancelled: bool) -> None:
        changes = self.units.changes(cancelled=cancelled)
        positions = {}
        by_folder = {live.follower.folder: live for live in batches}
        followers = [live.follower for live in batches]
        for follower, reports in read_results(self.context.backend.host, followers):
            live = by_folder[follower.folder]
            self._apply(live, changes, reports)
            positions[live.record.id] = follower.positions
        self.submitter.preload.extend(changes.learned)
        if positions:
            self.units.record(changes, positions)
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

    def _is_complete(self, live: LiveBatch, status: BatchStatus) -> bool:
        """Whether all that the workers of an ended batch wrote can be taken to have been read.

        What was written on another machine may appear here later than the news that it has ended.
        And a batch whose worker was told to end may be about to be queued again.
        """
        late = self.context.backend.late_results_seconds
        settled = live.finished or not self.units.left(live)
        if settled and not live.cut:
            return True
        if not live.begun and (not status.began or self.endings.never_began(live, status)):
            return True
        if live.ended is None:
            live.ended = time.monotonic()
        return time.monotonic() - live.ended >= (min(REQUEUE_SECONDS, late) if settled else late)

    def _is_gone(self, live: LiveBatch, status: BatchStatus) -> bool:
        """Whether a worker that the scheduler knows nothing of gives no sign of life."""
        if status.state is not BatchState.OUT_OF_SIGHT:
            live.heartbeat = None
            return False
        heartbeat = live.follower.heartbeat(self.context.backend.host)
        if live.heartbeat is None or live.heartbeat[0] != heartbeat:
            live.heartbeat = heartbeat, time.monotonic()
        return time.monotonic() - live.heartbeat[1] > SILENCE_SECONDS

    def _tell_to_end(self, live: LiveBatch, status: BatchStatus) -> None:
        """Tell a worker to end; have one that does not killed; by a claim where we cannot reach."""
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

    def _waits_again(self, live: LiveBatch, status: BatchStatus) -> None:
        """Say why the scheduler has ended a worker that it will start again, unless it need not."""
        problem, why = self.endings.explain(live, status)
        if problem is None:  # it may be that the news of its start are older
            return
        self.endings.judge_cut(live, problem, why)
        live.cut, live.finished = set(), False
        if not self.units.left(live):
            self.context.backend.scheduler.cancel([live.handle or {}])
            self._end(live)

    # settling

    def _settle(self, ended: Sequence[tuple[LiveBatch, BatchStatus]], *, cancelled: bool) -> None:
        """Decide which of the batches whose worker has ended are started again, all at once."""
        if not cancelled:
            # Other workers, that a supervisor started which died before it could say so.
            found = self.submitter.find(
                [live for live, _ in ended if self.units.left(live)], intended=False
            )
            ended = [(live, status) for live, status in ended if live.record.id not in found]
        if ended:
            # Batches that wait have their turn now, and so have these.
            self.turn = time.monotonic()
        self.submitter.intend(
            [live for live, status in ended if self._goes_on(live, status, cancelled=cancelled)]
        )

    def _goes_on(self, live: LiveBatch, status: BatchStatus, *, cancelled: bool) -> bool:
        """Say what became of its units; return whether another worker is to go on with them."""
        live.fruitless = 0 if live.fruitful else live.fruitless + 1
        problem, why = self.endings.explain(live, status)
        if not cancelled:
            self.endings.judge_cut(live, problem, why)
        again = live.fruitless < MOST_FRUITLESS_STARTS and problem not in FINAL
        if not cancelled and again and self.endings.is_there(live):
            cut_off = "running" in self.units.left(live).values()
            if not self.units.reruns:
                self.endings.write_off(live, why, problem, statuses=("running",))
            if self.units.left(live) or cut_off:
                # Even if nothing is left to run: the next worker ends what units that were cut
                # off have started themselves.
                return True
        self._give_up(live, why, problem, cancelled=cancelled)
        return False

    def _give_up(
        self, live: LiveBatch, why: str, problem: str | None = None, *, cancelled: bool
    ) -> None:
        """End a batch that is not started again."""
        self.endings.write_off(live, why, problem, cancelled=cancelled)
        self._end(live)

    def _end(self, live: LiveBatch) -> None:
        self.context.running.update_batches(
            {live.record.id: {"status": "ended", "fruitless": live.fruitless}}
        )
        del self.units.live[live.record.id]

    # waiting

    def _give_turns(self, *, cancelled: bool) -> None:
        """Offer the scheduler what waits: when something has ended, or in a while."""
        waiting = [live for live in self.units.live.values() if live.handle is None]
        if cancelled:
            for live in waiting:
                self._give_up(live, CANCELLED, cancelled=True)
        elif waiting and time.monotonic() >= self.turn:
            self._start(waiting)

    def _say_what_waits(self, polled: Sequence[BatchStatus]) -> None:
        """Tell the user why nothing runs, as long as nothing does."""
        waiting = sum(live.handle is None for live in self.units.live.values())
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

"""The life of a worker: runs the units of its batch and records them.

One thread, which sleeps in `poll` whenever there is nothing to do. What a unit that has ended needs
is done after the next one has been started, so that processors do not wait for it.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import time
from typing import Callable, Deque, Dict, Iterable, Optional, Tuple

from . import linux, outcome, report
from .batch import Arguments, Batch, Unit
from .journal import Journal
from .launch import Event, Launcher, Lost
from .outcome import Outcome
from .processes import Exit
from .processors import Shares
from .segments import Segments
from .signals import Signals
from .slots import NO_LOG, Kept, Slots
from .takeover import Plan, Vigil
from .warm import Returned
from .wire import MODULES

# How long units have for ending by themselves when the batch is cancelled, and how long the kernel
# has for ending those that were killed, in seconds.
GRACE = 5.0
KILL_PATIENCE = 30.0
# How often the memory of units is looked at, in seconds, if there is a limit.
MEMORY_INTERVAL = 0.1
# How many sessions of units are remembered, to recognise orphans that come late.
_SESSIONS = 256

_NEVER = float("inf")
_JUDGES: Dict[str, Callable[[int], Outcome]] = {
    "cancelled": outcome.cancelled,
    "superseded": outcome.superseded,
}


class _Running:
    """A unit that runs."""

    __slots__ = ("share", "started", "unit", "used")

    def __init__(self, unit: Unit, started: float, share: int) -> None:
        self.unit = unit
        self.started = started
        self.share = share  # of the processors
        self.used = 0  # bytes of memory, if that was too much


class Loop:
    """Runs what is planned."""

    def __init__(
        self,
        batch: Batch,
        plan: Plan,
        *,
        folder: str,
        journal: Journal,
        logs: Segments,
        signals: Signals,
        vigil: Vigil,
    ) -> None:
        """Get ready to run.

        Args:
            batch: The batch.
            plan: What of it is to be run.
            folder: The folder of the attempt.
            journal: Gets the records.
            logs: Gets the logs of units that have ended.
            signals: Signals to this process.
            vigil: Says when to stop.
        """
        self._batch = batch
        self._journal = journal
        self._logs = logs
        self._signals = signals
        self._vigil = vigil
        self._poll = select.poll()
        self._poll.register(signals.fd, select.POLLIN)
        self._slots_folder = os.path.join(folder, "slots")
        side_by_side = batch.side_by_side(len(plan.units))
        self._slots = Slots(self._slots_folder, 2 * side_by_side)
        self._shares = Shares(side_by_side)
        self._launcher = Launcher(
            batch,
            folder=folder,
            slots=self._slots_folder,
            shares=self._shares,
            units=len(plan.units),
            preload=plan.preload,
            journal=journal,
            logs=logs,
            poll=self._poll,
        )
        self._arguments = Arguments(batch.common_args)
        self._pending: Deque[Unit] = collections.deque(plan.units)
        self._prepared: Deque[Tuple[int, Unit]] = collections.deque()
        self._running: Dict[int, _Running] = {}  # by slot
        self._sessions: Deque[int] = collections.deque(maxlen=_SESSIONS)
        self._wants_modules = True
        self._oom_kills = linux.oom_counter()
        self._oom_seen = self._oom_kills()
        self._stopping = False
        self._kill_at = self._abandon_at = _NEVER
        self._memory_at = _NEVER if batch.memory_limit is None else 0.0

    def run(self) -> None:
        """Run it.

        Raises:
            OSError: Something cannot be recorded; nothing runs any more.
        """
        try:
            while self._running or self._prepared or self._pending:
                self._start_units()
                self._wait()
        except OSError:
            self._kill_all(signal.SIGKILL)
            self._record_rest(outcome.worker_failed())
            raise
        finally:
            self._launcher.close()
            self._slots.remove()

    # starting

    def _could_start(self) -> bool:
        return self._launcher.ready and len(self._running) < self._batch.concurrency

    def _start_units(self) -> None:
        """Start as many units as may run side by side."""
        while self._could_start() and (self._prepared or self._prepare()):
            slot, unit = self._prepared.popleft()
            started = time.time()
            self._journal.write(
                report.start_line(unit.number, slot, warm=self._launcher.warm, now=started)
            )
            run = self._running[slot] = _Running(unit, started, self._shares.take())
            try:
                self._launcher.start(slot, run.share, report=self._wants_modules)
            except OSError as error:
                self._take_off(slot)
                what = error.filename or str(error)
                self._record(slot, run, outcome.not_started(error.errno or 0, what))
                break  # what comes next is likely to fare the same: do not forget the rest over it
        while len(self._prepared) < self._batch.concurrency and self._prepare():
            pass
        if not self._prepared and not self._pending and self._could_start():
            self._shares.loosen()

    def _take_off(self, slot: int) -> _Running:
        """Take a unit that does not run any more off those that do."""
        run = self._running.pop(slot)
        self._shares.release(run.share)
        return run

    def _prepare(self) -> bool:
        """Write the arguments of the next unit; return whether there was one."""
        if not self._pending or not self._slots:
            return False
        unit = self._pending[0]
        self._prepared.append((self._slots.take(self._arguments.encode(unit.args)), unit))
        self._pending.popleft()
        return True

    # waiting

    def _wait(self) -> None:
        """Sleep until something happens, and do what it asks for."""
        timeout = 0.0
        if not (self._prepared and self._could_start()):
            wake = min(
                self._vigil.wake,
                self._launcher.wake,
                self._memory_at,
                self._kill_at,
                self._abandon_at,
            )
            timeout = max(0.0, wake - time.monotonic())
        ready = self._poll.poll(timeout * 1000)
        # First of all: whoever has slept for long may have been given up for dead.
        self._tick(time.monotonic())
        for fd, _ in ready:
            if fd == self._signals.fd:
                self._signals.clear()
            else:
                self._handle(self._launcher.listen(fd))
        if self._signals.child_ended():
            self._handle(self._launcher.reap())
            self._sweep()

    def _tick(self, now: float) -> None:
        self._vigil.tick(now)
        self._launcher.tick(now)
        if self._vigil.stopped and not self._stopping:
            self._stop(now)
        if now >= self._memory_at:
            self._memory_at = now + MEMORY_INTERVAL
            self._watch_memory(self._batch.memory_limit or 0)
        if now >= self._kill_at:
            self._kill_at = _NEVER
            self._kill_all(signal.SIGKILL)
        if now >= self._abandon_at:
            self._record_rest(outcome.unkillable())

    def _stop(self, now: float) -> None:
        """Start nothing more, and end what is running."""
        self._stopping = True
        self._pending.clear()
        self._prepared.clear()
        self._abandon_at = now + GRACE + KILL_PATIENCE
        if self._vigil.stopped == "cancelled":
            self._kill_at = now + GRACE
            self._kill_all(signal.SIGTERM)
        else:
            self._kill_all(signal.SIGKILL)

    def _kill_all(self, number: int) -> None:
        for slot in self._running:
            self._launcher.kill(slot, number)

    def _watch_memory(self, limit: int) -> None:
        for slot, run in self._running.items():
            pid = self._launcher.pid(slot)
            used = linux.memory_of(pid) if pid and not run.used else 0
            if used > limit:
                run.used = used
                self._launcher.kill(slot, signal.SIGKILL)

    # ends

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Exit):
                run = self._take_off(event.slot)
                self._start_units()
                self._sessions.append(event.pid)
                self._sweep()
                self._read_modules(event)
                # Its end tells less where children that it left used it, and counts roughly.
                seen = event._replace(peak_memory=max(event.peak_memory, run.used))
                self._record(event.slot, run, self._judge(run, seen), seen)
            elif isinstance(event, Lost):
                run = self._take_off(event.slot)
                self._record(event.slot, run, outcome.forker_died(event.how, self._ran_out()))
                if self._batch.rerun_interrupted and not self._stopping:
                    self._pending.append(run.unit)
            elif isinstance(event, Returned):
                run = self._take_off(event.slot)
                self._prepared.appendleft((event.slot, run.unit))
            else:
                run = self._take_off(event.slot)
                self._record(event.slot, run, outcome.not_forked(event.number))

    def _judge(self, run: _Running, ended: Exit) -> Outcome:
        """Say what became of a unit whose process has ended."""
        status = ended.status
        if run.used and status:
            limit = self._batch.memory_limit or 0
            return outcome.over_limit(run.used, limit, signal.SIGKILL)
        try:
            output = None if status else self._slots.output(ended.slot)
        except OSError as error:
            return outcome.unreadable(error)
        if self._stopping and output is None:
            return _JUDGES[self._vigil.stopped or ""](status)
        if not status:
            return outcome.ended(status, output, b"")
        if status == signal.SIGKILL and self._ran_out():
            return outcome.out_of_memory(status, ended.peak_memory, self._batch.memory_advice)
        return outcome.ended(status, output, self._slots.log_tail(ended.slot))

    def _ran_out(self) -> bool:
        """Whether the kernel has killed something for memory since this was asked last."""
        before, self._oom_seen = self._oom_seen, self._oom_kills()
        return self._oom_seen > before

    def _record(
        self, slot: int, run: _Running, verdict: Outcome, ended: Optional[Exit] = None
    ) -> None:
        """Record what became of a unit, keep its log, and make room for another one."""
        log = self._keep_log(slot)
        self._journal.write(
            report.end_line(run.unit.number, verdict, exit_=ended, started=run.started, log=log)
        )
        self._slots.release(slot)

    def _keep_log(self, slot: int) -> Kept:
        size = self._slots.log_size(slot)
        if not size:
            return NO_LOG
        try:
            return self._slots.keep_log(slot, self._batch.log_limit, self._logs)
        except OSError:  # a unit is not lost over its log
            return NO_LOG._replace(dropped=size)

    def _record_rest(self, verdict: Outcome) -> None:
        """Record units whose end nobody will see."""
        for slot in list(self._running):
            run = self._take_off(slot)
            with contextlib.suppress(OSError):  # a start without an end says enough
                self._record(slot, run, verdict)

    def _read_modules(self, ended: Exit) -> None:
        """Have imported in advance what the first unit that ended well has loaded."""
        if ended.status or not self._wants_modules:
            return
        try:
            with open(
                os.path.join(self._slots.path(ended.slot), MODULES), encoding="utf-8"
            ) as file:
                modules = file.read().split()
        except OSError:
            return  # a cold unit, or one that changed where modules come from
        self._wants_modules = False
        if modules:
            self._journal.record(event="learned", modules=modules)
            self._launcher.learn(modules)

    def _sweep(self) -> None:
        """Kill what units that have ended have left behind and is a child of ours now."""
        for pid in self._launcher.strangers():
            place = linux.place_of(pid, self._slots_folder)
            slot = place.split("/")[0] if place else ""
            late = slot.isdigit() and int(slot) not in self._running
            if (
                late
                or (place or "").endswith("(deleted)")
                or linux.session_of(pid) in self._sessions
            ):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

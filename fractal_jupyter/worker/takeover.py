"""The beginning of an attempt: waiting for earlier ones, and settling what they have left."""

from __future__ import annotations

import contextlib
import select
import time
from typing import Dict, List, NamedTuple, Optional, Set

from . import outcome, report
from .batch import Batch, Unit
from .claim import SILENT_INTERVALS, Attempt, Predecessor
from .journal import Journal
from .signals import Signals
from .slots import NO_LOG

# A worker whose job is queued again is told to end first, and records units as cancelled.
_CUT_OFF = ("interrupted", "cancelled")


class Vigil:
    """Shows that the worker lives, and notices when it is to end.

    Attributes:
        stopped: Why it is: `cancelled` or `superseded`; None while it is not.
    """

    def __init__(
        self, attempt: Attempt, *, journal: Journal, signals: Signals, interval: float
    ) -> None:
        self.stopped: Optional[str] = None
        self._attempt = attempt
        self._journal = journal
        self._signals = signals
        self._interval = interval
        self._beat_at = 0.0
        self._missed = 0

    @property
    def wake(self) -> float:
        """When `tick` has something to do, as `time.monotonic()`."""
        return min(self._beat_at, self._journal.wake)

    def tick(self, now: float) -> None:
        """Do what it is time for.

        Raises:
            OSError: The heart has not beaten for so long that others may think that it is dead.
        """
        if now >= self._beat_at:
            self._beat_at = now + self._interval
            self._beat()
        if self._signals.asked_to_end and self.stopped is None:
            self.stopped = "cancelled"
        if now >= self._journal.wake:
            self._journal.tick(now)

    def _beat(self) -> None:
        try:
            self._attempt.beat()
            superseded = self._attempt.superseded()
        except OSError:
            self._missed += 1
            if self._missed >= SILENT_INTERVALS:
                raise
            return
        self._missed = 0
        if superseded and self.stopped is None:
            self.stopped = "superseded"


class Plan(NamedTuple):
    """What is left for this attempt.

    Attributes:
        units: The units to run, in order.
        preload: Modules that units are known to load.
    """

    units: List[Unit]
    preload: List[str]


def take_over(
    batch: Batch, attempt: Attempt, *, journal: Journal, signals: Signals, vigil: Vigil
) -> Plan:
    """Wait until earlier attempts are over, and record what became of units that they started.

    Nothing may be started before that: as long as an earlier worker lives, it may start the same.
    """
    earlier = attempt.earlier()
    waiting = list(earlier)
    patience = SILENT_INTERVALS * batch.heartbeat_interval
    poll = select.poll()
    poll.register(signals.fd, select.POLLIN)
    while True:
        vigil.tick(time.monotonic())
        waiting = [past for past in waiting if not past.over(time.monotonic(), patience)]
        if vigil.stopped or not waiting:
            break
        if poll.poll(batch.heartbeat_interval * 1000 / 4):
            signals.clear()
    if vigil.stopped or not earlier:
        return Plan(list(batch.units), [*batch.preload] or _learned_beside(attempt))
    return _settle(batch, earlier, journal)


def _settle(batch: Batch, earlier: List[Predecessor], journal: Journal) -> Plan:
    for past in earlier:
        past.kill_leftovers()
    before = history(earlier)
    for unit in sorted(before.open):
        journal.write(
            report.end_line(unit, outcome.abandoned(), exit_=None, started=None, log=NO_LOG)
        )
    done = before.ended
    if not batch.rerun_interrupted:
        done = done | before.open | before.interrupted
    return Plan(
        [unit for unit in batch.units if unit.number not in done],
        [*batch.preload, *before.learned],
    )


def _learned_beside(attempt: Attempt) -> List[str]:
    """Modules that units of another batch of the same phase were seen to load."""
    with contextlib.suppress(OSError):  # then the units of this one show it
        for other in attempt.beside():
            for record in other.first_records():
                if record["event"] == "learned":
                    return list(record["modules"])
    return []


class History(NamedTuple):
    """What earlier attempts did.

    Attributes:
        ended: Units that need nothing more.
        open: Units that were started and have no end.
        interrupted: Units that were cut off, whether or not their worker was told to end.
        learned: Modules that units loaded beyond the preloaded ones.
    """

    ended: Set[int]
    open: Set[int]
    interrupted: Set[int]
    learned: List[str]


def history(attempts: List[Predecessor]) -> History:
    """Read what earlier attempts did, the first one first."""
    last: Dict[int, str] = {}
    learned: List[str] = []
    for attempt in attempts:
        for record in attempt.records():
            event = record["event"]
            if event == "start":
                if last.get(record["unit"]) in (None, *_CUT_OFF):
                    last[record["unit"]] = "open"
            elif event == "end":
                last[record["unit"]] = record["status"]
            elif event == "learned":
                learned += record["modules"]

    def those(*states: str) -> Set[int]:
        return {unit for unit, state in last.items() if state in states}

    return History(
        ended=those("done", "failed"),
        open=those("open"),
        interrupted=those(*_CUT_OFF),
        learned=learned,
    )

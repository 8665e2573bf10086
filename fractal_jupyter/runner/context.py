"""What the parts that drive one job share."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from fractal_jupyter.errors import LeaseLost
from fractal_jupyter.runner.backend import Backend
from fractal_jupyter.runner.paths import JobPaths
from fractal_jupyter.store.records import JobRecord
from fractal_jupyter.store.running import Running

# Results that stream in faster than this are recorded together, in one transaction.
SHORTEST_ROUND_SECONDS = 0.15
# How long is waited before the next round: a part of the longest wait at least, a part of the time
# since something has happened, and a multiple of what the last round took.
SHORTEST_SHARE = 1 / 6
QUIET_SHARE = 1 / 4
ROUND_TIMES = 20


@dataclass(slots=True)
class Waker:
    """Wakes the drivers of all jobs, or stops them."""

    stopped: bool = False
    _events: list[threading.Event] = field(default_factory=list)

    def subscribe(self) -> threading.Event:
        """An event that is set at each wake."""
        event = threading.Event()
        self._events.append(event)
        return event

    def unsubscribe(self, event: threading.Event) -> None:
        """Forget an event."""
        self._events.remove(event)

    def wake(self) -> None:
        """Set all events."""
        for event in tuple(self._events):
            event.set()

    def stop(self) -> None:
        """Make all that wait raise `LeaseLost`."""
        self.stopped = True
        self.wake()


@dataclass(slots=True, kw_only=True)
class JobContext:
    """One job, and what it is driven with."""

    job: JobRecord
    running: Running
    backend: Backend
    paths: JobPaths
    waker: Waker
    notify: str | None
    event: threading.Event
    last_round: float = field(default_factory=time.monotonic)
    last_news: float = field(default_factory=time.monotonic)

    def news(self) -> None:
        """Say that something has happened: more may follow soon."""
        self.last_news = time.monotonic()

    def wait(self, longest: float) -> None:
        """Wait until the next look at what has happened; `wake` ends it.

        As long as a part of the time since something happened, so that what is quick is seen at
        once, and what takes hours is not looked at all the time.

        Args:
            longest: Seconds that it takes at most.

        Raises:
            LeaseLost: The supervisor stops.
        """
        now = time.monotonic()
        seconds = max(
            longest * SHORTEST_SHARE,
            (now - self.last_news) * QUIET_SHARE,
            (now - self.last_round) * ROUND_TIMES,
        )
        self.event.wait(min(longest, seconds))
        early = self.last_round + SHORTEST_ROUND_SECONDS - time.monotonic()
        if early > 0 and not self.waker.stopped:
            time.sleep(early)
        self.event.clear()
        self.last_round = time.monotonic()
        if self.waker.stopped:
            raise LeaseLost("The supervisor stops; another one goes on with the job.")

    def cancelled(self) -> bool:
        """Whether somebody wants the job cancelled."""
        return self.running.cancel_requested(self.job.id)

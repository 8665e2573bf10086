"""The supervisor: one detached process per store and user that drives all of that user's jobs."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from fractal_jupyter.errors import LeaseLost, StoreError, StoreUnavailable
from fractal_jupyter.runner.agent import adopt_agent
from fractal_jupyter.runner.context import Waker
from fractal_jupyter.runner.driver import Backends, drive
from fractal_jupyter.runner.launch import SILENCE_SECONDS
from fractal_jupyter.runner.wake import JOBS, Alarm
from fractal_jupyter.schedulers.processes import alive, identity
from fractal_jupyter.store.leases import Lease
from fractal_jupyter.store.records import JobRecord
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
IDLE_SECONDS = 60.0
MOST_JOBS_AT_ONCE = 64
LONGEST_BACK_OFF_SECONDS = 60.0
# After so many failures in a row an internal error ends a job; what had not ended is lost then.
MOST_INTERNAL_ERRORS = 3


def take_lease(store: Store, owner: str, address: str | None) -> Lease | None:
    """Take the lease of `owner`; wait for a holder that may be dead; None when it lives."""
    me = identity()
    encoded = address.encode() if address else None
    lease = store.leases.take(owner, process=me, address=encoded)
    while lease is None:
        held = store.leases.get(owner)
        if held is None or held.released:
            silent = None
        elif alive(held.process) is False:
            silent = held
        else:
            time.sleep(SILENCE_SECONDS)
            now = store.leases.get(owner)
            if now is None or now.released:
                silent = None
            elif (now.epoch, now.beat) != (held.epoch, held.beat):
                return None
            else:
                silent = now
        lease = store.leases.take(owner, process=me, address=encoded, silent=silent)
        if lease is None and silent is not None:
            return None
    return lease


@dataclass(slots=True)
class Drive:
    """A job that is being driven, or that waits before it is tried again.

    Attributes:
        thread: Drives it.
        started: When that began (`time.monotonic()`).
        failures: How often in a row it could not be driven.
        not_before: When it may be tried again.
        unsaid: Why it waits, as long as the store could not be told.
    """

    thread: threading.Thread
    started: float
    failures: int = 0
    not_before: float = 0.0
    unsaid: str = ""


@dataclass(slots=True)
class Supervisor:
    """Drives the jobs of the owner of `lease` until there are none for a while."""

    store: Store
    lease: Lease
    alarm: Alarm
    idle_seconds: float = IDLE_SECONDS
    running: Running = field(init=False)
    waker: Waker = field(default_factory=Waker)
    backends: Backends = field(default_factory=Backends)
    drives: dict[int, Drive] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.running = Running(self.store.database, self.lease)

    def run(self) -> None:
        """Drive jobs; return when idle, when told to end, or when the lease is lost."""
        next_beat = time.monotonic() + BEAT_SECONDS
        last_active = time.monotonic()
        look, active = True, False
        try:
            while not self.waker.stopped:
                if look:
                    active = self._start_jobs()
                if active:
                    last_active = time.monotonic()
                elif time.monotonic() - last_active > self.idle_seconds:
                    if self._release_if_idle():
                        log.info("no job left; ending")
                        return
                    last_active = time.monotonic()
                messages = self.alarm.wait(next_beat - time.monotonic())
                if adopt_agent(messages):
                    self._try_again()
                if messages:
                    self.waker.wake()
                # Results come many times a second, and start no job.
                look = JOBS in messages
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + BEAT_SECONDS
                    look = True
                    self._beat()
        except LeaseLost as error:
            log.warning("%s", error)
        finally:
            self._stop()

    def _release_if_idle(self) -> bool:
        try:
            return self.store.leases.release_if_idle(self.lease)
        except StoreUnavailable:
            log.exception("the lease could not be given back")
            return False

    def _beat(self) -> None:
        try:
            self.store.leases.beat(self.lease)
        except StoreUnavailable:
            # A store that is busy or full for a while: whoever takes over raises the epoch.
            log.exception("the heartbeat could not be written")

    def _start_jobs(self) -> bool:
        """Start drivers for jobs that have none and may run; return whether any job is active."""
        try:
            active = self.store.jobs.active(self.lease.owner)
            for job in active:
                self._start(job)
        except StoreUnavailable:
            log.exception("the store cannot be read")
            return True
        for key in self.drives.keys() - {job.id for job in active}:
            if not self.drives[key].thread.is_alive():
                del self.drives[key]
        return bool(active)

    def _start(self, job: JobRecord) -> None:
        known = self.drives.get(job.id)
        if known is not None and known.thread.is_alive():
            return
        if known is not None and time.monotonic() < known.not_before:
            self._say_why(job, known)
            return
        withdrawn = job.status == "submitted" and job.cancel_requested
        alive_count = sum(d.thread.is_alive() for d in self.drives.values())
        if alive_count >= MOST_JOBS_AT_ONCE and not withdrawn:
            why = f"waits until another job of yours is over: {MOST_JOBS_AT_ONCE} go on at a time"
            if job.waiting_for != why:
                self.running.set_waiting(job.id, why)
            return
        if not self._may_run(job):
            return
        log.info("job %s: %s", job.id, "going on" if job.status == "running" else "starting")
        failures = known.failures if known else 0
        thread = threading.Thread(target=lambda: self._drive(job, entry))
        entry = Drive(thread, time.monotonic(), failures)
        self.drives[job.id] = entry
        entry.thread.start()

    def _may_run(self, job: JobRecord) -> bool:
        if job.status == "running":
            return True
        if job.cancel_requested:
            for step in self.store.jobs.steps(job.id):
                if step.status != "done":
                    self.running.cancel_step(step)
            self.running.end_job(job.id, status="cancelled", error="Cancelled before it started.")
            return False
        return self.running.start_job(job) is None

    def _drive(self, job: JobRecord, entry: Drive) -> None:
        try:
            drive(
                job,
                store=self.store,
                running=self.running,
                backends=self.backends,
                waker=self.waker,
                notify=self.alarm.address,
                patient=entry.failures < MOST_INTERNAL_ERRORS,
            )
        except LeaseLost:
            self.waker.stop()
        except Exception as error:
            self._put_off(job, entry, error)
        finally:
            self.alarm.ring()

    def _put_off(self, job: JobRecord, entry: Drive, error: Exception) -> None:
        """The store, the host or we did not work: try again later, and less and less often."""
        worked = time.monotonic() - entry.started > LONGEST_BACK_OFF_SECONDS
        entry.failures = 1 if worked else entry.failures + 1
        pause = min(2.0**entry.failures, LONGEST_BACK_OFF_SECONDS)
        entry.not_before = time.monotonic() + pause
        log.exception("job %s: the next attempt is in %.0f s", job.id, pause, exc_info=error)
        entry.unsaid = f"cannot go on for now, and will try again: {error}"
        self._say_why(job, entry)

    def _try_again(self) -> None:
        """Let jobs that could not go on try again now: what they wait for may be there."""
        for entry in self.drives.values():
            entry.not_before = 0.0

    def _say_why(self, job: JobRecord, entry: Drive) -> None:
        """Tell the store why a job waits; when that does not work, later."""
        if entry.unsaid:
            with contextlib.suppress(StoreError):
                self.running.set_waiting(job.id, entry.unsaid)
                entry.unsaid = ""

    def stop(self, *_: Any) -> None:
        """End soon; jobs go on under the next supervisor. Safe to call from a signal handler."""
        self.waker.stop()

    def _stop(self) -> None:
        self.waker.stop()
        for entry in self.drives.values():
            entry.thread.join()
        try:
            self.store.leases.release(self.lease)
        except StoreUnavailable:
            # Whoever comes next finds that this process is no more.
            log.exception("the lease could not be given back")


def run_supervisor(url: str, owner: str, *, idle_seconds: float = IDLE_SECONDS) -> None:
    """Take the lease of `owner` on the store at `url` and drive jobs; return when done."""
    store = Store(url)
    alarm = Alarm()
    try:
        lease = take_lease(store, owner, alarm.address)
        if lease is None:
            log.info("another supervisor drives the jobs of %s; ending", owner)
            return
        log.info("supervisor of %s, epoch %d, process %s", owner, lease.epoch, identity())
        supervisor = Supervisor(store, lease, alarm, idle_seconds)
        signal.signal(signal.SIGTERM, supervisor.stop)
        # The handler need not do anything: that there is one makes the alarm ring.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        alarm.wake_on_signals()
        supervisor.run()
    finally:
        alarm.close()
        store.close()

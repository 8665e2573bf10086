"""Starting the supervisor when there is something to drive and nobody does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import SupervisorFailed
from fractal_jupyter.runner.agent import agent_message
from fractal_jupyter.runner.detached import start_detached, store_folder
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.runner.wake import ring
from fractal_jupyter.schedulers.processes import alive
from fractal_jupyter.store.store import Store

# How the supervisor is told what to do.
STORE_VARIABLE = "FRACTAL_JUPYTER_SUPERVISED_STORE"
LOG_VARIABLE = "FRACTAL_JUPYTER_SUPERVISOR_LOG"
IDLE_VARIABLE = "FRACTAL_JUPYTER_SUPERVISOR_IDLE_SECONDS"

# A supervisor whose heartbeat has not changed for this long, on the clock of who waits, is dead.
SILENCE_SECONDS = 10.0
# How often who only looks at jobs sees to it that they are driven.
LOOK_SECONDS = 2.0

# The supervisors that this process has started, by store; and those that are on their way out.
_started: dict[str, subprocess.Popen[bytes]] = {}
_dismissed: list[subprocess.Popen[bytes]] = []


def wake_supervisor(store: Store) -> None:
    """Tell the supervisor of this user's jobs that there is news; start one if there is none."""
    _reap(store)
    lease = store.leases.get(current_user())
    if lease is None:
        start_supervisor(store)
    elif lease.released:
        child = _started.get(store.url)
        if child is not None and child.pid == lease.process.get("pid"):
            # It has given the lease back, and is about to end without looking for jobs again.
            _dismiss(store)
        start_supervisor(store)
    elif alive(lease.process) is False:
        start_supervisor(store)
    elif not _ring(lease.address) and alive(lease.process) is None:
        # It runs on another machine, or is dead there: whoever starts waits for a heartbeat.
        start_supervisor(store)


def _ring(address: bytes | None) -> bool:
    """Wake the supervisor, and tell it of our SSH agent; return whether it is there."""
    agent = agent_message()
    if agent is not None:
        ring(address, agent)
    return ring(address)


@dataclass(slots=True)
class SupervisorCare:
    """Sees to it, as often as `take` is called, that active jobs are driven by somebody.

    A supervisor that is there but does nothing (stopped, or on a machine that is gone) is known
    by its heartbeat, which does not change on our own clock.
    """

    store: Store
    _woken: bool = False
    _beat: tuple[int, int] | None = None
    _since: float = 0.0

    def take(self) -> None:
        """Start a supervisor if there are active jobs and nobody drives them.

        Raises:
            SupervisorFailed: One was started since the last time, and it could not run.
        """
        if not self.store.jobs.active(current_user()):
            return
        failure = _reap(self.store)
        if failure is not None and self._woken:
            raise failure
        self._woken = True
        wake_supervisor(self.store)
        lease = self.store.leases.get(current_user())
        beat = None if lease is None or lease.released else (lease.epoch, lease.beat)
        if beat is None or beat != self._beat:
            self._beat, self._since = beat, time.monotonic()
        elif time.monotonic() - self._since > SILENCE_SECONDS:
            self._since = time.monotonic()
            _dismiss(self.store)
            start_supervisor(self.store)


_looked_after: dict[str, tuple[SupervisorCare, float]] = {}


def look_after(store: Store) -> None:
    """See to it that active jobs are driven, once in a while, by who only looks at them.

    What keeps a supervisor from running is for those who wait to hear.
    """
    now = time.monotonic()
    care, since = _looked_after.setdefault(store.url, (SupervisorCare(store), now))
    if now - since >= LOOK_SECONDS:
        _looked_after[store.url] = care, now
        with contextlib.suppress(SupervisorFailed):
            care.take()


def start_supervisor(store: Store) -> None:
    """Start a supervisor in a session of its own; it ends by itself when it is not needed.

    Raises:
        SupervisorFailed: No process can be started.
    """
    if store.url in _started:
        return
    path = log_path(store)
    environment = {
        **job_environment(),
        STORE_VARIABLE: store.url,
        LOG_VARIABLE: str(path),
    }
    if IDLE_VARIABLE in os.environ:
        environment[IDLE_VARIABLE] = os.environ[IDLE_VARIABLE]
    try:
        _started[store.url] = start_detached(
            "fractal_jupyter.runner", environment=environment, output=path
        )
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise SupervisorFailed(
            f"The process that drives jobs cannot be started: {what}{error.strerror or error}. "
            "Jobs that were submitted wait (fractal.jobs.list() has them): mend the cause and "
            "call job.wait()."
        ) from error


def log_path(store: Store) -> Path:
    """Where the supervisor of `store` logs what it does."""
    return store_folder(store) / "supervisor.log"


def _dismiss(store: Store) -> None:
    """Count no more on the supervisor that we have started."""
    child = _started.pop(store.url, None)
    if child is not None:
        _dismissed.append(child)


def _reap(store: Store) -> SupervisorFailed | None:
    """Forget supervisors that have ended; return why the last one could not run, if so."""
    _dismissed[:] = [child for child in _dismissed if child.poll() is None]
    child = _started.get(store.url)
    if child is None or child.poll() is None:
        return None
    del _started[store.url]
    if child.returncode <= 0:
        return None
    path = log_path(store)
    said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    return SupervisorFailed(
        f"The process that drives jobs ended with exit status {child.returncode}: "
        f"{' '.join(said)} (all of it is in {path}). Jobs wait until it can be started: "
        "mend the cause and call job.wait() again."
    )

"""Starting the supervisor when there is something to drive and nobody does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import SupervisorFailed
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.runner.wake import ring
from fractal_jupyter.schedulers.processes import alive
from fractal_jupyter.store.store import Store, default_folder

# How the supervisor is told what to do. Not on its command line: the URL of a PostgreSQL store
# may hold a password, and command lines are public.
STORE_VARIABLE = "FRACTAL_JUPYTER_SUPERVISED_STORE"
LOG_VARIABLE = "FRACTAL_JUPYTER_SUPERVISOR_LOG"
IDLE_VARIABLE = "FRACTAL_JUPYTER_SUPERVISOR_IDLE_SECONDS"

# The supervisors that this process has started, by store.
# A supervisor whose heartbeat has not changed for this long, on the clock of who waits, is dead.
SILENCE_SECONDS = 10.0

_started: dict[str, subprocess.Popen[bytes]] = {}


def wake_supervisor(store: Store) -> None:
    """Tell the supervisor of this user's jobs that there is news; start one if there is none."""
    _reap(store)
    lease = store.leases.get(current_user())
    if lease is not None and not lease.released:
        if alive(lease.process) is False:
            start_supervisor(store)
        elif not ring(lease.address) and alive(lease.process) is None:
            # It runs on another machine, or is dead there: whoever starts waits for a heartbeat.
            start_supervisor(store)
    else:
        start_supervisor(store)


@dataclass(slots=True)
class SupervisorCare:
    """Sees to it, as often as `take` is called, that active jobs are driven by somebody.

    A supervisor that is there but does nothing (stopped, or on a machine that is gone) is known
    by its heartbeat, which does not change on our own clock.
    """

    store: Store
    _beat: tuple[int, int] | None = None
    _since: float = 0.0

    def take(self) -> None:
        """Start a supervisor if there are active jobs and nobody drives them."""
        if not self.store.jobs.active(current_user()):
            return
        wake_supervisor(self.store)
        lease = self.store.leases.get(current_user())
        beat = None if lease is None or lease.released else (lease.epoch, lease.beat)
        if beat is None or beat != self._beat:
            self._beat, self._since = beat, time.monotonic()
        elif time.monotonic() - self._since > SILENCE_SECONDS:
            self._since = time.monotonic()
            _started.pop(self.store.url, None)
            start_supervisor(self.store)


def start_supervisor(store: Store) -> None:
    """Start a supervisor in a session of its own; it ends by itself when it is not needed."""
    if store.url in _started:
        return
    path = log_path(store)
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **job_environment(),
        STORE_VARIABLE: store.url,
        LOG_VARIABLE: str(path),
        **{k: os.environ[k] for k in ("PYTHONPATH", IDLE_VARIABLE) if k in os.environ},
    }
    with path.open("ab") as output:
        _started[store.url] = subprocess.Popen(
            [sys.executable, "-m", "fractal_jupyter.runner"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def log_path(store: Store) -> Path:
    """Where the supervisor of `store` logs what it does."""
    path = store.database.path
    return (default_folder() if path is None else path.parent) / "supervisor.log"


def _reap(store: Store) -> None:
    """Forget a supervisor that has ended; raise `SupervisorFailed` when it could not start."""
    child = _started.get(store.url)
    if child is None or child.poll() is None:
        return
    del _started[store.url]
    if child.returncode > 0:
        path = log_path(store)
        said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise SupervisorFailed(
            f"The process that drives jobs ended with exit status {child.returncode}: "
            f"{' '.join(said)} (all of it is in {path}). Jobs wait until it can be started: "
            "mend the cause and call job.wait() again."
        )

"""Starting the supervisor when there is something to drive and nobody does."""

from __future__ import annotations

import os
import subprocess
import sys
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

_started: list[subprocess.Popen[bytes]] = []


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


def ensure_supervisor(store: Store) -> None:
    """Start a supervisor if this user has active jobs that nobody drives."""
    if store.jobs.active(current_user()):
        wake_supervisor(store)


def start_supervisor(store: Store) -> None:
    """Start a supervisor in a session of its own; it ends by itself when it is not needed."""
    if any(child.poll() is None for child in _started):
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
        _started.append(
            subprocess.Popen(
                [sys.executable, "-m", "fractal_jupyter.runner"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        )


def log_path(store: Store) -> Path:
    """Where the supervisor of `store` logs what it does."""
    path = store.database.path
    return (default_folder() if path is None else path.parent) / "supervisor.log"


def _reap(store: Store) -> None:
    """Forget supervisors that have ended; raise `SupervisorFailed` when one could not start."""
    ended = [child for child in _started if child.poll() is not None]
    _started[:] = [child for child in _started if child.poll() is None]
    failed = [child.returncode for child in ended if child.returncode > 0]
    if failed:
        path = log_path(store)
        said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise SupervisorFailed(
            f"The process that drives jobs ended with exit status {failed[0]}: "
            f"{' '.join(said)} (all of it is in {path}). Jobs wait until it can be started: "
            "mend the cause and call job.wait() again."
        )

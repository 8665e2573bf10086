"""Batches as processes of this machine, each in a session of its own, so that they outlive us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import SchedulerError
from fractal_jupyter.schedulers.base import BatchState, BatchStatus, Handle, Submission
from fractal_jupyter.schedulers.processes import alive, identity, running_command
from fractal_jupyter.worker.__main__ import CANNOT_WRITE, NO_BATCH, SUPERSEDED

# What the worker writes to its own standard output and error: empty unless it could not start.
WORKER_LOG = "worker.log"
# What it says with its exit status, since its log may be on the same full disk.
_SAID_BY_STATUS = {
    NO_BATCH: "its worker could not read what to do",
    CANNOT_WRITE: "its worker could not write its results (is the disk full?)",
    SUPERSEDED: "another worker has taken over",
}


class DirectScheduler:
    """Starts each batch at once, as a process."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def submit(self, submissions: Sequence[Submission]) -> list[Handle]:
        """Start the workers, all or none; raises `SchedulerError` when one cannot be started."""
        handles: list[Handle] = []
        try:
            for submission in submissions:
                handles.append(self._start(submission))  # noqa: PERF401  one may fail
        except SchedulerError:
            self.cancel(handles, at_once=True)
            for handle in handles:
                self._children.pop(handle["pid"]).wait()
            raise
        return handles

    def _start(self, submission: Submission) -> Handle:
        try:
            with (Path(submission.folder) / WORKER_LOG).open("ab") as log:
                child = subprocess.Popen(
                    submission.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=submission.folder,
                    env=job_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            what = error.filename or submission.argv[0]
            raise SchedulerError(
                f"The worker of {submission.name} cannot be started: {what}: "
                f"{error.strerror or error}."
            ) from error
        handle = identity(child.pid)
        with self._lock:
            self._children[child.pid] = child
        return handle

    def poll(self, handles: Sequence[Handle]) -> list[BatchStatus]:
        """Say which of the processes live."""
        return [self._poll(dict(handle)) for handle in handles]

    def _poll(self, handle: dict[str, Any]) -> BatchStatus:
        with self._lock:
            child = self._children.get(handle["pid"])
            # Reap it: the exit status of our own child says why it ended.
            status = None if child is None else child.poll()
        if status is not None:
            return BatchStatus(BatchState.ENDED, _why(status))
        match alive(handle):
            case True:
                return BatchStatus(BatchState.RUNNING)
            case False:
                return BatchStatus(BatchState.ENDED)
            case _:
                return BatchStatus(
                    BatchState.UNKNOWN, f"it runs on {handle['host']}, not on this machine"
                )

    def cancel(self, handles: Sequence[Handle], *, at_once: bool = False) -> None:
        """Tell the workers to end their units and themselves; or kill them, and with them all."""
        number = signal.SIGKILL if at_once else signal.SIGTERM
        for handle in handles:
            if alive(dict(handle)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(handle["pid"], number)

    def find(self, submission: Submission) -> Handle | None:
        """The worker of the batch, if one lives on this machine."""
        pid = running_command(submission.argv)
        return None if pid is None else identity(pid)


def _why(status: int) -> str | None:
    if status == 0:
        return None
    if status > 0:
        return _SAID_BY_STATUS.get(status, f"its worker ended with exit status {status}")
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "an unknown signal"
    return f"its worker was killed by {name} ({-status})"

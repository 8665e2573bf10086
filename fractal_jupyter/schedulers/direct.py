"""Batches as processes of this machine, each in a session of its own, so that they outlive us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import SchedulerError
from fractal_jupyter.schedulers.base import BatchState, BatchStatus, Handle, Submission
from fractal_jupyter.schedulers.processes import alive, identity
from fractal_jupyter.worker.records import decode_lines

# What the worker writes to its own standard output and error: empty unless it could not start.
WORKER_LOG = "worker.log"


class DirectScheduler:
    """Starts each batch at once, as a process."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def submit(self, submissions: Sequence[Submission]) -> list[Handle]:
        """Start the workers; raises `SchedulerError` when one cannot be started."""
        return [self._start(submission) for submission in submissions]

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
            raise SchedulerError(
                f"The worker of {submission.name} cannot be started with {submission.argv[0]}: "
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
                    BatchState.UNKNOWN, f"its worker runs on {handle['host']}, not on this machine"
                )

    def cancel(self, handles: Sequence[Handle]) -> None:
        """Tell the workers to end their units and themselves."""
        for handle in handles:
            if alive(dict(handle)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(handle["pid"], signal.SIGTERM)

    def find(self, submission: Submission) -> Handle | None:
        """The process that has claimed the batch's folder last, if it lives."""
        for attempt in sorted(Path(submission.folder).glob("attempt-*"), key=_number, reverse=True):
            try:
                data = (attempt / "results-0000").read_bytes()
            except FileNotFoundError:
                continue
            records, _ = decode_lines(data)
            handle = _claimant(records)
            if handle is not None:
                return handle
        return None


def _number(attempt: Path) -> int:
    return int(attempt.name.partition("-")[2])


def _claimant(records: Sequence[Mapping[str, Any]]) -> Handle | None:
    for record in records:
        if record.get("event") == "attempt":
            handle = identity(record["pid"])
            return handle if handle["started"] == record["start_time"] else None
    return None


def _why(status: int) -> str | None:
    if status == 0:
        return None
    if status > 0:
        return f"its worker ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "an unknown signal"
    return f"its worker was killed by {name} ({-status})"

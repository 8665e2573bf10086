"""Batches as processes of this machine, each in a session of its own, so that they outlive us."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import SchedulerError
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.schedulers.base import (
    BatchState,
    BatchStatus,
    Handle,
    Submission,
    batch_folder,
)
from fractal_jupyter.schedulers.processes import alive, identity, running_command
from fractal_jupyter.worker.__main__ import CANNOT_WRITE, NO_BATCH, SUPERSEDED
from fractal_jupyter.worker.bundle import bundle, bundle_digest

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

    def __init__(self, *, python: str, workers_dir: str) -> None:
        """Make the scheduler.

        Args:
            python: The interpreter that runs workers.
            workers_dir: The folder where the worker's archive is kept.
        """
        self._host = LocalHost()
        self._python = python
        self._archive = f"{workers_dir}/worker-{bundle_digest()[:16]}.pyz"
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def submit(self, submission: Submission) -> dict[int, Handle]:
        """Start the workers, all or none; raises `SchedulerError` when one cannot be started."""
        self._write(submission)
        handles: dict[int, Handle] = {}
        try:
            for number in submission.batches:
                handles[number] = self._start(batch_folder(submission.folder, number))
        except SchedulerError:
            self.cancel([*handles.values()], at_once=True)
            for handle in handles.values():
                self._children.pop(handle["pid"]).wait()
            raise
        return handles

    def _write(self, submission: Submission) -> None:
        files = {}
        for number, document in submission.batches.items():
            folder = batch_folder(submission.folder, number)
            self._host.mkdir(folder)
            files[f"{folder}/batch.json"] = json.dumps(document).encode()
        if not Path(self._archive).exists():
            self._host.mkdir(str(Path(self._archive).parent))
            files[self._archive] = bundle()
        self._host.write_many(files)

    def _argv(self, folder: str) -> tuple[str, ...]:
        return (self._python, "-I", "-S", self._archive, "run", folder)

    def _start(self, folder: str) -> Handle:
        argv = self._argv(folder)
        output = Path(folder) / WORKER_LOG
        try:
            with output.open("ab") as log:
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    env=job_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            what = error.filename or argv[0]
            raise SchedulerError(
                f"A worker cannot be started: {what}: {error.strerror or error}."
            ) from error
        with self._lock:
            self._children[child.pid] = child
        return {**identity(child.pid), "output": str(output)}

    def poll(self, handles: Sequence[Handle]) -> list[BatchStatus]:
        """Say which of the processes live."""
        with self._lock:
            for child in self._children.values():
                child.poll()  # nobody asks for those that have said themselves that they end
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
                    BatchState.OUT_OF_SIGHT, f"it runs on {handle['host']}, not on this machine"
                )

    def explain(self, handle: Handle, status: BatchStatus, said: str | None) -> BatchStatus:
        """What is known already: nobody but the worker writes there."""
        del handle
        return replace(status, said=(said or "").strip())

    def cancel(self, handles: Sequence[Handle], *, at_once: bool = False) -> None:
        """Tell the workers to end their units and themselves; or kill them, and with them all."""
        number = signal.SIGKILL if at_once else signal.SIGTERM
        for handle in handles:
            if alive(dict(handle)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(handle["pid"], number)

    def find(
        self, name: str, folder: str, batches: Mapping[int, Handle | None], *, intended: bool
    ) -> dict[int, Handle]:
        """The workers of the batches that live on this machine; known by their command line."""
        del name, intended  # a process is there at once or not at all
        found: dict[int, Handle] = {}
        for number in batches:
            batch = batch_folder(folder, number)
            pid = running_command(self._argv(batch))
            if pid is not None:
                found[number] = {**identity(pid), "output": f"{batch}/{WORKER_LOG}"}
        return found

    def tidy(self, names: Iterable[str]) -> None:
        """Nothing: all is in the folders of jobs."""
        del names

    def preview(self, submission: Submission) -> str | None:
        """Nothing: workers are started as they are."""
        del submission
        return None


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

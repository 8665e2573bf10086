"""Where the log of a unit is, and reading it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fractal_jupyter.errors import FileMissing, NotAllowed
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.backend import Backend
from fractal_jupyter.runner.endings import output_of
from fractal_jupyter.runner.files import read_if_there
from fractal_jupyter.runner.folders import backend_of
from fractal_jupyter.schedulers.base import BatchState, BatchStatus
from fractal_jupyter.store.records import BatchRecord, UnitRecord
from fractal_jupyter.store.store import Store

# The end of the log of a running unit that is read: it may be very long.
MOST_RUNNING_BYTES = 10_000_000
# A batch's folder is <jobs>/<job>/<step>/<phase>/<batch>.
LEVELS_BELOW_JOBS = 4
# Behind the logs of such units stands the end of what their batch has written.
LOST = ("failed", "interrupted")
MOST_BESIDE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A part of what a unit has written.

    Attributes:
        data: The bytes.
        offset: Where in the log they begin.
        size: How long the log is so far.
        complete: Whether nothing will be added: the unit is over.
    """

    data: bytes
    offset: int
    size: int
    complete: bool


def read_log(store: Store, unit: UnitRecord) -> str:
    """What a unit has written so far; empty when it has not started."""
    return read_log_part(store, unit, limit=None).data.decode(errors="replace")


def read_log_part(
    store: Store, unit: UnitRecord, *, offset: int = 0, limit: int | None, tail: bool = False
) -> LogPart:
    """A part of what a unit has written so far.

    Behind what a unit has written that did not succeed stands what its batch has written itself:
    lines of `worker_init` that fail, and SLURM's last words.

    Args:
        store: Where the unit is from.
        unit: The unit.
        offset: Where to begin, in bytes.
        limit: At most so many bytes; None for all (of a unit that runs, 10 MB).
        tail: Whether to begin so many bytes before the end instead.

    Raises:
        NotAllowed: There is something else in the log's place, such as a link to elsewhere.
        HostError: The machine that has the log does not answer.
    """
    over = unit.status not in ("pending", "running")
    if unit.batch_id is None or (unit.log is None and not over):
        return LogPart(data=b"", offset=0, size=0, complete=over)
    backend = backend_of(store.jobs.get(unit.job_id))
    host, batch = backend.host, store.jobs.batch(unit.batch_id)
    folder = PurePosixPath(batch.folder)
    more = _beside(backend, batch, alone=unit.log is None) if unit.status in LOST else b""
    if unit.log is None:
        path, start, size = folder, 0, 0
    elif "slot" in unit.log:
        path, start = folder / f"attempt-{unit.log['attempt']}/slots/{unit.log['slot']}/log", 0
        size = _size(host, path)
        limit = MOST_RUNNING_BYTES if limit is None else limit
    else:
        path = folder / f"attempt-{unit.log['attempt']}/log-{unit.log['segment']:04d}"
        start, size = unit.log["offset"], unit.log["length"]
    if isinstance(host, LocalHost) and size:
        _refuse_links(path, folder.parents[LEVELS_BELOW_JOBS - 1])
    whole = size + len(more)
    most = whole if limit is None else limit
    begin = max(0, whole - most) if tail else min(offset, whole)
    end = min(whole, begin + most)
    data = b""
    if begin < size:
        data = read_if_there(host, path, start + begin, min(end, size) - begin)
    data += more[max(0, begin - size) : max(0, end - size)]
    return LogPart(data=data, offset=begin, size=whole, complete=over)


def _beside(backend: Backend, batch: BatchRecord, *, alone: bool) -> bytes:
    """What a batch has written beside its results, to be read behind the log of a unit."""
    if batch.handle is None:
        return b""
    if isinstance(backend.host, LocalHost):
        jobs = PurePosixPath(batch.folder).parents[LEVELS_BELOW_JOBS - 1]
        _refuse_links(PurePosixPath(batch.handle["output"]), jobs)
    said = output_of(backend.host, batch.handle)
    if said is None:
        return b""
    status = BatchStatus(BatchState.ENDED)
    words = backend.scheduler.explain(batch.handle, status, said).said[-MOST_BESIDE:]
    head = "" if alone else "\n--- what the job wrote itself, around its units ---\n"
    return f"{head}{words}\n".encode() if words else b""


def _size(host: Host, path: PurePosixPath) -> int:
    try:
        entries = host.list(str(path.parent))
    except FileMissing:
        return 0
    return next((entry.size or 0 for entry in entries if entry.name == path.name), 0)


def _refuse_links(path: PurePosixPath, jobs: PurePosixPath) -> None:
    """See that a log is where it seems to be: a task may put links to anything into its folder.

    On this machine we read as ourselves, and pass on what we read; on others we read as the user
    that the task runs as, who may read all of that anyway.
    """
    log = Path(path)
    straight = log.resolve() == Path(jobs).resolve() / path.relative_to(jobs)
    about = log.lstat() if straight and log.exists() else None
    plain = about is None or (stat.S_ISREG(about.st_mode) and about.st_nlink == 1)
    if not straight or not plain:
        raise NotAllowed(f"{path} is not the log that was there, but a link or the like.")

"""Where the log of a unit is, and reading it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fractal_jupyter.errors import FileMissing, NotAllowed
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.files import read_if_there
from fractal_jupyter.runner.folders import backend_of
from fractal_jupyter.store.records import UnitRecord
from fractal_jupyter.store.store import Store

# The end of the log of a running unit that is read: it may be very long.
MOST_RUNNING_BYTES = 10_000_000
# A batch's folder is <jobs>/<job>/<step>/<phase>/<batch>.
LEVELS_BELOW_JOBS = 4


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
    if unit.log is None or unit.batch_id is None:
        return LogPart(data=b"", offset=0, size=0, complete=over)
    host = backend_of(store.jobs.get(unit.job_id)).host
    folder = PurePosixPath(store.jobs.batch(unit.batch_id).folder)
    attempt = folder / f"attempt-{unit.log['attempt']}"
    if "slot" in unit.log:
        path, start = attempt / "slots" / str(unit.log["slot"]) / "log", 0
        size = _size(host, path)
        limit = MOST_RUNNING_BYTES if limit is None else limit
    else:
        path, start = attempt / f"log-{unit.log['segment']:04d}", unit.log["offset"]
        size = unit.log["length"]
    if isinstance(host, LocalHost):
        _refuse_links(path, folder.parents[LEVELS_BELOW_JOBS - 1])
    most = size if limit is None else limit
    begin = max(0, size - most) if tail else min(offset, size)
    data = read_if_there(host, path, start + begin, min(most, size - begin))
    return LogPart(data=data, offset=begin, size=size, complete=over)


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

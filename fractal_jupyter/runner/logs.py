"""Where the log of a unit is, and reading it."""

from __future__ import annotations

from pathlib import PurePosixPath

from fractal_jupyter.hosts.base import Host
from fractal_jupyter.runner.files import read_if_there
from fractal_jupyter.runner.folders import backend_of
from fractal_jupyter.store.records import UnitRecord
from fractal_jupyter.store.store import Store

# The end of the log of a running unit that is read: it may be very long.
MOST_RUNNING_BYTES = 10_000_000


def read_log(store: Store, unit: UnitRecord) -> str:
    """What a unit has written so far; empty when it has not started."""
    if unit.log is None or unit.batch_id is None:
        return ""
    host = backend_of(store.jobs.get(unit.job_id)).host
    folder = PurePosixPath(store.jobs.batch(unit.batch_id).folder)
    attempt = folder / f"attempt-{unit.log['attempt']}"
    data = _running(host, attempt, unit) if "slot" in unit.log else _finished(host, attempt, unit)
    return data.decode(errors="replace")


def _finished(host: Host, attempt: PurePosixPath, unit: UnitRecord) -> bytes:
    log = unit.log or {}
    path = attempt / f"log-{log['segment']:04d}"
    return read_if_there(host, path, log["offset"], log["length"])


def _running(host: Host, attempt: PurePosixPath, unit: UnitRecord) -> bytes:
    path = attempt / "slots" / str((unit.log or {})["slot"]) / "log"
    return read_if_there(host, path, 0, MOST_RUNNING_BYTES)

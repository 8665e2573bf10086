"""Who builds in a folder: one process at a time, and never beside one that has died.

A folder being built holds `.claim-<n>`, a folder that appears by a rename, complete with the
facts about its owner, so exactly one process gets each number. Where the owner is seen to be
dead (its process is gone, or, from another machine, its heartbeat stands still), the next number
is claimed. No file locks: they are not to be relied on over network file systems.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import shutil
import socket
import time
import uuid
from pathlib import Path
from typing import Any

METADATA = "environment.json"
HEARTBEAT_SECONDS = 2.0
# Without a new heartbeat for so long, an owner that cannot be looked up is taken for dead.
SILENCE_SECONDS = 20.0

# What `_beside` calls folders that are not complete yet, or are being removed.
ASIDE = r"\..+\.[0-9a-f]{8}\.(?:old|new)"

_CLAIM = re.compile(r"\.claim-(\d+)")


class Claim:
    """The right to build in a folder; it ends with `finish` or `abandon`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        self._path = folder / f".claim-{number}"
        self._beats = 0

    def beat(self) -> None:
        """Show that the owner is alive."""
        self._beats += 1
        (self._path / "heartbeat").write_text(str(self._beats))

    def is_mine(self) -> bool:
        """Tell whether nobody else has taken over."""
        return _newest_claim(self.folder) == self.number

    def clear(self) -> None:
        """Remove what an earlier build left in the folder."""
        for path in self.folder.iterdir():
            if path != self._path:
                _remove(path)

    def finish(self) -> None:
        """End the claim; the folder holds a complete environment, and says so."""
        shutil.rmtree(self._path, ignore_errors=True)

    def abandon(self) -> None:
        """Remove the folder, if it is still ours: at once under its name, then for good."""
        if not self.is_mine():
            return
        doomed = _beside(self.folder, "old")
        self.folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def take(folder: Path) -> Claim | None:
    """Claim a folder, if nobody has it.

    Returns:
        The claim; None when there is something already: a build in progress or left over (see
        `Owner`), a complete environment, or something that has nothing to do with us.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    stage = _beside(folder, "new")
    stage.mkdir()
    _write_claim(stage / ".claim-1")
    if _rename(stage, folder):
        return Claim(folder, 1)
    return None


def take_over(owner: Owner) -> Claim | None:
    """Claim the folder of a dead owner; None when somebody else was faster."""
    number = owner.number + 1
    stage = owner.folder / f".stage-{uuid.uuid4().hex[:8]}"
    try:
        _write_claim(stage)
    except OSError:
        # the folder itself may have gone meanwhile
        return None
    claimed = _rename(stage, owner.folder / f".claim-{number}")
    return Claim(owner.folder, number) if claimed else None


class Owner:
    """The process that builds in a folder, as another one sees it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        self._path = folder / f".claim-{number}"
        self._facts: dict[str, Any] = json.loads((self._path / "claim.json").read_text())
        self._seen: str | None = None
        self._seen_at = time.monotonic()

    def __str__(self) -> str:
        return f"process {self._facts['pid']} on {self._facts['host']}"

    def is_alive(self) -> bool:
        """Tell whether the owner still builds; to be asked again and again."""
        if self._facts["machine"] == _machine():
            return bool(_start_time(self._facts["pid"]) == self._facts["start"])
        beat = _read(self._path / "heartbeat")
        if beat != self._seen:
            self._seen, self._seen_at = beat, time.monotonic()
        return time.monotonic() - self._seen_at < SILENCE_SECONDS

    def silence(self) -> float:
        """Return the seconds since the last heartbeat, by the clock of the file system."""
        return age(self._path / "heartbeat")


def owner_of(folder: Path) -> Owner | None:
    """Return who builds, or built, in a folder; None when nobody does."""
    number = _newest_claim(folder)
    try:
        return Owner(folder, number) if number else None
    except FileNotFoundError:
        return None


def is_complete(folder: Path) -> bool:
    """Tell whether the folder holds a complete environment."""
    return (folder / METADATA).is_file()


def is_vacant(folder: Path) -> bool:
    """Tell whether there is no such folder, or nothing in it."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True


def age(path: Path) -> float:
    """Return the seconds since a file changed; 0 when it has gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _newest_claim(folder: Path) -> int:
    try:
        found = [_CLAIM.fullmatch(path.name) for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return max((int(match.group(1)) for match in found if match), default=0)


def _write_claim(path: Path) -> None:
    path.mkdir()
    facts = {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "start": _start_time(os.getpid()),
    }
    (path / "claim.json").write_text(json.dumps(facts))
    (path / "heartbeat").write_text("0")


def _rename(stage: Path, target: Path) -> bool:
    """Rename a folder to one that is missing or empty; tell whether it worked."""
    try:
        stage.rename(target)
    except OSError as error:
        shutil.rmtree(stage, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    return True


def _machine() -> str:
    """Return what tells apart the places where a process number means something."""
    boot = _read(Path("/proc/sys/kernel/random/boot_id")) or ""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - Python 3.8
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {boot.strip()} {namespace}"


def _start_time(pid: int) -> str | None:
    """Return when a process started; "alive" where that is not told; None: there is none."""
    status = _read(Path(f"/proc/{pid}/stat"))
    if status is not None:
        fields = status.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    if Path("/proc/self").is_dir():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "alive"
    return "alive"


def _beside(folder: Path, purpose: str) -> Path:
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.{purpose}")


def _sweep(folder: Path) -> None:
    """Remove what processes killed at the wrong moment left beside the folder."""
    name = glob.escape(folder.name)
    for path in folder.parent.glob(f".{name}.*.old"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.parent.glob(f".{name}.*.new"):
        # One that is just being filled is not ours to remove.
        if age(path) > 3600:
            shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None

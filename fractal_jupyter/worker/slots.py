"""The files of the units that are running: a folder for each, used again and again.

    <slot>/args.json   arguments
    <slot>/out.json    what the unit writes
    <slot>/log         its standard output and error

There are more folders than units running side by side, so that the arguments of the next unit are
there before a unit ends, and a unit's files can be read while the next one runs. Each unit gets new
files, never those of an earlier one: what a process that an earlier unit left behind still writes
reaches nobody.
"""

from __future__ import annotations

import os
import shutil
from typing import NamedTuple, Optional

from .segments import Segments

ARGUMENTS = "args.json"
OUTPUT = "out.json"
LOG = "log"

_CHUNK = 1024 * 1024
_TAIL = 64 * 1024
# Should a unit have put something else in the place of a file: neither wait for it nor follow it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK if os.name == "posix" else os.O_RDONLY


class Kept(NamedTuple):
    """Where the log of a unit is kept: `length` bytes from `offset` of segment `segment` on."""

    segment: int
    offset: int
    length: int
    dropped: int


NO_LOG = Kept(0, 0, 0, 0)


class Slots:
    """The folders below `folder`."""

    def __init__(self, folder: str, count: int) -> None:
        self._folder = folder
        self._paths = [os.path.join(folder, str(slot)) for slot in range(count)]
        for path in self._paths:
            os.makedirs(path, mode=0o700)
        self._free = list(range(count))

    def __bool__(self) -> bool:
        """Whether there is a folder that no unit has."""
        return bool(self._free)

    def path(self, slot: int) -> str:
        """The folder of a slot."""
        return self._paths[slot]

    def take(self, arguments: bytes) -> int:
        """Take a folder and write the arguments of a unit into it; return its number."""
        slot = self._free[-1]
        path = os.path.join(self._paths[slot], ARGUMENTS)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while arguments:
                arguments = arguments[os.write(fd, arguments) :]
        finally:
            os.close(fd)
        return self._free.pop()

    def release(self, slot: int) -> None:
        """Remove what the unit has left in the folder, and make it free.

        A folder that cannot be emptied is given up for a new one.
        """
        folder = self._paths[slot]
        try:
            for name in os.listdir(folder):
                os.unlink(folder + "/" + name)
        except OSError:  # the unit made folders, or removed this one
            shutil.rmtree(folder, ignore_errors=True)
            if os.path.lexists(folder):
                slot = len(self._paths)
                folder = os.path.join(self._folder, str(slot))
                self._paths.append(folder)
            os.makedirs(folder, mode=0o700)
        self._free.append(slot)

    def remove(self) -> None:
        """Remove all folders."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def output(self, slot: int) -> Optional[bytes]:
        """What the unit has written; None when it has not.

        Raises:
            OSError: There is something that cannot be read.
        """
        try:
            fd = os.open(self._paths[slot] + "/" + OUTPUT, _READ)
        except FileNotFoundError:
            return None
        try:
            # At once, so that hundreds of megabytes are in memory only once.
            size = os.fstat(fd).st_size
            data = os.read(fd, size)
            while len(data) < size:
                more = os.read(fd, size - len(data))
                if not more:
                    break
                data += more
            return data
        finally:
            os.close(fd)

    def log_size(self, slot: int) -> int:
        """How much the unit has logged, in bytes."""
        try:
            return os.stat(self._paths[slot] + "/" + LOG).st_size
        except OSError:
            return 0

    def log_tail(self, slot: int) -> bytes:
        """The end of the log."""
        try:
            return read_tail(self._paths[slot] + "/" + LOG)
        except OSError:
            return b""

    def keep_log(self, slot: int, limit: int, logs: Segments) -> Kept:
        """Append the log of a unit to the log of the batch; see `keep_file`."""
        return keep_file(self._paths[slot] + "/" + LOG, limit, logs)


def read_tail(path: str) -> bytes:
    """The last 64 KiB of a file; raises `OSError`."""
    fd = os.open(path, _READ)
    try:
        os.lseek(fd, max(0, os.fstat(fd).st_size - _TAIL), os.SEEK_SET)
        return os.read(fd, _TAIL)
    finally:
        os.close(fd)


def keep_file(path: str, limit: int, logs: Segments) -> Kept:
    """Append a file to the log of the batch, without its middle if it is longer than `limit`.

    Raises:
        OSError: It cannot be read or written; part of it may have been written.
    """
    fd = os.open(path, _READ)
    try:
        size = os.fstat(fd).st_size
        half = limit // 2
        dropped = size - 2 * half if size > limit else 0
        logs.make_room(size - dropped)
        offset = logs.begin()
        if dropped:
            _copy(fd, half, logs)
            logs.write(b"\n[... %d bytes left out here ...]\n" % dropped)
            os.lseek(fd, size - half, os.SEEK_SET)
            _copy(fd, half, logs)
        else:
            _copy(fd, size, logs)
        return Kept(logs.number, offset, logs.size - offset, dropped)
    finally:
        os.close(fd)


def _copy(fd: int, length: int, logs: Segments) -> None:
    while length > 0:
        data = os.read(fd, min(length, _CHUNK))
        if not data:
            break
        logs.write(data)
        length -= len(data)

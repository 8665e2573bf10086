"""Attempts at a batch: at any time one of them counts, whatever a scheduler starts again.

An attempt claims the batch by making the folder `attempt-<k>`, which only one process can, and
writes only there. It shows that it lives by changing its `heartbeat` file, and sees that it was
superseded by the folder of a later attempt. The later one waits until the earlier ones have
recorded that they ended, are known to be dead, or are silent for long enough, before it starts
anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Iterator, List, Optional

from . import linux
from .records import Record, decode_lines

_PREFIX = "attempt-"
_HEARTBEAT = "heartbeat"
# An attempt whose heartbeat has not changed for that many intervals is silent.
SILENT_INTERVALS = 5
# More than the first and the last record of an attempt take.
_SHORT = 4096
# More than the records of its first units take, as a rule.
_BEGINNING = 1024 * 1024
# Of how many batches of a phase others look at what they have learned; all might start at once.
_MOST_BESIDE = 4


def numbers(batch_folder: str) -> List[int]:
    """The numbers of the attempts at a batch, in order.

    Listing the folder asks a network file system anew; looking for one name may not.
    """
    with os.scandir(batch_folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    found = (name[len(_PREFIX) :] for name in names if name.startswith(_PREFIX))
    return sorted(int(number) for number in found if number.isdigit())


def attempt_folder(batch_folder: str, number: int) -> str:
    """The folder of an attempt."""
    return os.path.join(batch_folder, "%s%d" % (_PREFIX, number))


class Attempt:
    """This worker's attempt.

    Attributes:
        number: 1 for the first.
        folder: Where it writes.
    """

    def __init__(self, batch_folder: str) -> None:
        """Claim the batch; raises OSError if its folder cannot be written."""
        self._batch_folder = batch_folder
        self.number = max(numbers(batch_folder), default=0)
        while True:
            self.number += 1
            self.folder = attempt_folder(batch_folder, self.number)
            try:
                os.mkdir(self.folder, 0o700)
                break
            except FileExistsError:
                continue  # another worker was faster
        self._heartbeat = os.path.join(self.folder, _HEARTBEAT)
        self._beats = 0

    def beat(self) -> None:
        """Change the heartbeat file."""
        self._beats += 1
        # Opened and closed each time: that is when network file systems show it to others.
        fd = os.open(self._heartbeat, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(fd, b"%012d %017.6f\n" % (self._beats, time.time()))
        finally:
            os.close(fd)

    def superseded(self) -> bool:
        """Whether there is a later attempt."""
        return max(numbers(self._batch_folder)) > self.number

    def earlier(self) -> List[Predecessor]:
        """The attempts before this one."""
        before = (number for number in numbers(self._batch_folder) if number < self.number)
        return [Predecessor(attempt_folder(self._batch_folder, number)) for number in before]

    def beside(self) -> Iterator[Predecessor]:
        """The attempts at the first batches of the same phase; they may be of any age."""
        phase, own = os.path.split(self._batch_folder)
        prefix = own.rstrip("0123456789")
        if prefix == own:
            return
        others = [name for name in os.listdir(phase) if name.rstrip("0123456789") == prefix]
        others.sort(key=lambda name: (len(name), name))
        for name in others[:_MOST_BESIDE]:
            folder = os.path.join(phase, name)
            if name != own:
                yield from (Predecessor(attempt_folder(folder, n)) for n in numbers(folder))


class Predecessor:
    """An earlier attempt, whose worker may be alive.

    Attributes:
        folder: Where it writes.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._content: Optional[bytes] = None
        self._since = float("-inf")

    def over(self, now: float, patience: float) -> bool:
        """Whether it will not write or start anything any more.

        Args:
            now: `time.monotonic()`.
            patience: For how many seconds it must have shown no sign of life.
        """
        segments = self._segments()
        if segments:
            first, last = _first_record(segments[0]), _last_record(segments[-1])
            if last.get("event") == "finished" or _is_dead(first):
                return True
        try:
            with open(os.path.join(self.folder, _HEARTBEAT), "rb") as file:
                content = file.read()
        except OSError:
            content = b""
        if content != self._content:
            self._content, self._since = content, now
        return now - self._since >= patience

    def records(self) -> Iterator[Record]:
        """Everything that it has recorded."""
        for path in self._segments():
            with open(path, "rb") as file:
                yield from decode_lines(file.read())[0]

    def first_records(self) -> List[Record]:
        """What it recorded of its first units."""
        segments = self._segments()
        if not segments:
            return []
        with open(segments[0], "rb") as file:
            return decode_lines(file.read(_BEGINNING))[0]

    def _segments(self) -> List[str]:
        names = [name for name in os.listdir(self.folder) if name.startswith("results-")]
        names.sort(key=lambda name: (len(name), name))
        return [os.path.join(self.folder, name) for name in names]

    def kill_leftovers(self) -> None:
        """Kill processes of its units that have outlived it on this machine."""
        for pid in linux.processes_below(self.folder):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)


def _first_record(path: str) -> Record:
    with open(path, "rb") as file:
        records, _ = decode_lines(file.read(_SHORT))
    return records[0] if records else {}


def _last_record(path: str) -> Record:
    """The last record, unless it is a long one."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _SHORT))
        records, _ = decode_lines(file.read())
    return records[-1] if records else {}


def _is_dead(attempt: Record) -> bool:
    """Whether the process of an attempt ran on this machine and is no more."""
    machine = linux.machine()
    if attempt.get("event") != "attempt" or machine is None or attempt["machine"] != machine:
        return False
    return bool(linux.start_ticks(attempt["pid"]) != attempt["start_time"])

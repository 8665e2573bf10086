"""The worker's end of the line to a forker."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Sequence, Union

from . import linux, processes
from .batch import Batch
from .processes import Exit
from .wire import (
    COMMAND,
    ENDED,
    FORK,
    FORKED,
    FRAME,
    KILL,
    LEARN,
    LEARNED,
    READY,
    REFUSED,
    RETURNED,
)


class Ready(NamedTuple):
    """The forker has imported what it should; it took `seconds`, `modules` are loaded."""

    seconds: float
    modules: int


class GaveUp(NamedTuple):
    """The forker will fork nothing more."""

    reason: str


class Forked(NamedTuple):
    """The unit in a slot has a process."""

    slot: int
    pid: int


class Refused(NamedTuple):
    """The unit in a slot could not be started."""

    slot: int
    number: int


class Returned(NamedTuple):
    """The unit in a slot was not started, because the forker has become unfit meanwhile."""

    slot: int


Message = Union[Ready, GaveUp, Forked, Refused, Returned, Exit]


def unfit(batch: Batch, units: int) -> Optional[str]:
    """Say why units of a batch, `units` of them, cannot be forked; None if that can be tried."""
    command = batch.command
    if not linux.LINUX or not linux.HAS_PRCTL:
        return "forking is safe on Linux only, with a Python that has ctypes"
    if units == 1:
        return "a single unit gains nothing from it"
    interpreter = os.path.basename(command[0])
    digits = interpreter[len("python") :].replace(".", "")
    if not interpreter.startswith("python") or (digits and not digits.isdigit()):
        return "the command does not begin with a Python interpreter"
    if len(command) < 2 or not command[1].endswith(".py") or not os.path.isabs(command[1]):
        return "the command is not of the form `python /path/of/script.py`"
    return None


class Forker:
    """A forker, seen from the worker.

    Attributes:
        ready: Whether it has imported what it should, and lives.
        served: Whether it was ready at any time.
        pid: Its process.
        fd: Readable when it has said something.
        slots: Where units that it has forked are running.
        output: The file with what it wrote to its standard output and error.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        folder: str,
        slots: str,
        preload: Sequence[str],
        units: int,
        number: int,
    ) -> None:
        """Start it; raises OSError if that fails.

        Args:
            batch: What it forks units of.
            folder: The folder of the attempt.
            slots: The folder of the slots.
            preload: Modules to import beyond what the script names.
            units: How many units there will be.
            number: Which of the batch's forkers it is.
        """
        self.ready = self.served = False
        self.output = os.path.join(folder, "forker-%d.log" % number)
        self.slots: Dict[int, int] = {}
        self._learned = os.path.join(folder, LEARNED)
        self._frames = b""
        self._setup = os.path.join(folder, "forker-%d.json" % number)
        with open(self._setup, "w", encoding="ascii", opener=_private_opener) as file:
            json.dump(self._what_it_has_to_know(batch, slots, preload, units), file)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.fd = ours.detach()
        keep = processes.make_private(theirs.detach())
        try:
            self.pid = processes.start(
                [batch.command[0], "-c", _boot(keep, self._setup), *batch.command[1:]],
                env=batch.env,
                cwd=batch.cwd or folder,
                output=self.output,
                keep=keep,
            )
        except BaseException:
            os.close(self.fd)
            raise
        finally:
            os.close(keep)

    def _what_it_has_to_know(
        self, batch: Batch, slots: str, preload: Sequence[str], units: int
    ) -> Dict[str, Any]:
        return {
            "command": batch.command,
            "slots": slots,
            "cwd": batch.cwd,
            "preload": preload,
            "learned": self._learned,
            "said": self.output,
            "announce": batch.memory_limit is not None,
            "units": units,
            "side_by_side": batch.side_by_side(units),
        }

    def start(self, slot: int, share: int, *, report: bool) -> None:
        """Have the unit in a slot started on a share of processors.

        `report`: it is to list the modules that it loads.
        """
        self.slots[slot] = 0
        self._send(FORK, int(report), slot, share)

    def kill(self, slot: int, number: int) -> None:
        """Send a signal to the unit in a slot."""
        self._send(KILL, number, slot)

    def learn(self, modules: Iterable[str]) -> None:
        """Have modules imported; the answer is `Ready` or `GaveUp`."""
        with open(self._learned, "w", encoding="utf-8", opener=_private_opener) as file:
            file.write("\n".join(modules))
        self._send(LEARN, 0, 0)

    def messages(self) -> Iterator[Message]:
        """Yield what it has said since; raises EOFError when it will say nothing more."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        frames = self._frames + data
        position = 0
        while len(frames) - position >= FRAME.size:
            frame = FRAME.unpack_from(frames, position)
            kind, slot, pid, status = frame[:4]
            if kind == ENDED:
                del self.slots[slot]
                yield Exit(*frame[1:])
            elif kind == FORKED:
                self.slots[slot] = pid
                yield Forked(slot, pid)
            elif kind == REFUSED:
                del self.slots[slot]
                yield Refused(slot, status)
            elif kind == RETURNED:
                del self.slots[slot]
                yield Returned(slot)
            else:
                end = position + FRAME.size + status
                if len(frames) < end:
                    break
                facts = json.loads(frames[position + FRAME.size : end])
                yield Ready(**facts) if kind == READY else GaveUp(**facts)
                position += status
            position += FRAME.size
        self._frames = frames[position:]
        if not data:
            raise EOFError

    def close(self) -> None:
        """Hang up: it ends, and its units with it."""
        self.ready = False
        os.close(self.fd)

    def remove_files(self) -> None:
        """Remove what it has left but what it wrote."""
        for path in (self._setup, self._learned):
            with contextlib.suppress(OSError):  # nothing was learned
                os.unlink(path)
        with contextlib.suppress(OSError):
            if not os.stat(self.output).st_size:
                os.unlink(self.output)

    def _send(self, kind: bytes, number: int, slot: int, share: int = 0) -> None:
        with contextlib.suppress(OSError):  # it is dead, which is noticed elsewhere
            os.write(self.fd, COMMAND.pack(kind, number, slot, share))


def _boot(control: int, setup: str) -> str:
    """What the interpreter is told: one expression, so that it leaves no names behind."""
    package = str(__package__)
    root = os.path.abspath(__file__)
    for _ in range(package.count(".") + 2):
        root = os.path.dirname(root)
    return (
        "__import__('sys').path.insert(0, %r) or __import__(%r, fromlist=['main']).main(%d, %r)()"
        % (root, package + ".forker", control, setup)
    )


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

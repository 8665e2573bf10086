"""Waking a process that waits: a datagram to its Unix socket, instead of asking again and again."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import tempfile
import time
from pathlib import Path

# A socket's path may have about 100 bytes: job folders and home directories are often longer, and
# where TMPDIR is set it may be one of these.
_FOLDER_PREFIX = "fractal-jupyter-"
_SHORT_PLACE = "/tmp"  # noqa: S108  a new folder in it, which only we may read
# What a client says: a job was submitted, or is to be cancelled. (Workers say ".": results.)
JOBS = b"j"


class Alarm:
    """A socket that others can ring; `wait` returns when somebody has, or when time is up.

    Attributes:
        address: The path of the socket, or None where there can be none (no Unix sockets, no
            place for temporary files); then `wait` wakes only when time is up.
    """

    def __init__(self) -> None:
        self.address: str | None = None
        self._socket: socket.socket | None = None
        if not hasattr(socket, "AF_UNIX"):
            return
        for place in (None, _SHORT_PLACE):
            try:
                self._bind(place)
                return
            except OSError:
                continue

    def _bind(self, place: str | None) -> None:
        with contextlib.ExitStack() as undo:
            folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=place))
            undo.callback(folder.rmdir)
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            sock.bind(str(folder / "alarm"))
            sock.setblocking(False)
            self._socket, self.address = sock, str(folder / "alarm")
            undo.pop_all()

    def wake_on_signals(self) -> None:
        """Also wake when the process gets a signal, for instance of a child that has ended."""
        if self._socket is None or self.address is None:
            return
        self._own_end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._own_end.setblocking(False)
        self._own_end.connect(self.address)
        signal.set_wakeup_fd(self._own_end.fileno(), warn_on_full_buffer=False)

    def wait(self, seconds: float) -> set[bytes]:
        """Wait until rung, `seconds` at most; return the different messages that came."""
        if self._socket is None:
            time.sleep(max(0.0, seconds))
            return set()
        rung, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        messages: set[bytes] = set()
        if rung:
            with contextlib.suppress(BlockingIOError):
                while True:
                    messages.add(self._socket.recv(4096))
        return messages

    def ring(self) -> None:
        """Wake whoever waits."""
        ring(self.address)

    def close(self) -> None:
        """Remove the socket."""
        if self._socket is None or self.address is None:
            return
        if hasattr(self, "_own_end"):
            signal.set_wakeup_fd(-1)
            self._own_end.close()
        self._socket.close()
        with contextlib.suppress(OSError):
            Path(self.address).unlink()
            Path(self.address).parent.rmdir()


def ring(address: bytes | str | None, message: bytes = JOBS) -> bool:
    """Wake whoever listens at `address`; return whether somebody does."""
    if not address or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(message, address)
        except BlockingIOError:
            return True  # its queue is full: it will wake
        except OSError:
            return False
    return True

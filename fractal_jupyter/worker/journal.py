"""What the worker tells the world: the results of its attempt, and a nudge to whoever reads them.

A record is written at once, which is enough to survive the death of the worker; once a second, and
at the end, all of them are flushed to the disk together, which is for the death of the machine.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import socket
import time
from typing import Callable, Optional

from .records import Record, encode
from .segments import Segments

SYNC_INTERVAL = 1.0
NOTIFY_INTERVAL = 0.05
_NEVER = float("inf")

_flush: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Journal:
    """Appends records to `results-…` in the folder of an attempt.

    Attributes:
        wake: When `tick` has something to do (`time.monotonic()`); infinite when it has not.
    """

    def __init__(self, folder: str, *, notify: Optional[str]) -> None:
        self._segments = Segments(folder, "results")
        self._reader = _Reader(notify)
        self._syncing = _thread.allocate_lock()
        self._sync_at = self._notify_at = self.wake = _NEVER
        self._last_sync = self._last_notice = -_NEVER

    def record(self, **record: object) -> None:
        """Append one record."""
        document: Record = record
        self.write(encode(document))

    def write(self, lines: bytes) -> None:
        """Append lines that are encoded already.

        Raises:
            OSError: They could not be written.
        """
        self._segments.append(lines)
        if self._notify_at == _NEVER:
            self._notify_at = max(time.monotonic(), self._last_notice + NOTIFY_INTERVAL)
            self.wake = min(self.wake, self._notify_at)
        if self._sync_at == _NEVER:
            self._sync_at = max(time.monotonic(), self._last_sync + SYNC_INTERVAL)
            self.wake = min(self.wake, self._sync_at)

    def tick(self, now: float) -> None:
        """Nudge the reader and start flushing, each if it is time."""
        if now >= self._notify_at:
            self._reader.nudge()
            self._last_notice, self._notify_at = now, _NEVER
        if now >= self._sync_at:
            # In a thread, since a flush may take seconds: units are started meanwhile.
            idle = self._syncing.acquire(False)
            if idle:
                _thread.start_new_thread(self._sync, (os.dup(self._segments.fd),))
            self._last_sync, self._sync_at = now, _NEVER if idle else now + SYNC_INTERVAL
        self.wake = min(self._notify_at, self._sync_at)

    def close(self) -> None:
        """Flush everything and nudge the reader a last time."""
        with self._syncing:
            self._segments.sync()
            self._segments.close()
        self._reader.nudge()
        self._reader.close()

    def _sync(self, fd: int) -> None:
        try:
            with contextlib.suppress(OSError):  # a disk that is lost is noticed by the next write
                _flush(fd)
        finally:
            os.close(fd)
            self._syncing.release()


class _Reader:
    """Whoever waits for news at a Unix datagram socket; that nobody does is no error."""

    def __init__(self, path: Optional[str]) -> None:
        self._path = path
        self._socket = None
        if path is not None and hasattr(socket, "AF_UNIX"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def nudge(self) -> None:
        if self._socket is not None and self._path is not None:
            with contextlib.suppress(OSError):  # nobody listens, or has enough to read
                self._socket.sendto(b".", self._path)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

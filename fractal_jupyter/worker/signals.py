"""Signals to the worker, as something that `poll` can wait for."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Optional

from . import processes


class Signals:
    """Catches signals from now on.

    Attributes:
        fd: Readable when one has come.
        asked_to_end: The signal that asked the worker to end, if any did.
    """

    def __init__(self) -> None:
        read_end, write_end = os.pipe()
        self.fd = processes.make_private(read_end)
        self._write_end = processes.make_private(write_end)
        self.asked_to_end: Optional[int] = None
        self._child_ended = False
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_end, False)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._on_child)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_end)

    def clear(self) -> None:
        """Make `fd` unreadable until the next signal."""
        os.read(self.fd, 512)

    def child_ended(self) -> bool:
        """Whether a child may have ended since this was asked last."""
        ended, self._child_ended = self._child_ended, False
        return ended

    def _on_child(self, _number: int, _frame: Optional[FrameType]) -> None:
        self._child_ended = True

    def _on_end(self, number: int, _frame: Optional[FrameType]) -> None:
        self.asked_to_end = number

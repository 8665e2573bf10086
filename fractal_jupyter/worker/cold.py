"""Units as processes of their own, started by the worker itself."""

from __future__ import annotations

import functools
import time
from typing import Dict, Iterator, Optional, Tuple

from . import processes
from .batch import Batch
from .processes import Exit
from .processors import Shares


class Starter:
    """Starts units and knows which process is whose.

    Attributes:
        slots: The process of the unit in each slot.
    """

    def __init__(self, batch: Batch, slots: str, shares: Shares) -> None:
        """Start nothing yet; `slots` is the folder of the slots."""
        self.slots: Dict[int, int] = {}
        self._batch = batch
        self._folder = slots
        self._shares = shares
        self._running: Dict[int, Tuple[int, float]] = {}  # pid: slot, start

    def start(self, slot: int, share: int) -> None:
        """Start the unit in a slot on a share of processors; raises OSError if that fails."""
        folder = "%s/%d" % (self._folder, slot)
        started = time.time()
        pid = processes.start(
            [
                *self._batch.command,
                *("--args-json", folder + "/args.json"),
                *("--out-json", folder + "/out.json"),
            ],
            env=self._batch.env,
            cwd=self._batch.cwd or folder,
            output=folder + "/log",
            expendable=True,
            prepare_child=functools.partial(self._shares.bind, share),
        )
        self.slots[slot] = pid
        self._running[pid] = slot, started

    def kill(self, slot: int, number: int) -> None:
        """Send a signal to the processes of the unit in a slot."""
        processes.kill_group(self.slots[slot], number)

    def ended(self, pid: int) -> Optional[Exit]:
        """Wait for a child that has ended; None if it is no unit, and nothing was done."""
        if pid not in self._running:
            return None
        slot, started = self._running.pop(pid)
        del self.slots[slot]
        return processes.reap(slot, pid, started)

    def all_ended(self) -> Iterator[Exit]:
        """Wait for all units that have ended."""
        for pid, (slot, started) in list(self._running.items()):
            unit = processes.reap_if_ended(slot, pid, started)
            if unit is not None:
                del self._running[pid], self.slots[slot]
                yield unit

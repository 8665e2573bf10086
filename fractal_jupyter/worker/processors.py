"""Which processors units run on: each has its share while as many run as may run side by side.

A unit whose threads take turns, as those of zarr and dask do all the time, then does not wake up
one processor from another, and no unit takes what another one was given. Units that are the last
of a batch get what others have left.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import FrozenSet, Iterator, List

from . import linux


class Shares:
    """The processors that this process may use, dealt out to `count` units.

    There are no shares, and nothing is done, where there is one unit or more units than processors,
    and on systems that do not let a process choose.
    """

    def __init__(self, count: int) -> None:
        usable: List[int] = []
        if sys.platform == "linux":
            usable = sorted(os.sched_getaffinity(0))
        total = len(usable)
        self._all = frozenset(usable)
        self._shares = [
            frozenset(usable[total * number // count : total * (number + 1) // count])
            for number in range(count if 1 < count <= total else 0)
        ]
        self._free = list(range(count))
        self._loosened = False

    def take(self) -> int:
        """Take a share that no unit has; return its number."""
        return self._free.pop()

    def release(self, share: int) -> None:
        """Take back a share, of a unit that has ended."""
        self._free.append(share)

    def bind(self, share: int) -> None:
        """Run this process on a share only."""
        if self._shares:
            _run_on(self._shares[share])

    @contextlib.contextmanager
    def as_a_unit(self) -> Iterator[None]:
        """Run this process on a share for a while.

        Libraries that count processors when they are imported then find as many as in a process
        of a unit's own.
        """
        self.bind(0)
        try:
            yield
        finally:
            if self._shares:
                _run_on(self._all)

    def loosen(self) -> None:
        """Let units that are running use all processors: no more are started. Done once."""
        if sys.platform != "linux" or not self._shares or self._loosened:
            return
        self._loosened = True
        for pid in linux.descendants(os.getpid()):
            for thread in linux.threads(pid):
                with contextlib.suppress(OSError):  # it has ended
                    if os.sched_getaffinity(thread) in self._shares:  # and was not moved since
                        os.sched_setaffinity(thread, self._all)


def _run_on(processors: FrozenSet[int]) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # they were taken away from all of us
            os.sched_setaffinity(0, processors)

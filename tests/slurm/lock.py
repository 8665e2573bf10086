"""Locks on what a machine has only one of, between the processes and sessions of tests."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.toy import wait_until

# A test that waits for a lock needs a longer timeout than this.
SECONDS = 600.0


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of this name; it is gone with the process, however that ends."""
    with path.open("a+") as file:

        def locked() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(locked, seconds=SECONDS)
        yield

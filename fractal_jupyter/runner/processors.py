"""How many processors there are for jobs on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_processors(*, system: Path = Path("/")) -> int:
    """How many processors this process may use: its affinity and the quotas of its control groups.

    A quota of a group holds for all groups in it, so that the least from its own upwards counts:
    that of a slice, of a container, of a service.

    Args:
        system: Where `/proc` and `/sys` are.
    """
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 1
    return min([usable, *(max(1, quota) for quota in _quotas(system))])


def _quotas(system: Path) -> Iterator[int]:
    """Whole processors that the groups of this process may use, as far as there are quotas."""
    for group in _groups(system):
        # version 2 of control groups, or version 1
        words = _text(group / "cpu.max").split() or [
            word
            for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            for word in _text(group / name).split()
        ]
        if len(words) == 2 and all(word.isdigit() for word in words):  # not `max`, not `-1`
            yield int(words[0]) // int(words[1])


def _groups(system: Path) -> Iterator[Path]:
    """The folders of the control groups that this process is in, each with those above it."""
    for line in _text(system / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = system / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # Where a container does not see its own group, what is not there is passed over, and what
        # it sees as the top is its own.
        own = PurePosixPath(path.lstrip("/"))
        for part in (own, *own.parents):
            yield mount / part


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

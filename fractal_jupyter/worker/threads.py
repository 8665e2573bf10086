"""Whether forking is safe after the imports: what of native threads they have left running.

A forked child has one thread. Threads that only wait, and libraries that start theirs again after a
fork, do no harm; any other may have held a lock that nobody in the child will ever release.
"""

from __future__ import annotations

import _thread
import os
import re
from typing import Collection, List, Mapping, Optional

from . import linux

# Seen to do no harm: they take care of forks, or wait for work that does not come.
HARMLESS = frozenset({b"jemalloc_bg_thd", b"polars-ooc-clea"})
_OPENBLAS = re.compile(rb"/[^/\n]*openblas[^/\n]*\.so[^/\n]*$", re.M)
_OPENBLAS_LIMITS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


def obstacle(env: Mapping[str, str], units: Collection[int] = ()) -> Optional[str]:
    """Say why this process must not be forked; None if it may be.

    Args:
        env: Its environment.
        units: The children that it has forked itself.
    """
    if _thread._count():
        return "importing what the script imports leaves %d Python threads" % _thread._count()
    children = linux.Children()
    left = set(children.list()).difference(units)
    children.close()
    if left:
        return "importing what the script imports leaves %d processes" % len(left)
    unknown = _unknown_threads(env)
    if unknown:
        names = ", ".join(sorted({name.decode(errors="replace") for name in unknown}))
        return "importing what the script imports leaves native threads (%s)" % names
    return None


def _unknown_threads(env: Mapping[str, str]) -> List[bytes]:
    me = os.getpid()
    own = (_INITIAL_NAME, _name(me))  # some libraries rename the process
    found = [
        name
        for task in os.listdir("/proc/self/task")
        if int(task) != me
        for name in [_name(int(task))]
        if name is not None and name not in HARMLESS
    ]
    # The threads of OpenBLAS have no name of their own. It ends them before a fork and starts new
    # ones in the child; there can be one less than there are processors, for each copy of it.
    unnamed = [name for name in found if name in own]
    if len(unnamed) <= _openblas_copies() * (_openblas_threads(env) - 1):
        return [name for name in found if name not in own]
    return found


def _name(task: int) -> Optional[bytes]:
    try:
        with open("/proc/self/task/%d/comm" % task, "rb", buffering=0) as file:
            return file.read().rstrip(b"\n")
    except OSError:
        return None  # it has ended


def _openblas_copies() -> int:
    with open("/proc/self/maps", "rb") as file:
        return len(set(_OPENBLAS.findall(file.read())))


def _openblas_threads(env: Mapping[str, str]) -> int:
    threads = len(os.sched_getaffinity(0))
    for name in _OPENBLAS_LIMITS:
        if env.get(name, "").isdigit() and int(env[name]) > 0:
            return min(threads, int(env[name]))
    return threads


_INITIAL_NAME = _name(os.getpid())

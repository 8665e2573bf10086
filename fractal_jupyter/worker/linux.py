"""What only Linux has: ties between processes, and what /proc says. Elsewhere most does nothing."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Any, Callable, Iterator, List, Optional, Tuple

LINUX = sys.platform.startswith("linux")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIGKILL = 9  # the enumeration in `signal` takes a forked process much longer


def _load() -> Any:
    if not LINUX:
        return None
    try:
        import ctypes  # not every Python is built with it
    except ImportError:
        return None
    libc = ctypes.CDLL(None)
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.memmove.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    # Functions are looked up when they are named first; not by each forked process, please.
    libc.fflush.argtypes = [ctypes.c_void_p]
    libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong]
    return libc


libc = _load()
HAS_PRCTL = libc is not None


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    if libc is not None:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when the parent ends, which has the id `parent`; at once if it has ended."""
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def flush_c_streams() -> None:
    """Write out what C code has printed and the C library still holds."""
    if libc is not None:
        libc.fflush(None)


def overwrite(address: int, data: bytes) -> None:
    """Write to the memory of this process."""
    if libc is not None:
        libc.memmove(address, data, len(data))


def private_memory() -> Iterator[Tuple[int, int, int]]:
    """Writable memory that is no file: where it begins and ends, and how much of it is in use."""
    start = end = 0
    for line in _read("/proc/self/smaps").decode(errors="surrogateescape").splitlines():
        fields = line.split(None, 5)
        if "-" in fields[0]:
            is_private = fields[1] == "rw-p" and (len(fields) < 6 or fields[5] == "[heap]")
            start, end = (int(part, 16) for part in fields[0].split("-")) if is_private else (0, 0)
        elif fields[0] == "Anonymous:" and end:
            yield start, end, int(fields[1]) * 1024


def be_expendable() -> None:
    """Be the first to go when memory runs out, before what started this process."""
    if not LINUX:
        return
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return  # no /proc: then nothing else is missing
    with contextlib.suppress(OSError):  # some sandboxes forbid it
        os.write(fd, b"1000")
    os.close(fd)


class Expendability:
    """Makes the processes that this one forks the first to go when memory runs out, before it.

    It is so itself while it forks: that takes less time than for each process to see to it.

    Attributes:
        fd: The descriptor that this takes; -1 if nothing can be done.
    """

    def __init__(self, make_private: Callable[[int], int]) -> None:
        """Change nothing yet; `make_private` gives a descriptor a number that is out of the way."""
        self.fd = -1
        with contextlib.suppress(OSError):  # no /proc, or one that may not be written
            self.fd = make_private(os.open("/proc/self/oom_score_adj", os.O_RDWR))
            self._usual = os.read(self.fd, 16)

    def begin(self) -> None:
        """From now on."""
        self._write(b"1000")

    def end(self) -> None:
        """No longer."""
        self._write(self._usual)

    def _write(self, value: bytes) -> None:
        if self.fd >= 0:
            with contextlib.suppress(OSError):  # some sandboxes forbid it
                os.pwrite(self.fd, value, 0)


def start_ticks(pid: int) -> Optional[int]:
    """When a process started, in clock ticks since boot; None when it has ended.

    With the pid it names a process for good.
    """
    # The name, in parentheses, may hold spaces and parentheses itself.
    fields = _read("/proc/%d/stat" % pid).rpartition(b")")[2].split()
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else None


def machine() -> Optional[str]:
    """What tells apart machines, their boots, and containers that count pids on their own."""
    try:
        return "%s %s" % (
            _read("/proc/sys/kernel/random/boot_id").decode().strip(),
            os.readlink("/proc/self/ns/pid"),
        )
    except OSError:
        return None


def session_of(pid: int) -> Optional[int]:
    """The id of a process's session; None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


class Children:
    """The processes whose parent is this one, orphans that it adopted included."""

    def __init__(self) -> None:
        self._fd = -1
        if LINUX:
            with contextlib.suppress(OSError):  # without it, orphans are left alone
                self._fd = os.open("/proc/thread-self/children", os.O_RDONLY)

    def list(self) -> List[int]:
        """Return their ids."""
        return [] if self._fd < 0 else [int(pid) for pid in os.pread(self._fd, 65536, 0).split()]

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)


def processes_below(folder: str) -> Iterator[int]:
    """Find processes that work in a folder or have their output there, this one excepted."""
    for name in os.listdir("/proc") if LINUX else []:
        if name.isdigit() and int(name) != os.getpid() and place_of(int(name), folder):
            yield int(name)


def place_of(pid: int, folder: str) -> Optional[str]:
    """Where in a folder a process works or has its output; None if it has nothing to do with it.

    Relative to the folder; ends with ` (deleted)` when that is what has become of it.
    """
    inside = folder.rstrip("/") + "/"
    for link in ("cwd", "fd/1", "fd/2"):
        try:
            target = os.readlink("/proc/%d/%s" % (pid, link))
        except OSError:
            continue  # it has ended, or belongs to somebody else
        if target.startswith(inside):
            return target[len(inside) :]
    return None


def memory_of(pid: int) -> int:
    """Bytes of memory that a unit uses: the process `pid` and all that descend from it.

    Everything resident of the process itself, and of its descendants what is theirs alone, so that
    pages that they share with it count once.
    """
    total = _resident(pid)
    for child in descendants(pid):
        total += _private(child)
    return total


def _resident(pid: int) -> int:
    statm = _read("/proc/%d/statm" % pid).split()
    return int(statm[1]) * os.sysconf("SC_PAGE_SIZE") if statm else 0


def _private(pid: int) -> int:
    rollup = _read("/proc/%d/smaps_rollup" % pid)
    return sum(int(kib) * 1024 for kib in re.findall(rb"^Private_\w+: +(\d+) kB", rollup, re.M))


def threads(pid: int) -> List[int]:
    """The threads of a process; none when it has ended."""
    try:
        return list(map(int, os.listdir("/proc/%d/task" % pid)))
    except OSError:
        return []


def descendants(pid: int) -> Iterator[int]:
    """The children of a process, their children, and so on."""
    for thread in threads(pid):
        for child in _read("/proc/%d/task/%d/children" % (pid, thread)).split():
            yield int(child)
            yield from descendants(int(child))


def oom_counter() -> Callable[[], int]:
    """Return a function that counts the processes killed because memory ran out, so far.

    Those of this process's own control group, or, where its group does not count, of the machine.
    """
    candidates = [
        (path, pattern)
        for path in _control_group_files()
        for pattern in [re.compile(rb"^oom_kill (\d+)", re.M)]
        if pattern.search(_read(path))
    ]
    if not candidates:
        return lambda: 0
    path, pattern = candidates[0]

    def count() -> int:
        match = pattern.search(_read(path))
        return int(match.group(1)) if match else 0

    return count


def _control_group_files() -> Iterator[str]:
    for line in _read("/proc/self/cgroup").decode(errors="surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield "/sys/fs/cgroup%s/memory.events" % path.rstrip("/")
            yield "/sys/fs/cgroup/unified%s/memory.events" % path.rstrip("/")
        elif "memory" in controllers.split(",") and path != "/":
            yield "/sys/fs/cgroup/memory%s/memory.oom_control" % path
    yield "/proc/vmstat"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""

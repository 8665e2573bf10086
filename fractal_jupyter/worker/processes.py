"""Starting a process, and what is known of one that has ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from typing import TYPE_CHECKING, Callable, List, Mapping, NamedTuple, Optional

from . import linux

if TYPE_CHECKING:
    from resource import struct_rusage

_RSS_UNIT = 1024 if linux.LINUX else 1  # what getrusage counts in differs
# Descriptors of our own get numbers from here on, so that others get those they would have anyway.
PRIVATE_DESCRIPTORS = 100


class Exit(NamedTuple):
    """The end of the process of a unit.

    Attributes:
        slot: Where it ran.
        pid: Its process, which is gone.
        status: As `wait` tells it.
        peak_memory: The most memory, in bytes, that it or a child that it waited for had resident
            at any time. For a forked unit that includes what was imported before, as it would for
            a process of its own.
        cpu_seconds: Processor time of it and of the children that it waited for.
        started: Unix time.
        ended: Unix time.
    """

    slot: int
    pid: int
    status: int
    peak_memory: int
    cpu_seconds: float
    started: float
    ended: float


def reap(slot: int, pid: int, started: float) -> Exit:
    """Wait for the process of a unit, which has ended, and kill what it has left in its group."""
    ended = time.time()
    # While nobody has waited for it, no other group can have its number.
    kill_group(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return _exit(slot, pid, started, ended, status, usage)


def reap_if_ended(slot: int, pid: int, started: float) -> Optional[Exit]:
    """Do the same if the process has ended; for systems that cannot tell before (macOS)."""
    found, status, usage = os.wait4(pid, os.WNOHANG)
    if not found:
        return None
    kill_group(pid, signal.SIGKILL)
    return _exit(slot, pid, started, time.time(), status, usage)


def _exit(
    slot: int, pid: int, started: float, ended: float, status: int, usage: struct_rusage
) -> Exit:
    return Exit(
        slot=slot,
        pid=pid,
        status=status,
        peak_memory=usage.ru_maxrss * _RSS_UNIT,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        started=started,
        ended=ended,
    )


def kill_group(leader: int, number: int) -> None:
    """Send a signal to the process group of a process, or to the process if it has none yet."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, number)
    except PermissionError:
        pass  # macOS, of a group that has only processes that have ended


def start(
    argv: List[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    output: str,
    keep: Optional[int] = None,
    expendable: bool = False,
    prepare_child: Optional[Callable[[], None]] = None,
) -> int:
    """Start a process in a session of its own, which dies with this one; return its pid.

    Args:
        argv: Its program (an absolute path) and arguments.
        env: Its whole environment.
        cwd: Its working directory.
        output: Path of a new file for its standard output and error.
        keep: A descriptor that it gets as well.
        expendable: Whether it is the first to be killed when memory runs out.
        prepare_child: Called in the new process before it becomes the program.

    Raises:
        OSError: It could not be started; `filename` is what is to blame.
    """
    parent = os.getpid()
    read_end, write_end = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        raise
    if pid == 0:
        try:
            os.setsid()
            linux.die_with(parent)
            if expendable:
                linux.be_expendable()
            _reset_signals()
            _open_standard_files(output)
            if prepare_child is not None:
                prepare_child()
            if keep is not None:
                os.set_inheritable(keep, True)
            os.chdir(cwd)
            os.execve(argv[0], argv, env)
        except OSError as error:
            text = "%d %s" % (error.errno or 0, error.filename or argv[0])
            os.write(write_end, os.fsencode(text))
        except ValueError as error:  # a null character in an argument
            os.write(write_end, os.fsencode("0 %s" % error))
        finally:
            os._exit(127)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = os.fsdecode(pipe.read())
    if said:
        os.waitpid(pid, 0)
        number, _, name = said.partition(" ")
        if number == "0":
            raise OSError(0, name)
        raise OSError(int(number), os.strerror(int(number)), name)
    return pid


def prepare() -> None:
    """Make this process fit to start others.

    They get none of the descriptors that whoever started this one left open, and its standard
    descriptors are open, so that nothing else gets their numbers.
    """
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            break
    folder = "/proc/self/fd" if linux.LINUX else "/dev/fd"
    for name in os.listdir(folder):
        if name.isdigit() and int(name) > 2:
            with contextlib.suppress(OSError):  # the one that listed the folder
                os.set_inheritable(int(name), False)


def make_private(fd: int) -> int:
    """Give a descriptor a high number; close the old one."""
    try:
        private = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_DESCRIPTORS)
    except OSError:  # fewer than that are allowed
        return fd
    os.close(fd)
    return private


def _reset_signals() -> None:
    """Undo what this Python and the worker changed; what was ignored before stays ignored."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _open_standard_files(output: str) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)

"""What a forked process does to be a unit: everything that a process of its own would find.

Nothing here imports anything, and little is touched: each page of memory that a forked process
writes to has to be copied.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import gc
import io
import os
import signal
import sys
import time
import warnings
from types import CodeType, TracebackType
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Tuple,
    Type,
)

from . import linux
from .wire import MODULES

Hook = Callable[[Type[BaseException], BaseException, Optional[TracebackType]], object]

# The module below `signal`, without enumerations: they take a forked process long.
_signal: Any = sys.modules["_signal"]
_MT19937_WORDS = 624
_NO_DEPRECATIONS = ("ignore", None, DeprecationWarning, None, 0)
# What the interpreter says when it cannot write its standard output at its end.
_LOST_OUTPUT = 120
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


class Nature(NamedTuple):
    """What all units of a forker have in common.

    Attributes:
        code: The script.
        namespace: What the script runs in: that of the module `__main__`.
        parent: The pid of the forker.
        private: Descriptors of the forker, not for units.
        handlers: What the forker does not do with signals, and units do.
        mask: The signals that units block.
        said: What was written to standard output and error when modules were imported.
        renewals: What is to be new in each process.
        modules: The modules that the forker has imported.
        environ: The environment after those imports.
        path: `sys.path` after them.
    """

    code: CodeType
    namespace: Dict[str, Any]
    parent: int
    private: Tuple[int, ...]
    handlers: Tuple[Tuple[int, Any], ...]
    mask: FrozenSet[int]
    said: bytes
    renewals: Tuple[Callable[[], object], ...]
    modules: FrozenSet[str]
    environ: Mapping[str, str]
    path: Tuple[str, ...]


class Place(NamedTuple):
    """Where one unit runs.

    Attributes:
        folder: The folder of its slot.
        log: Where its output goes.
        cwd: Its working directory.
        argv: What it finds as `sys.argv`.
        orig_argv: What it finds as `sys.orig_argv`.
    """

    folder: str
    log: str
    cwd: str
    argv: List[str]
    orig_argv: List[str]


def prepare(nature: Nature, place: Place) -> None:
    """Let what is forked next find itself in its place; in the forker. Raises OSError."""
    os.chdir(place.cwd)
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    if nature.said:
        os.write(1, nature.said)
    sys.argv = place.argv
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = place.orig_argv


def settle(nature: Nature) -> None:
    """Become a process like one that was started for the unit."""
    os.setsid()
    linux.die_with(nature.parent)
    signal.set_wakeup_fd(-1)
    for fd in nature.private:
        os.close(fd)
    for number, handler in nature.handlers:
        _signal.signal(number, handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, nature.mask)
    for renew in nature.renewals:
        renew()


def raw_handler(number: int) -> Any:
    """What a signal does, as `settle` wants it."""
    return _signal.getsignal(number)


def renewals() -> Tuple[Callable[[], object], ...]:
    """What modules that are loaded keep for the life of a process, and how to make it new."""
    found: List[Callable[[], object]] = []
    modules = sys.modules
    if sys.version_info >= (3, 12):
        found.append(_allow_warning)
    if "logging" in modules:
        found.append(_restart_clock(modules["logging"]))
    if "multiprocessing.process" in modules:
        found.append(_renew_multiprocessing(modules["multiprocessing.process"]))
    if "numpy.random.mtrand" in modules:
        found.append(_renew_numpy(modules["numpy.random.mtrand"]))
    if "threading" in modules:
        found.append(_renew_thread(modules["threading"].main_thread()))
    return tuple(found)


def forbid_warning() -> None:
    """Let Python (3.12 and newer) not warn of forking a process that has threads; in the forker.

    If warnings are errors, `fork` itself would fail, afterwards. What threads there are has been
    looked at.
    """
    if sys.version_info >= (3, 12):
        filters: Any = warnings.filters
        filters.insert(0, _NO_DEPRECATIONS)


def _allow_warning() -> None:
    """Undo that."""
    filters: Any = warnings.filters
    if _NO_DEPRECATIONS in filters:
        filters.remove(_NO_DEPRECATIONS)


def _renew_thread(main_thread: Any) -> Callable[[], object]:
    """Correct what Python gets wrong about the main thread of a forked process."""

    def renew() -> None:
        main_thread._native_id = os.getpid()

    return renew


def _restart_clock(logging: Any) -> Callable[[], object]:
    clock: Callable[[], float] = (
        time.time_ns if isinstance(logging._startTime, int) else time.time  # int since 3.13
    )

    def renew() -> None:
        logging._startTime = clock()

    return renew


def _renew_multiprocessing(process: Any) -> Callable[[], object]:
    def renew() -> None:
        process.current_process().authkey = os.urandom(32)
        process.ORIGINAL_DIR = os.getcwd()

    return renew


def _renew_numpy(mtrand: Any) -> Callable[[], object]:
    """Give the generator behind `numpy.random.random` and the like a state from the system.

    That is what its `seed()` does as well, with ten times the effort.
    """
    generator = mtrand._rand._bit_generator
    if type(generator).__name__ != "MT19937":
        return mtrand.seed  # type: ignore[no-any-return]
    address: int = generator.ctypes.state_address
    position = (_MT19937_WORDS).to_bytes(4, sys.byteorder)  # all used: mixed before the next draw

    def renew() -> None:
        linux.overwrite(address, os.urandom(4 * _MT19937_WORDS) + position)

    return renew


def live(nature: Nature, place: Place, *, report: bool) -> NoReturn:
    """Run the script as the program of this process, and end as the interpreter would.

    Args:
        nature: What units have in common.
        place: Where this one runs.
        report: Whether to list the modules that it loaded.
    """
    pid = os.getpid()
    error: Optional[BaseException] = None
    try:
        exec(nature.code, nature.namespace)
    except BaseException as caught:
        error = caught
    # A child that the script forked ends here as well.
    _end(nature, place, error, report=report and os.getpid() == pid)


def _end(nature: Nature, place: Place, error: Optional[BaseException], *, report: bool) -> NoReturn:
    _flush_quietly(sys.stderr)
    _flush_quietly(sys.stdout)
    if isinstance(error, SystemExit):
        status = _exit_status(error)
    else:
        status = 0 if error is None else _report_error(error)
        for name in ("__file__", "__cached__"):  # as the interpreter does
            nature.namespace.pop(name, None)
    if report and status == 0:
        _list_modules(nature, place)
    if not _finalize(nature.namespace):
        status = _LOST_OUTPUT
    if type(error) is KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def _exit_status(error: SystemExit) -> int:
    """The exit status that `sys.exit` asked for."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF
    with contextlib.suppress(Exception):  # as the interpreter does
        sys.stderr.write("%s\n" % (code,))
    return 1


def _report_error(error: BaseException) -> int:
    """Let the exception hook tell of an error that nothing has caught; return the exit status."""
    # The first frame is ours.
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    kind, trace = type(error), error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    hook: Optional[Hook] = getattr(sys, "excepthook", None)
    if hook is None:
        _write_error("sys.excepthook is missing\n")
        sys.__excepthook__(kind, error, trace)
        return 1
    try:
        hook(kind, error, trace)
    except SystemExit as exit_:
        return _exit_status(exit_)
    except BaseException as second:
        if second.__traceback__ is not None:
            second.__traceback__ = second.__traceback__.tb_next
        _write_error("Error in sys.excepthook:\n")
        sys.__excepthook__(type(second), second, second.__traceback__)
        _write_error("\nOriginal exception was:\n")
        sys.__excepthook__(kind, error, trace)
    return 1


def _write_error(text: str) -> None:
    with contextlib.suppress(Exception):  # nowhere to say it
        sys.stderr.write(text)


def _list_modules(nature: Nature, place: Place) -> None:
    """List what the unit has loaded beyond what the forker had, in that order.

    Not if it has changed what imports find: then it may have found others than the forker would.
    """
    if dict(os.environ) != nature.environ or tuple(sys.path) != nature.path:
        return
    names = [name for name in list(sys.modules) if _is_importable(name, nature)]
    try:
        with open(os.path.join(place.folder, MODULES), "w", encoding="utf-8") as file:
            file.write("\n".join(names))
    except (OSError, UnicodeError):
        pass  # the next unit loads them again


def _is_importable(name: str, nature: Nature) -> bool:
    if name in nature.modules or name in ("__main__", "__mp_main__"):
        return False
    spec: Any = getattr(sys.modules[name], "__spec__", None)
    return (
        getattr(spec, "name", None) == name
        and getattr(spec, "loader", None) is not None
        and (spec.origin == "built-in" or spec.has_location)
        and spec.origin != nature.code.co_filename
    )


def _finalize(namespace: Dict[str, Any]) -> bool:
    """End as an interpreter does, without taking everything apart; return if output was written.

    Taking all modules apart costs a third of a second after large imports and has no other effect
    than that finalizers run. Those of the script's own objects are run, and files that are open
    anywhere are flushed.
    """
    threading = sys.modules.get("threading")
    if threading is not None:
        try:
            threading._shutdown()
        except BaseException as error:
            _ignore(error, threading, "threading shutdown")
    with contextlib.suppress(BaseException):  # told already
        atexit._run_exitfuncs()
    written = _flush_standard_files()
    if not _thread._count():  # daemons would stumble over what is missing
        _clear(namespace)
        # A full collection also clears caches, which costs more than all the rest of the end.
        gc.collect(2 if gc.get_objects(generation=2) else 1)
    _flush_files()
    _flush_quietly(sys.stderr)
    _flush_quietly(sys.stdout)
    linux.flush_c_streams()
    return written


def _clear(namespace: Dict[str, Any]) -> None:
    """Let go of what the script has defined, in the order in which the interpreter does."""
    for name in list(namespace):
        if name[:1] == "_" and name[1:2] != "_":
            namespace[name] = None
    for name in list(namespace):
        if name != "__builtins__":
            namespace[name] = None


def _flush_files() -> None:
    """Write out what files hold that nobody has closed: those open before were none of a unit."""
    for kept in gc.get_objects():
        if type(kept) in _FILES and not kept.closed and kept.writable():
            _flush_quietly(kept)
    h5f = sys.modules.get("h5py.h5f")
    if h5f is not None:
        with contextlib.suppress(Exception):  # closed by now, or read-only
            for file in h5f.get_obj_ids(types=h5f.OBJ_FILE):
                h5f.flush(file)


def _flush_standard_files() -> bool:
    """Flush standard output and error; say so if that fails, and return whether it did not."""
    fine = True
    for name in ("stdout", "stderr"):
        file = getattr(sys, name, None)
        if file is None or getattr(file, "closed", False):
            continue
        try:
            file.flush()
        except BaseException as error:
            fine = False
            if name == "stdout":
                _ignore(error, file, "flushing sys.stdout")
    return fine


def _flush_quietly(file: Any) -> None:
    # None, closed, or on a disk that is full
    with contextlib.suppress(Exception):
        file.flush()


def _ignore(error: BaseException, where: object, occasion: str) -> None:
    """Tell of an error as the interpreter does of those that nobody can handle."""
    text: Optional[str] = None
    if sys.version_info >= (3, 13):
        text, where = "Exception ignored on " + occasion, None
    seen: List[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, seen.append
    _Provocation()
    sys.unraisablehook = hook
    # The first frame is ours.
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    error.__traceback__ = trace
    with contextlib.suppress(Exception):
        hook(type(seen[0])((type(error), error, trace, text, where)))


class _Provocation:
    """Shows what the interpreter hands to `sys.unraisablehook`, whose type has no public name."""

    def __del__(self) -> None:
        raise ValueError

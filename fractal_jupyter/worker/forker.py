"""The process of the task environment that units are forked from.

It imports what the script imports, and waits; it never runs the script, and never uses what it has
imported. Started as `python -c`, so that everything about the interpreter is as it would be for
`python script.py`; afterwards nothing reminds of it but two frames at the bottom of the stack.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import select
import signal
import sys
import time
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import linux, memory, processes, threads, unit
from .imports import Script, read_script, version_of
from .processors import Shares
from .wire import (
    COMMAND,
    ENDED,
    FORK,
    FORKED,
    FRAME,
    GIVE_UP,
    KILL,
    READY,
    REFUSED,
    RETURNED,
)

# Sent by hand or by schedulers to every process of a job; the worker decides what they mean.
_NOT_FOR_US = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Imports that write more than that do not have it repeated in the log of each unit.
_MOST_SAID = 65536
# From so many units on it pays to make forking cheaper before the first.
_MANY_UNITS = 100


def main(control: int, setup: str) -> Callable[[], None]:
    """Be a forker until the worker goes away; return, in each unit, what that unit does.

    Args:
        control: Descriptor of the stream from and to the worker.
        setup: Path of a JSON file with what is to be known.
    """
    gc.disable()
    started = time.monotonic()
    _forget_ourselves()
    with open(setup, "rb") as file:
        facts = json.load(file)
    return _Forker(control, _Setup(**facts), started).serve()


class _Setup(NamedTuple):
    """What the worker says at first.

    Attributes:
        command: What units run: interpreter, script, further arguments.
        slots: The folder of the slots.
        cwd: The working directory of units; None for the folder of their slot.
        preload: Modules to import beyond what the script names.
        learned: Path of the file of modules to import later.
        said: Path of the file that is standard output and error of this process.
        announce: Whether to tell the pid of each unit when it starts.
        units: How many units there will be.
        side_by_side: How many of them run at a time.
    """

    command: List[str]
    slots: str
    cwd: Optional[str]
    preload: List[str]
    learned: str
    said: str
    announce: bool
    units: int
    side_by_side: int


class _Forker:
    def __init__(self, control: int, setup: _Setup, started: float) -> None:
        self._control = control
        self._setup = setup
        self._running: Dict[int, Tuple[int, float]] = {}  # pid: slot, start
        self._places: Dict[int, unit.Place] = {}
        self._unfit = False
        self._shares = Shares(setup.side_by_side)
        self._heap = memory.Heap()
        try:
            self._nature = self._prepare(started)
        except _Unfit as unfit:
            self._tell(GIVE_UP, {"reason": str(unfit)})
            os._exit(0)

    # imports

    def _prepare(self, started: float) -> unit.Nature:
        script = self._script = self._read_script()
        namespace = _become_main(self._setup.command[1:])
        with self._shares.as_a_unit(), self._heap.in_use():
            for item in script.imports:
                _import(item.module, item.names, optional=item.optional)
            said = self._said()
            for name in self._setup.preload if script.steady else ():
                _import_quietly(name)
            self._check()
        child_handler = int(signal.SIGCHLD), unit.raw_handler(signal.SIGCHLD)
        wake, wake_write = self._watch_children()
        handlers = tuple(
            (int(number), handler)
            for number in _NOT_FOR_US
            for handler in [unit.raw_handler(number)]
            if handler is not None  # None: set by C code, whose business it then is
        )
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [number for number, _ in handlers])
        for number, _ in handlers:
            signal.signal(number, signal.SIG_IGN)
        unit.forbid_warning()
        if self._setup.units >= _MANY_UNITS:
            memory.use_huge_pages()
        self._wake = wake
        self._expendability = linux.Expendability(processes.make_private)
        private = (self._control, wake, wake_write, self._expendability.fd)
        nature = unit.Nature(
            code=script.code,
            namespace=namespace,
            parent=os.getpid(),
            private=tuple(fd for fd in private if fd >= 0),
            handlers=(*handlers, child_handler),
            mask=frozenset(map(int, mask)),
            said=said,
            renewals=(),
            modules=frozenset(),
            environ={},
            path=(),
        )
        return self._ready(nature, started)

    def _read_script(self) -> Script:
        path = self._setup.command[1]
        try:
            script = read_script(path)
        except OSError as error:
            raise _Unfit("%s cannot be read: %s" % (path, error.strerror)) from error
        except (SyntaxError, ValueError, RecursionError) as error:
            raise _Unfit("%s cannot be compiled: %s" % (path, error)) from error
        if not script.guarded:
            raise _Unfit('%s has no `if __name__ == "__main__":`' % path)
        return script

    def _ready(self, nature: unit.Nature, started: float) -> unit.Nature:
        """Freeze what has been imported, tell the worker, and return what units now have."""
        for file in (sys.stdout, sys.stderr):
            _flush(file)
        linux.flush_c_streams()
        nature = nature._replace(
            renewals=unit.renewals(),
            modules=frozenset(sys.modules),
            environ=dict(os.environ),
            path=tuple(sys.path),
        )
        gc.freeze()
        gc.enable()
        facts = {"seconds": time.monotonic() - started, "modules": len(sys.modules)}
        self._tell(READY, facts)
        return nature

    def _learn(self) -> None:
        gc.disable()
        started = time.monotonic()
        with open(self._setup.learned, encoding="utf-8") as file:
            names = file.read().split("\n")
        try:
            with self._shares.as_a_unit(), self._heap.in_use():
                for name in names:
                    _import_quietly(name)
                self._check()
        except _Unfit as unfit:
            self._give_up(str(unfit))
            return
        self._nature = self._ready(self._nature, started)

    def _give_up(self, reason: str) -> None:
        """Fork nothing more, but look after what is running."""
        self._unfit = True
        self._tell(GIVE_UP, {"reason": reason})

    def _script_has_changed(self) -> bool:
        try:
            return version_of(self._setup.command[1]) != self._script.version
        except OSError:
            return True

    def _check(self) -> None:
        reason = threads.obstacle(os.environ, self._running)
        if reason is not None:
            raise _Unfit(reason)

    def _said(self) -> bytes:
        for file in (sys.stdout, sys.stderr):
            _flush(file)
        linux.flush_c_streams()
        with open(self._setup.said, "rb") as said:
            data = said.read(_MOST_SAID + 1)
        return data if len(data) <= _MOST_SAID else b""

    # units

    def _watch_children(self) -> Tuple[int, int]:
        read_end, write_end = (processes.make_private(fd) for fd in os.pipe())
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        # A handler, although it does nothing: whichever thread gets the signal, we wake up.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return read_end, write_end

    def serve(self) -> Callable[[], None]:
        """Do what the worker says; return in units only."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        commands = b""
        while True:
            for fd, _ in poll.poll():
                if fd == self._wake:
                    os.read(fd, 512)
                    continue
                data = os.read(fd, 4096)
                if not data:
                    os._exit(0)  # the worker is gone, and units die with us
                commands += data
            while len(commands) >= COMMAND.size:
                kind, number, slot, share = COMMAND.unpack_from(commands)
                commands = commands[COMMAND.size :]
                if kind == FORK:
                    life = self._fork(slot, share, report=bool(number))
                    if life is not None:
                        return life
                elif kind == KILL:
                    self._kill(slot, number)
                else:
                    self._learn()
            self._reap()

    def _fork(self, slot: int, share: int, *, report: bool) -> Optional[Callable[[], None]]:
        if not self._unfit and self._script_has_changed():
            self._give_up("the script has changed")
        if self._unfit:
            self._send(RETURNED, slot)
            return None
        place = self._place(slot)
        started = time.time()
        try:
            unit.prepare(self._nature, place)
            self._expendability.begin()
            pid = os.fork()
        except OSError as error:
            self._expendability.end()
            self._send(REFUSED, slot, status=error.errno or errno.EAGAIN)
            return None
        if pid:
            self._expendability.end()
            self._running[pid] = slot, started
            if self._setup.announce:
                self._send(FORKED, slot, pid=pid)
            return None
        nature = self._nature
        self._shares.bind(share)
        unit.settle(nature)
        return lambda: unit.live(nature, place, report=report)

    def _place(self, slot: int) -> unit.Place:
        place = self._places.get(slot)
        if place is None:
            folder = "%s/%d" % (self._setup.slots, slot)
            options = ["--args-json", folder + "/args.json", "--out-json", folder + "/out.json"]
            place = self._places[slot] = unit.Place(
                folder=folder,
                log=folder + "/log",
                cwd=self._setup.cwd or folder,
                argv=[*self._setup.command[1:], *options],
                orig_argv=[*self._setup.command, *options],
            )
        return place

    def _kill(self, slot: int, number: int) -> None:
        for pid, (running, _) in self._running.items():
            if running == slot:
                processes.kill_group(pid, number)

    def _reap(self) -> None:
        while self._running:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            pid = ended.si_pid
            slot, started = self._running.pop(pid, (None, 0.0))
            if slot is None:
                os.waitpid(pid, 0)
                continue
            self._send(ENDED, *processes.reap(slot, pid, started))

    # telling

    def _send(
        self,
        kind: bytes,
        slot: int,
        pid: int = 0,
        status: int = 0,
        peak_memory: int = 0,
        cpu_seconds: float = 0.0,
        started: float = 0.0,
        ended: float = 0.0,
    ) -> None:
        frame = FRAME.pack(kind, slot, pid, status, peak_memory, cpu_seconds, started, ended)
        _write(self._control, frame)

    def _tell(self, kind: bytes, facts: Dict[str, Any]) -> None:
        text = json.dumps(facts).encode()
        frame = FRAME.pack(kind, 0, 0, len(text), 0, 0.0, 0.0, 0.0)
        _write(self._control, frame + text)


class _Unfit(Exception):
    """Units cannot be forked from this process; the text says why."""


def _forget_ourselves() -> None:
    """Leave no trace in the interpreter of where we were loaded from."""
    package = __name__.partition(".")[0]
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            del sys.modules[name]
    root = sys.path.pop(0)
    for path in list(sys.path_importer_cache):
        if path.startswith(root):
            del sys.path_importer_cache[path]


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _become_main(argv: List[str]) -> Dict[str, Any]:
    """Make `__main__`, `sys.argv` and `sys.path` what they are when the script is the program."""
    script = argv[0]
    namespace = sys.modules["__main__"].__dict__
    namespace["__file__"] = script
    namespace["__cached__"] = None
    namespace["__loader__"] = SourceFileLoader("__main__", script)
    sys.argv = list(argv)
    sys.path_importer_cache.setdefault(script, None)  # it has looked whether that is an archive
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    return namespace


def _import(module: str, names: Tuple[str, ...], *, optional: bool) -> None:
    try:
        __import__(module, {}, {}, names)
    except BaseException as error:
        if not optional:
            _flush(sys.stdout)
            sys.__excepthook__(type(error), error, error.__traceback__)
            reason = "importing %s failed: %s: %s" % (module, type(error).__name__, error)
            raise _Unfit(reason) from error


def _import_quietly(name: str) -> None:
    with contextlib.suppress(BaseException):  # an earlier unit had it; this one may do without
        __import__(name)


def _flush(file: Any) -> None:
    # None, or closed
    with contextlib.suppress(Exception):
        file.flush()

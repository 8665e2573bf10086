"""Running one child process to its end: streaming, time limit, and nothing left running."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import IO

from fractal_jupyter.errors import CommandTimeout, HostError
from fractal_jupyter.hosts.base import CommandResult, OnOutput, shown

__all__ = ["run_process"]

_CHUNK = 1 << 16
# How often to look whether the process has ended, where the system cannot tell by itself.
_POLL = 0.02
# How long to read, after the command has ended, what it left in the pipes. It is there already;
# the limit is for processes in the background that never stop writing.
_DRAIN = 1.0


def run_process(
    argv: tuple[str, ...],
    *,
    stdin: bytes,
    timeout: float | None,
    env: Mapping[str, str],
    cwd: str | None,
    on_output: OnOutput | None,
    grace: float,
) -> CommandResult:
    """Run a command in a session of its own; the arguments are those of `Host.run`.

    Args:
        argv: the command.
        stdin: what it reads from its standard input.
        timeout: seconds until it is ended.
        env: its complete environment.
        cwd: where it runs.
        on_output: called with each piece of output.
        grace: seconds between SIGTERM and SIGKILL when it has to be ended.

    Returns:
        How it ended. A program that cannot be started gives exit status 126 or 127 and the
        reason on standard error, as a shell does.

    Raises:
        CommandTimeout: it did not end in time.
    """
    begun = time.monotonic()
    with _file_of(stdin) as file:
        try:
            process = subprocess.Popen(
                argv,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            return _not_started(argv, error, time.monotonic() - begun)
    deadline = None if timeout is None else begun + timeout
    conversation = _Conversation(process, on_output)
    try:
        if not conversation.hold(deadline):
            raise CommandTimeout(
                f"{shown(argv)} had not ended after {timeout:g} seconds, and was stopped."
            )
    except BaseException:
        _end(process, grace)
        raise
    finally:
        conversation.close()
    return CommandResult(
        argv=argv,
        exit_code=process.wait(),
        stdout=bytes(conversation.stdout),
        stderr=bytes(conversation.stderr),
        seconds=time.monotonic() - begun,
    )


def _file_of(stdin: bytes) -> IO[bytes]:
    """Return what a command is to read, as a file without a name.

    It is there as a whole before the command starts: who reads from a pipe takes what has come for
    all of it when we are killed, and submits half a script.
    """
    try:
        try:
            file: IO[bytes] = os.fdopen(os.memfd_create("stdin"), "w+b")
        except (AttributeError, OSError):
            file = tempfile.TemporaryFile()  # noqa: SIM115  closed by who asked for it
        file.write(stdin)
        file.seek(0)
    except OSError as error:
        raise HostError(f"There is no room for what a command is to read: {error}") from error
    return file


def _not_started(argv: tuple[str, ...], error: OSError, seconds: float) -> CommandResult:
    """Return the result of a command that could not be started."""
    reason = f"cannot run {error.filename or argv[0]}: {error.strerror}\n"
    code = 127 if isinstance(error, FileNotFoundError) else 126
    return CommandResult(argv, code, b"", reason.encode(), seconds)


class _Conversation:
    """Reads the outputs of a process, both at once, so that nothing can block."""

    def __init__(self, process: subprocess.Popen[bytes], on_output: OnOutput | None) -> None:
        assert process.stdout
        assert process.stderr
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._process = process
        self._on_output = on_output
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, self.stdout)
        self._selector.register(process.stderr, selectors.EVENT_READ, self.stderr)
        self._pipes: tuple[IO[bytes], ...] = (process.stdout, process.stderr)
        self._exit_watch = _open_exit_watch(process.pid)
        if self._exit_watch is not None:
            self._selector.register(self._exit_watch, selectors.EVENT_READ)

    def hold(self, deadline: float | None) -> bool:
        """Go on until the process has ended and said all; False: the deadline came first."""
        while self._pipes_open():
            if self._process.poll() is not None:
                self._drain()
                return True
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return False
            self._turn(remaining if self._exit_watch is not None else _POLL)
        remaining = None if deadline is None else max(deadline - time.monotonic(), 0)
        try:
            self._process.wait(remaining)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Close our ends of everything."""
        self._selector.close()
        if self._exit_watch is not None:
            os.close(self._exit_watch)
        for pipe in self._pipes:
            pipe.close()

    def _pipes_open(self) -> bool:
        watched = self._selector.get_map()
        return any(pipe in watched for pipe in self._pipes if not pipe.closed)

    def _drain(self) -> None:
        """Read what has been written; something in the background may hold the pipes open."""
        if self._exit_watch is not None:
            self._selector.unregister(self._exit_watch)
        limit = time.monotonic() + _DRAIN
        while self._pipes_open() and self._turn(0) and time.monotonic() < limit:
            continue

    def _turn(self, timeout: float | None) -> bool:
        """Serve the pipes that are ready; return whether there was one."""
        ready = self._selector.select(timeout)
        for key, _ in ready:
            if key.data is not None:
                self._receive(key)
        return bool(ready)

    def _receive(self, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, _CHUNK)
        if not chunk:
            self._selector.unregister(key.fileobj)
            return
        key.data.extend(chunk)
        if self._on_output is not None:
            self._on_output(chunk)


def _open_exit_watch(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; None outside Linux."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a process group: ask, wait a little, then kill whatever of it is left.

    The leader is reaped last: until then its number cannot be taken by another group.
    """
    _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while not _has_ended(process) and time.monotonic() < deadline:
        time.sleep(_POLL)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether the process has ended, without reaping it."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # Nothing of it is left; macOS answers EPERM when only zombies are.
        return

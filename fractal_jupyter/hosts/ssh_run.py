"""Running one script in a session: input, both outputs, time limit, and what is left of it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fractal_jupyter.errors import CommandTimeout, HostError, HostUnreachable
from fractal_jupyter.hosts.base import OnOutput
from fractal_jupyter.hosts.ssh_connection import Connection
from fractal_jupyter.hosts.ssh_shell import Framed, Script, launcher

if TYPE_CHECKING:
    import paramiko

__all__ = ["Outcome", "run_script"]

_CHUNK = 1 << 16
_SLICE = 1 << 20
# How long to wait for the rest of the error output once a command has ended.
_DRAIN = 1.0
# How long a login shell may take to get to work.
_START = 120.0

_Piece = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a script ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def run_script(
    connection: Connection,
    script: Script,
    *,
    stdin: bytes,
    timeout: float | None,
    on_output: OnOutput | None,
    end_group: Callable[[int], None],
    host: str,
    what: str,
) -> Outcome:
    """Run a script and return how it ended.

    Args:
        connection: where to get a session from.
        script: what to run.
        stdin: its standard input.
        timeout: seconds until it is ended, from when it has begun.
        on_output: called with each piece of its output.
        end_group: ends the process group with a number on the host.
        host: what to call the host.
        what: what to call the script.

    Raises:
        CommandTimeout: it did not end in time.
        HostUnreachable: the connection was cut; the message says whether it may have run.
        HostError: the login shell did not run it.
    """
    tried = False
    while True:
        try:
            with connection.session() as channel:
                talk = _Talk(channel, script)
                try:
                    talk.begin(stdin, host=host)
                    talk.hold(timeout, on_output)
                except _Late as late:
                    talk.abandon(end_group)
                    raise CommandTimeout(
                        f"{what} had not ended after {timeout:g} seconds on {host}, and was "
                        "stopped."
                    ) from late
                except BaseException:
                    talk.abandon(end_group)
                    raise
                return talk.outcome(host=host, what=what)
        except _CutBefore:
            # As long as the script was not sent, nothing has run: once more, newly connected.
            if tried:
                raise
            tried = True


class _CutBefore(HostUnreachable):
    """The connection was cut before anything was run."""


class _Late(Exception):
    """The time is up."""


class _Talk:
    """A session, its outputs each read by a thread, so that nothing can block."""

    def __init__(self, channel: paramiko.Channel, script: Script) -> None:
        self._channel = channel
        self._script = script
        self._pieces: queue.SimpleQueue[_Piece] = queue.SimpleQueue()
        self._frames = (Framed(script.mark), Framed(script.mark))
        self._outputs = (bytearray(), bytearray())
        self._open = {0, 1}

    def begin(self, stdin: bytes, *, host: str) -> None:
        """Send the script, and begin to send its input and to read its outputs."""
        import paramiko

        try:
            self._channel.exec_command(launcher(self._script))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _CutBefore(f"The connection to {host} was cut. Nothing was run.") from error
        readers = (self._channel.recv, self._channel.recv_stderr)
        for number, reader in enumerate(readers):
            self._start(self._read, number, reader)
        self._start(self._send, self._script.encoded() + stdin)

    def hold(self, timeout: float | None, on_output: OnOutput | None) -> None:
        """Take what arrives until the script has ended, or the session has."""
        begun = time.monotonic()
        limit = _START if timeout is None else min(timeout, _START)
        while self._open and self._frames[0].last is None:
            running = self._frames[0].first is not None
            deadline = timeout if running else limit
            left = None if deadline is None else begun + deadline - time.monotonic()
            if left is not None and left <= 0:
                if timeout is None or limit < timeout:
                    raise HostUnreachable("The login shell does not get to work.")
                raise _Late
            # without a limit too, an interrupt has to get through
            self._take(left if left is not None else 60.0, on_output)
        until = time.monotonic() + _DRAIN
        while 1 in self._open and self._frames[1].last is None:
            left = until - time.monotonic()
            if left <= 0:
                break
            self._take(left, on_output)

    def outcome(self, *, host: str, what: str) -> Outcome:
        """Return how the script ended."""
        out, error = self._frames
        stdout, stderr = map(bytes, self._outputs)
        if out.last is not None:
            return Outcome(out.last, stdout, stderr)
        transport = self._channel.get_transport()
        if transport is None or not transport.is_active() or out.first is not None:
            raise HostUnreachable(
                f"The connection to {host} was cut while {what} ran. Whether it has run to its end"
                " is not known."
            )
        said = (error.noise + error.pending + out.pending).decode(errors="replace").strip()
        raise HostError(
            f"The login shell on {host} did not run {what}"
            + (f", and said: {said[-1000:]}" if said else ": it ended at once.")
            + " Does `ssh` with the same user and host run commands in a terminal?"
        )

    def abandon(self, end_group: Callable[[int], None]) -> None:
        """End what is still running, if it can be reached."""
        group = self._frames[0].first
        with contextlib.suppress(Exception):
            # what reads its input ends by itself
            self._channel.shutdown_write()
        transport = self._channel.get_transport()
        if group is not None and transport is not None and transport.is_active():
            with contextlib.suppress(HostError):
                end_group(group)

    def _take(self, timeout: float, on_output: OnOutput | None) -> None:
        try:
            number, piece = self._pieces.get(timeout=timeout)
        except queue.Empty:
            return
        if not piece:
            self._open.discard(number)
            return
        written = self._frames[number].feed(piece)
        if written:
            self._outputs[number].extend(written)
            if on_output is not None:
                on_output(written)

    def _read(self, number: int, reader: Callable[[int], bytes]) -> None:
        piece = b"-"
        while piece:
            try:
                piece = reader(_CHUNK)
            except OSError:
                piece = b""
            self._pieces.put((number, piece))

    def _send(self, content: bytes) -> None:
        # The command may not want all of it. Whether that is an error is for it to say.
        with contextlib.suppress(OSError, EOFError):
            # A slice at a time: with every packet, `sendall` copies all that is left.
            for start in range(0, len(content), _SLICE):
                self._channel.sendall(content[start : start + _SLICE])
            self._channel.shutdown_write()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()

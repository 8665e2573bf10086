"""One connection to an SSH host, used by all threads: opened when needed, and again when lost.

A server allows only so many sessions on one connection at a time (`MaxSessions`, sometimes 2), and
does not say how many. So sessions are opened until one is refused; from then on as many as were
open are taken for the limit, and whoever wants one waits for its turn.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fractal_jupyter.errors import HostUnreachable
from fractal_jupyter.hosts.ssh_login import Login

if TYPE_CHECKING:
    import paramiko

__all__ = ["Connection"]

# OpenSSH allows ten sessions unless told otherwise.
_SESSIONS = 10
# How long to wait for a session when the server refuses even the only one.
_REFUSED = 60.0
_PAUSE = 0.05
_OPENING = 60.0


class Connection:
    """Gives sessions on a connection that is kept alive."""

    def __init__(self, log_in: Callable[[], Login], *, name: str, alive_interval: float) -> None:
        """Make it; nothing is opened yet.

        Args:
            log_in: opens the connection.
            name: what to call the host.
            alive_interval: seconds between questions whether it is still there; after three times
                that without an answer it is given up.
        """
        self._log_in = log_in
        self._name = name
        self._alive_interval = alive_interval
        self._login: Login | None = None
        self._opening = threading.Lock()
        self._asking = threading.Lock()
        self._turn = threading.Condition()
        self._sessions = 0
        self._limit = _SESSIONS

    @contextlib.contextmanager
    def session(self) -> Iterator[paramiko.Channel]:
        """Give a new session, as soon as there is one to be had.

        Raises:
            HostUnreachable: the host does not answer, or refuses; nothing was run.
        """
        channel = self._open()
        try:
            yield channel
        finally:
            channel.close()
            self._leave()

    def close(self) -> None:
        """Close the connection; the next session opens it again."""
        with self._opening:
            login, self._login = self._login, None
        if login is not None:
            login.close()

    def _open(self) -> paramiko.Channel:
        import paramiko

        was_cut = False
        alone_since: float | None = None
        while True:
            self._enter()
            try:
                transport = self._transport()
                return self._ask_for_session(transport)
            except (paramiko.SSHException, EOFError, OSError) as error:
                self._leave()
                if not transport.is_active():
                    # it was cut while nobody used it: once more, on a new one
                    if was_cut:
                        raise HostUnreachable(
                            f"The connection to {self._name} was cut. Nothing was run."
                        ) from error
                    was_cut = True
                elif self._wait_after_refusal():
                    alone_since = None
                else:
                    alone_since = alone_since or time.monotonic()
                    if time.monotonic() - alone_since > _REFUSED:
                        raise HostUnreachable(
                            f"{self._name} refuses every session: {error}. Nothing was run. Ask its"
                            " administrator about MaxSessions."
                        ) from error
            except BaseException:
                self._leave()
                raise

    def _ask_for_session(self, transport: paramiko.Transport) -> paramiko.Channel:
        # One at a time: a refusal is not told to whom it was meant for.
        with self._asking:
            return transport.open_session(timeout=_OPENING)

    def _enter(self) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._sessions < self._limit)
            self._sessions += 1

    def _leave(self) -> None:
        with self._turn:
            self._sessions -= 1
            self._turn.notify()

    def _wait_after_refusal(self) -> bool:
        """Wait until it may be worth another try; return whether sessions of ours are open."""
        with self._turn:
            others = self._sessions
            self._limit = max(1, min(self._limit, others))
            # The server counts a session a little longer than we do.
            self._turn.wait(_PAUSE)
            return others > 0

    def _transport(self) -> paramiko.Transport:
        """Return the open connection; open it when there is none."""
        with self._opening:
            if self._login is not None and self._login.transport.is_active():
                return self._login.transport
            if self._login is not None:
                self._login.close()
            self._login = self._log_in()
            transport = self._login.transport
            threading.Thread(
                target=_keep_alive,
                args=(transport, self._alive_interval),
                name=f"keep alive {self._name}",
                daemon=True,
            ).start()
            return transport


def _keep_alive(transport: paramiko.Transport, interval: float) -> None:
    """Ask again and again whether the host is there; close the connection when it is silent.

    Whoever waits for something on the connection is told so by its end.
    """
    while transport.is_active():
        transport.join(interval)
        asking = threading.Thread(target=_ask, args=(transport,), daemon=True)
        asking.start()
        asking.join(2 * interval)
        if asking.is_alive():
            transport.close()


def _ask(transport: paramiko.Transport) -> None:
    # a cut connection is noticed by whoever uses it
    with contextlib.suppress(Exception):
        transport.global_request("keepalive@openssh.com", wait=True)

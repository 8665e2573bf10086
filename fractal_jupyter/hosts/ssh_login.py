"""Logging in to an SSH host: the way to it, its key, and ours."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fractal_jupyter.errors import AccessDenied, HostError, HostUnreachable
from fractal_jupyter.hosts.ssh_config import Destination, configured, parse_hop
from fractal_jupyter.hosts.ssh_known import HostKey, check_host_key, known_types

if TYPE_CHECKING:
    import paramiko

__all__ = ["Login", "log_in", "show_key"]

_MOST_JUMPS = 8
# Of what a ProxyCommand says.
MOST_SAID = 1_000
# Errors are told as such: what paramiko says of them goes to who asks for it, not to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass
class Login:
    """An open connection, with those that it goes through."""

    transport: paramiko.Transport
    below: tuple[Login, ...] = ()
    proxy: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """Close it, and then what it goes through."""
        self.transport.close()
        for each in reversed(self.below):
            each.close()
        if self.proxy is not None:
            _end_proxy(self.proxy)


def log_in(
    to: Destination,
    *,
    files: Sequence[Path] | None = None,
    hops: int = 0,
    behind: Login | None = None,
) -> Login:
    """Connect to a host and log in.

    Args:
        to: the host; its `identity_files` are tried, then the agent.
        files: the configuration files, for the hosts on the way.
        hops: how many connections this one is for already.
        behind: the connection that it is reached through, instead of what `to` says.

    Raises:
        HostUnreachable: it does not answer.
        HostKeyUnknown: its key is not known.
        HostKeyChanged: its key is another one.
        AccessDenied: it does not let us in.
    """
    login = _connect(to, files=files, hops=hops, behind=behind)
    try:
        check_host_key(to, _key_of(login.transport))
        _authenticate(login.transport, to)
    except BaseException:
        login.close()
        raise
    return login


def show_key(to: Destination, *, files: Sequence[Path] | None = None) -> HostKey:
    """Return the key that a host shows, believed or not; nobody logs in."""
    login = _connect(to, files=files)
    try:
        return _key_of(login.transport)
    finally:
        login.close()


def _connect(
    to: Destination,
    *,
    files: Sequence[Path] | None,
    hops: int = 0,
    behind: Login | None = None,
) -> Login:
    """Open a connection and agree on its encryption; nothing is checked yet."""
    import paramiko

    with contextlib.ExitStack() as undo:
        below: tuple[Login, ...] = ()
        proxy = None
        words = undo.enter_context(tempfile.TemporaryFile())
        if to.jumps and behind is None:
            below = _pass_through(to, files=files, hops=hops)
            for each in below:
                undo.callback(each.close)
            behind = below[-1]
        try:
            if behind is not None:
                sock = _tunnel(behind, to)
            elif to.proxy_command:
                proxy, sock = _run_proxy(to.proxy_command, words)
                undo.callback(_end_proxy, proxy)
            else:
                sock = socket.create_connection((to.hostname, to.port), to.connect_timeout)
                _tune(sock, to.alive_interval)
            undo.callback(sock.close)
            transport = paramiko.Transport(sock)
            undo.callback(transport.close)
            transport.banner_timeout = transport.handshake_timeout = to.connect_timeout
            transport.auth_timeout = to.connect_timeout
            _prefer(transport, known_types(to))
            transport.start_client(timeout=to.connect_timeout)
        except (OSError, EOFError, paramiko.SSHException) as error:
            words.seek(0)
            raise _unreachable(to, error, words.read(MOST_SAID)) from error
        words.close()
        undo.pop_all()
        return Login(transport, below, proxy)


def _end_proxy(proxy: subprocess.Popen[bytes]) -> None:
    proxy.terminate()
    # it may take its time, which nobody has to wait for
    threading.Thread(target=proxy.wait, daemon=True).start()


def _unreachable(to: Destination, error: Exception, words: bytes) -> HostUnreachable:
    way = f" through {', '.join(to.jumps)}" if to.jumps else ""
    way = f" through the ProxyCommand {to.proxy_command!r}" if to.proxy_command else way
    said = getattr(error, "strerror", None) or str(error) or "it closed the connection"
    if proxy_said := " ".join(words.decode(errors="replace").split()):
        said = f"{said}; the command said: {proxy_said}"
    return HostUnreachable(
        f"{to} does not answer{way}: {said}. Nothing was run there. Is the name right, and does"
        f" `ssh {to.alias}` work in a terminal?"
    )


def _pass_through(to: Destination, *, files: Sequence[Path] | None, hops: int) -> tuple[Login, ...]:
    """Log in to the hosts on the way, one through the other."""
    if hops + len(to.jumps) > _MOST_JUMPS:
        raise HostError(f"The way to {to.hostname} leads through itself: see ProxyJump.")
    logins: list[Login] = []
    with contextlib.ExitStack() as undo:
        for jump in to.jumps:
            host, user, port = parse_hop(jump)
            hop = configured(host, user=user, port=port, files=files)
            # its own keys, or else those that are used for the host behind it
            hop = replace(hop, identity_files=hop.identity_files or to.identity_files)
            behind = logins[-1] if logins else None
            logins.append(log_in(hop, files=files, hops=hops + len(to.jumps), behind=behind))
            undo.callback(logins[-1].close)
        undo.pop_all()
    return tuple(logins)


def _tunnel(through: Login, to: Destination) -> Any:
    return through.transport.open_channel(
        "direct-tcpip", (to.hostname, to.port), ("127.0.0.1", 0), timeout=to.connect_timeout
    )


def _run_proxy(command: str, words: IO[bytes]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the user's ProxyCommand, which is shell text, with a socket as input and output."""
    if not hasattr(socket, "socketpair") or os.name != "posix":
        raise HostError("ProxyCommand does not work on Windows; use ProxyJump instead.")
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=words.fileno(),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def _tune(sock: socket.socket, interval: float) -> None:
    """Send what there is at once, and give up a connection whose other end confirms nothing."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(interval * 4000))


def _prefer(transport: paramiko.Transport, types: Sequence[str]) -> None:
    """Ask for a key of a type that is known first, so that another one is not taken for a lie."""
    options = transport.get_security_options()
    algorithms = {
        each
        for kind in types
        for each in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))
    }
    options.key_types = tuple(sorted(options.key_types, key=lambda each: each not in algorithms))


def _key_of(transport: paramiko.Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())


# Who we are


def _authenticate(transport: paramiko.Transport, to: Destination) -> None:
    """Show our keys, one after the other, until one is accepted."""
    import paramiko

    tried: list[str] = []
    problems: list[str] = []
    with contextlib.closing(_Agent(to.identity_agent)) as agent:
        for name, key in _keys(to, agent, problems):
            tried.append(name)
            try:
                further = transport.auth_publickey(to.user, key)
            except paramiko.BadAuthenticationType as error:
                raise AccessDenied(
                    f"{to.hostname} accepts no SSH keys of {to.user}, only"
                    f" {', '.join(error.allowed_types)}. Ask its administrator to allow keys."
                ) from error
            except paramiko.AuthenticationException:
                continue
            except (paramiko.SSHException, EOFError, OSError) as error:
                if not transport.is_active():
                    problems.append("the host ended the connection")
                    break
                problems.append(f"{name}: {error}")
                continue
            if not further:
                return
            raise AccessDenied(
                f"{to.hostname} wants more of {to.user} than an SSH key: {', '.join(further)}."
                " Nobody can be asked for that here: ask its administrator for a way with a key."
            )
    if to.passed_over:
        problems.append(f"{', '.join(to.passed_over)} of the SSH configuration does not count here")
    raise AccessDenied(_not_let_in(to, tried, problems))


def _not_let_in(to: Destination, tried: list[str], problems: list[str]) -> str:
    if tried:
        shown = " and ".join(tried)
        text = (
            f"{to.hostname} does not let {to.user} in with {shown}. Is the username right? The"
            f" public key has to be in ~/.ssh/authorized_keys of {to.user} there:"
            f" ssh-copy-id -i {tried[0]} {to.user}@{to.hostname}"
        )
    elif problems:
        return f"Cannot log in to {to}: " + "; ".join(problems)
    else:
        text = f"Cannot log in to {to}: there is no SSH key. Give the profile an ssh_key_path."
    return "; ".join([text, *problems])


def _keys(
    to: Destination, agent: _Agent, problems: list[str]
) -> Iterator[tuple[str, paramiko.PKey]]:
    """Give the keys to try, with what to call them; say why others cannot be."""
    offered = agent.keys()
    for path in to.identity_files:
        problem, key = _load(path)
        if key is None and problem == "":
            key = _from_agent(path, offered)
            problem = "" if key else _locked(path, agent)
        if key is None:
            problems.append(problem)
        else:
            yield path, key
    if not to.identity_files:
        for each in offered:
            yield f"the agent's key {each.fingerprint}", each


def _load(path: str) -> tuple[str, paramiko.PKey | None]:
    """Return a private key, or in words why not; neither when it is encrypted."""
    import paramiko

    try:
        content = Path(path).read_bytes()
        if b"PuTTY-User-Key-File" in content[:100]:
            return (
                f"{path} is a key of PuTTY. Convert it with: puttygen {path} -O private-openssh"
            ), None
        if b"PRIVATE KEY-----" not in content:
            public = content.startswith((b"ssh-", b"ecdsa-", b"sk-"))
            other = ", but a public one: that beside it, without .pub, is needed" if public else ""
            return f"{path} is no private SSH key{other}", None
        mode = Path(path).stat().st_mode
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            return (
                f"others on this machine may read the SSH key {path}, so it is not used. Make it"
                f" yours alone with: chmod 600 {path}"
            ), None
        return "", paramiko.PKey.from_path(path)
    except FileNotFoundError:
        return f"there is no SSH key {path}. Correct the ssh_key_path of the profile", None
    except OSError as error:
        return f"cannot read the SSH key {path}: {error.strerror}", None
    except (paramiko.PasswordRequiredException, TypeError):
        # the one is paramiko's, the other that of the library below it
        return "", None
    except Exception as error:
        # unknown types and algorithms have errors of their own, of several libraries
        return f"{path} is no private SSH key that can be used: {error}", None


def _locked(path: str, agent: _Agent) -> str:
    start = f"the SSH key {path} is encrypted, and"
    at = f" at {agent.path}" if agent.path else ""
    if agent.answers:
        which = f"SSH_AUTH_SOCK={shlex.quote(agent.path)} " if agent.path else ""
        return (
            f"{start} the SSH agent{at} does not have it. In a terminal, unlock it with:"
            f" {which}ssh-add {path}"
        )
    return (
        f"{start} no SSH agent {f'answers{at}' if at else 'is running'}. In a terminal, start an"
        f" agent with: eval $(ssh-agent), then unlock it with: ssh-add {path} and start Jupyter"
        " from that terminal"
    )


def _from_agent(path: str, offered: Sequence[paramiko.PKey]) -> paramiko.PKey | None:
    """Return the agent's key that belongs to an encrypted file: that of the `.pub` beside it."""
    try:
        public = Path(f"{path}.pub").read_text().split()[1]
    except (OSError, IndexError, UnicodeDecodeError):
        # no way to tell which one it is, if there are several
        return offered[0] if len(offered) == 1 else None
    return next((key for key in offered if key.get_base64() == public), None)


class _Agent:
    """The keys of an SSH agent; none if there is no agent.

    Attributes:
        path: its socket; None where there is none, or (on Windows) it is found in another way.
        answers: whether it is there; known when it was asked.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.answers = False
        self._agent: Any = None
        self._socket: socket.socket | None = None

    def keys(self) -> tuple[paramiko.PKey, ...]:
        import paramiko
        from paramiko.agent import AgentSSH

        if self.path is None and os.name == "posix":
            return ()
        try:
            if self.path is None or not hasattr(socket, "AF_UNIX"):
                self._agent = paramiko.Agent()
            else:
                self._agent = AgentSSH()
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(20)
                self._socket.connect(self.path)
                self._agent._connect(self._socket)
            offered = tuple(self._agent.get_keys())
        except (OSError, paramiko.SSHException):
            return ()
        self.answers = True
        return offered

    def close(self) -> None:
        if self._agent is not None:
            self._agent._close()
        if self._socket is not None:
            self._socket.close()

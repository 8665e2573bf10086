"""A machine reached by SSH, seen as the user who logs in there.

All that it needs on the other side is a POSIX shell, GNU coreutils and tar.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fractal_jupyter.errors import AccessDenied, FileMissing, HostError, HostKeyUnknown
from fractal_jupyter.hosts import ssh_files
from fractal_jupyter.hosts.base import (
    Capability,
    CommandResult,
    Entry,
    OnOutput,
    checked_argv,
    shown,
)
from fractal_jupyter.hosts.listing import parse_listing
from fractal_jupyter.hosts.local import named_errors, replacing
from fractal_jupyter.hosts.ssh_config import Destination, configured
from fractal_jupyter.hosts.ssh_connection import Connection
from fractal_jupyter.hosts.ssh_known import HostKey, UnknownKey, check_host_key, remember
from fractal_jupyter.hosts.ssh_login import log_in, show_key
from fractal_jupyter.hosts.ssh_run import Outcome, run_script
from fractal_jupyter.hosts.ssh_shell import Script, command_body

__all__ = ["SSHHost", "host_key", "shared_host", "trust"]

# How long an operation on files may take; a file system that answers needs much less.
_PATIENCE = 600.0

# Asks a process group to end, waits for it, then kills it.
_END = """
kill -s TERM -- -{group} 2>/dev/null || exit 0
tries={tries}
while kill -s 0 -- -{group} 2>/dev/null && [ $tries -gt 0 ]; do
sleep 0.1
tries=$((tries - 1))
done
kill -s KILL -- -{group} 2>/dev/null
"""


class SSHHost:
    """A machine behind SSH; one connection, opened when it is needed, serves all threads."""

    capabilities = frozenset(Capability)

    def __init__(
        self,
        host: str,
        username: str | None = None,
        key_path: str | None = None,
        *,
        port: int | None = None,
        config_files: Sequence[Path] | None = None,
        grace: float = 5.0,
    ) -> None:
        """Make the host; nothing is connected yet.

        Args:
            host: its name, or an alias of the SSH configuration.
            username: whom to log in as; by default whom that configuration says.
            key_path: the private key to log in with; by default what that configuration says.
            port: its port; by default what that configuration says.
            config_files: the SSH configuration files; by default the user's and the system's.
            grace: seconds between asking a command to end (SIGTERM) and killing it (SIGKILL).
        """
        self._host = host
        self._username = username
        self._key_path = key_path
        self._port = port
        self._config_files = config_files
        self._grace = grace
        self._connection_made: Connection | None = None
        self._making = threading.Lock()

    @property
    def destination(self) -> Destination:
        """Where the configuration says right now that it is, and how to log in.

        It may be mended while a job waits, and there may be another agent.
        """
        to = configured(self._host, user=self._username, port=self._port, files=self._config_files)
        if self._key_path is None:
            return to
        return replace(to, identity_files=(str(Path(self._key_path).expanduser()),))

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"{self._username}@{self._host}" if self._username else self._host

    def build_environment(self) -> None:
        """Return None: commands that install packages see what a login there sees."""
        return

    def close(self) -> None:
        """Close the connection; whatever comes next opens it again."""
        with self._making:
            if self._connection_made is not None:
                self._connection_made.close()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        """Run a command; see `Host.run`.

        Its environment is that of a login, without what would steer SLURM's commands (except
        `SLURM_CONF`). Whatever ends the wait ends the command's whole process group; only when
        the connection is cut it goes on there.
        """
        words = checked_argv(argv)
        begun = time.monotonic()
        outcome = self._execute(
            Script(command_body(words, cwd), env),
            stdin=stdin or b"",
            timeout=timeout,
            on_output=on_output,
            what=shown(words),
        )
        return CommandResult(
            words, outcome.exit_code, outcome.stdout, outcome.stderr, time.monotonic() - begun
        )

    def read(self, path: str, offset: int = 0, limit: int | None = None) -> bytes:
        """Return (a part of) the content of a file."""
        return self._do("read", path, ssh_files.read_script(path, offset, limit))

    def read_many(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        """Return what files hold from a byte of each on; those that do not exist are left out."""
        found: dict[str, bytes] = {}
        for paths in ssh_files.portions(offsets):
            mark = secrets.token_hex(32)
            script = ssh_files.read_many_script({path: offsets[path] for path in paths}, mark)
            output = self._do("read", f"{paths[0]} and others", script)
            found.update(ssh_files.parse_pieces(output, mark, paths))
        return found

    def write_many(self, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:
        """Write files as one stream; each appears whole, and none if the stream is cut."""
        for parcel in ssh_files.parcels(files, mode):
            self._do("write", parcel.shown, parcel.script, stdin=parcel.stdin)

    def list(self, path: str) -> tuple[Entry, ...]:
        """Return the entries of a folder, ordered by name; links count as what they point to."""
        return parse_listing(self._do("list", path, ssh_files.list_script(path)))

    def mkdir(
        self, path: str, *, mode: int = 0o700, parents: bool = True, exist_ok: bool = True
    ) -> bool:
        """Make a folder; return whether this call made it."""
        script = ssh_files.mkdir_script(path, mode=mode, parents=parents, exist_ok=exist_ok)
        return self._do("make the folder", path, script) == b"made"

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole tree."""
        self._do("remove", path, ssh_files.remove_script(path))

    def put(self, local: str, remote: str, *, mode: int = 0o600) -> None:
        """Copy a file of this machine to the host, atomically."""
        with named_errors("read", local):
            content = Path(local).read_bytes()
        self.write_many({remote: content}, mode=mode)

    def get(self, remote: str, local: str) -> None:
        """Copy a file of the host to this machine, atomically."""
        content = self.read(remote)
        with named_errors(f"copy {remote} to", local), replacing(local, 0o600) as temporary:
            temporary.write_bytes(content)

    def _do(self, action: str, path: str, body: str, *, stdin: bytes = b"") -> bytes:
        """Run a script of `ssh_files`; return its output."""
        if "\0" in body:
            raise HostError(f"Cannot {action} {path!r}: a path holds no NUL character.")
        outcome = self._execute(
            Script(body), stdin=stdin, timeout=_PATIENCE, what=f"the command to {action} {path}"
        )
        if outcome.exit_code == 0:
            return outcome.stdout
        said = outcome.stderr.decode(errors="replace").strip()
        missing = outcome.exit_code == ssh_files.MISSING
        kind = FileMissing if missing else HostError
        reason = said or f"exit status {outcome.exit_code}"
        raise kind(f"Cannot {action} {path} on {self.name}: {reason}")

    def _execute(
        self,
        script: Script,
        *,
        stdin: bytes,
        timeout: float | None,
        what: str,
        on_output: OnOutput | None = None,
    ) -> Outcome:
        return run_script(
            self._connection(),
            script,
            stdin=stdin,
            timeout=timeout,
            on_output=on_output,
            end_group=self._end_group,
            host=self.name,
            what=what,
        )

    def _connection(self) -> Connection:
        with self._making:
            if self._connection_made is None:
                self._connection_made = self._new_connection()
            return self._connection_made

    def _new_connection(self) -> Connection:
        return Connection(
            lambda: log_in(self.destination, files=self._config_files),
            name=self.name,
            alive_interval=self.destination.alive_interval,
        )

    def _end_group(self, group: int) -> None:
        """End a process group, on a connection of its own: all sessions of ours may be taken."""
        body = _END.format(group=group, tries=int(self._grace * 10))
        with contextlib.closing(self._new_connection()) as connection:
            run_script(
                connection,
                Script(body),
                stdin=b"",
                timeout=self._grace + 30,
                on_output=None,
                end_group=lambda _: None,
                host=self.name,
                what="the command that ends another one",
            )


@functools.cache
def shared_host(host: str, username: str | None = None, key_path: str | None = None) -> SSHHost:
    """Return the host of this process with that name, user and key: one connection for all."""
    return SSHHost(host, username, key_path)


def host_key(host: str, *, config_files: Sequence[Path] | None = None) -> HostKey:
    """Return the key that a host shows, to have its `fingerprint` compared by a person.

    Raises:
        HostKeyUnknown: the key of a host on the way there is not known.
        HostUnreachable: the host does not answer.
    """
    return show_key(configured(host, files=config_files), files=config_files)


def trust(
    host: str,
    fingerprint: str,
    *,
    username: str | None = None,
    key_path: str | None = None,
    config_files: Sequence[Path] | None = None,
) -> str:
    """Record the key of a host as known, if it has the fingerprint.

    Where the way there leads through other hosts, the first of them whose key is not known is the
    one that is meant: nobody goes through it before.

    Args:
        host: its name, or an alias of the SSH configuration.
        fingerprint: what its administrator says, as `SHA256:…`.
        username: whom to log in as, by default whom that configuration says.
        key_path: the private key for hosts on the way, where the configuration says none.
        config_files: the SSH configuration files; by default the user's and the system's.

    Returns:
        The file of known hosts that it was written to, or is in already.

    Raises:
        AccessDenied: the host shows a key with another fingerprint, or one on the way there does
            not let us in.
        HostKeyChanged: it is known by another key, or this one has been revoked.
        HostUnreachable: it does not answer.
    """
    to = SSHHost(host, username, key_path, config_files=config_files).destination
    try:
        key = show_key(to, files=config_files)
    except UnknownKey as unknown:
        to, key = unknown.to, unknown.key
    known: str | None = None
    with contextlib.suppress(HostKeyUnknown):
        known = check_host_key(to, key)
    if key.fingerprint != fingerprint.strip():
        raise AccessDenied(
            f"{to.hostname} shows a key of type {key.type} with the fingerprint {key.fingerprint},"
            f" not {fingerprint}. Nothing was recorded."
        )
    return known or remember(to, key)

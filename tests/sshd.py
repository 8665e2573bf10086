"""A real sshd on loopback: keys, known hosts and configuration of its own, a port of its own.

    with Sshd(folder, user="fractal-test") as server:
        host = SSHHost(server.alias, "fractal-test", str(server.key), config_files=[server.config])

It can be stopped and started again, and its connections can be cut.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.toy import wait_until

SSHD = "/usr/sbin/sshd"


def why_no_sshd() -> str | None:
    """What keeps this machine from having an sshd, in words; nothing if nothing does."""
    missing = [name for name in (SSHD, "ssh-keygen") if shutil.which(name) is None]
    return f"not on this machine: {', '.join(missing)}" if missing else None


class Sshd:
    """An sshd that lets one user in with one key, and how to reach it.

    Attributes:
        user: whom it lets in.
        port: where it listens, on 127.0.0.1.
        key: the private key that it accepts.
        known_hosts: a file that has its own key.
        alias: its name in `config`.
        config: an SSH configuration file that says all of this.
    """

    def __init__(
        self,
        folder: Path,
        *,
        user: str | None = None,
        alias: str = "cluster",
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Make its files; it does not run yet.

        Args:
            folder: an existing folder for them.
            user: whom to let in; anybody but the current user takes root.
            alias: its name.
            options: further lines of its configuration (`{"MaxSessions": "2"}`).
        """
        self.user = user or getpass.getuser()
        self.alias = alias
        self.port = _free_port()
        self.key = folder / "id"
        self.host_key = folder / "host_key"
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "config"
        self._log = folder / "sshd.log"
        self._settings = folder / "sshd_config"
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        make_key(self.key)
        make_key(self.host_key)
        # sshd reads these as the user whom it lets in; so nothing above may be closed, and
        # StrictModes would ask for folders that only that user can write to
        self._authorized = folder / "authorized_keys"
        self._authorized.write_bytes(self.key.with_suffix(".pub").read_bytes())
        self._authorized.chmod(0o644)
        self.write_known_hosts()
        self.write_config()

    def write_config(self, extra: str = "", *, before: str = "") -> None:
        """Write the SSH configuration: `extra` goes into the block of this host."""
        self.config.write_text(
            f"{before}\nHost {self.alias}\n  HostName 127.0.0.1\n  Port {self.port}\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
            f"  IdentityFile {self.key}\n  User {self.user}\n{extra}\n"
        )

    def write_known_hosts(self) -> None:
        """Make its own key the known one."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.public_host_key}\n")

    @property
    def public_host_key(self) -> str:
        """Type and key, as they stand in a file of known hosts."""
        return " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its key as OpenSSH shows it."""
        return fingerprint(self.host_key)

    def authorize(self, public_key: str) -> None:
        """Let somebody in with this key only."""
        self._authorized.write_text(public_key)

    def new_host_key(self) -> None:
        """Give it another key; it has to be started again."""
        for path in (self.host_key, self.host_key.with_suffix(".pub")):
            path.unlink()
        make_key(self.host_key)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._settings.write_text(self._configuration())
        self._process = subprocess.Popen(
            [SSHD, "-D", "-f", str(self._settings), "-E", str(self._log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, f"sshd ended: {self.log()}"
            assert time.monotonic() < deadline, f"sshd does not answer: {self.log()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it, and cut all of its connections."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(20)
        self.cut()
        self._process = None

    def cut(self) -> int:
        """Cut all connections, as a crash would; return how many processes served them."""
        pids = self.connections()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def freeze(self, *, go_on: bool = False) -> None:
        """Stop all connections from answering, without closing them; or let them go on."""
        for pid in self.connections():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT if go_on else signal.SIGSTOP)

    def connections(self) -> list[int]:
        """Return the processes that serve connections; the commands that they run are not."""
        return [pid for pid in _processes() if self._serves(pid)]

    def log(self) -> str:
        """Return what it has written about itself."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serves(self, pid: int) -> bool:
        """Tell whether a process holds one end of a connection to our port."""
        if _name(pid) not in ("sshd", "sshd-session"):
            return False
        ours = self._sockets()
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if str(link.readlink()) in ours:
                        return True
        return False

    def _sockets(self) -> set[str]:
        """Return the established connections of our port, as `/proc/…/fd` names them."""
        found = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if int(local.partition(":")[2], 16) == self.port and state == "01":
                found.add(f"socket:[{inode}]")
        return found

    def _configuration(self) -> str:
        settings = {
            "ListenAddress": "127.0.0.1",
            "Port": str(self.port),
            "HostKey": str(self.host_key),
            "AuthorizedKeysFile": str(self._authorized),
            "PidFile": "none",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "yes",
            "MaxStartups": "100",
            "PrintMotd": "no",
            # users without a password count as locked otherwise
            "UsePAM": "yes" if os.geteuid() == 0 else "no",
            "LogLevel": "VERBOSE",
            **self._options,
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> None:
    """Make a private key and, beside it, the public one."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "tests", "-f", str(path)],
        check=True,
    )


def encrypt(key: Path, passphrase: str) -> None:
    """Give a key that has no passphrase one."""
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-f", str(key)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def ssh_agent(path: Path) -> Iterator[Path]:
    """An SSH agent without keys whose socket is `path`; who is to use it must be told."""
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_until(path.exists)
        yield path
        process.terminate()


def add_to_agent(key: Path, agent: Path, passphrase: str) -> None:
    """Unlock a key, as `ssh-add` does when somebody types its passphrase."""
    ask = agent.with_name(f"{agent.name}-ask")
    ask.write_text(f"#!/bin/sh\necho {passphrase}\n")
    ask.chmod(0o755)
    subprocess.run(
        ["ssh-add", "-q", str(key)],
        env={
            **os.environ,
            "SSH_ASKPASS": str(ask),
            "SSH_ASKPASS_REQUIRE": "force",
            "SSH_AUTH_SOCK": str(agent),
        },
        stdin=subprocess.DEVNULL,
        check=True,
    )


def fingerprint(key: Path) -> str:
    """Return the SHA256 fingerprint of a key as `ssh-keygen` says it."""
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{key}.pub"], check=True, capture_output=True, text=True
    )
    return done.stdout.split()[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""

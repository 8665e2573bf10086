"""What `~/.ssh/config` and `/etc/ssh/ssh_config` say about a host.

Paramiko's reader knows neither `Include` nor, without a further package, `Match exec`, and a block
within an included file depends on the block that includes it; so files are read here, as `man
ssh_config` says. The first value found for an option counts; identity files add up.
"""

from __future__ import annotations

import getpass
import glob
import hashlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fractal_jupyter.errors import HostError

__all__ = ["Destination", "configured", "name_fits", "parse_hop"]

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_DEPTH = 16
# Nor is GSSAPIAuthentication, which Debian sets for everybody: naming it would tell nothing.
_NOT_UNDERSTOOD = ("CertificateFile", "CanonicalizeHostname", "PKCS11Provider")
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_LINE = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to connect to, and how; paths are absolute, tokens replaced.

    Attributes:
        alias: the name that was asked for.
        hostname: the name or address to connect to.
        port: its port.
        user: whom to log in as.
        identity_files: private keys to try.
        identity_agent: socket of the agent; None: there is none.
        jumps: the hosts to go through, as written; empty: none.
        proxy_command: the shell command whose input and output are the connection.
        known_hosts: files of keys that the user trusts, then those of the system.
        known_as: the name of the host in them.
        connect_timeout: seconds that connecting may take.
        alive_interval: seconds between questions whether the host is still there.
        passed_over: what the files set that ssh might log in by, and we do not understand.
    """

    alias: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[str, ...]
    identity_agent: str | None
    jumps: tuple[str, ...]
    proxy_command: str | None
    known_hosts: tuple[str, ...]
    known_as: str
    connect_timeout: float
    alive_interval: float
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        port = "" if self.port == 22 else f":{self.port}"
        return f"{self.user}@{self.hostname}{port}"


def configured(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    files: Sequence[Path] | None = None,
) -> Destination:
    """Return what the configuration files say about a host.

    Args:
        host: its name, or an alias from those files.
        user: whom to log in as, whatever the files say.
        port: its port, whatever the files say.
        files: the configuration files; by default those of the user and of the system.

    Raises:
        HostError: a file cannot be understood.
    """
    if files is None:
        files = (Path.home() / ".ssh" / "config", SYSTEM_CONFIG)
    lookup = _Lookup(host)
    lookup.options.update(_given(user=user, port=port))
    lookup.read_all(files)
    if lookup.asked_for_final:
        lookup.final = True
        lookup.read_all(files)
    return lookup.destination()


def parse_hop(hop: str) -> tuple[str, str | None, int | None]:
    """Return host, user and port of an element of `ProxyJump` (`[user@]host[:port]` or a URI)."""
    rest = hop.removeprefix("ssh://").rstrip("/")
    user, _, place = rest.rpartition("@")
    match = re.fullmatch(r"\[(.+)\](?::(\d+))?|([^:]+)(?::(\d+))?|(.+)", place)
    if match is None:
        raise HostError(f"ProxyJump {hop!r} in the SSH configuration names no host.")
    port = match[2] or match[4]
    return match[1] or match[3] or match[5], user or None, int(port) if port else None


def _given(*, user: str | None, port: int | None) -> dict[str, str]:
    return {
        name: str(value) for name, value in (("user", user), ("port", port)) if value is not None
    }


@dataclass
class _Lookup:
    """What has been found so far for one host."""

    host: str
    final: bool = False
    asked_for_final: bool = False
    options: dict[str, str] = field(default_factory=dict)
    identities: list[str] = field(default_factory=list)

    def read_all(self, files: Sequence[Path]) -> None:
        """Take what the files say about the host."""
        for path in files:
            self._read(path, base=path.parent, depth=0)

    def destination(self) -> Destination:
        """Return what was found, with defaults for the rest."""
        user, port = self._user(), self._port()
        alias = self.options.get("hostkeyalias")
        hostname = self._hostname()
        jumps = self.options.get("proxyjump", "none")
        command = self.options.get("proxycommand", "none")
        # of the two, the one that stands first in the files counts
        order = list(self.options)
        if "none" not in (jumps.lower(), command.lower()):
            first = min(("proxyjump", "proxycommand"), key=order.index)
            jumps, command = (jumps, "none") if first == "proxyjump" else ("none", command)
        return Destination(
            alias=self.host,
            hostname=hostname,
            port=port,
            user=user,
            identity_files=tuple(self._path(each) for each in self.identities),
            identity_agent=self._agent(),
            jumps=() if jumps.lower() == "none" else tuple(re.split(r"\s*,\s*", jumps)),
            proxy_command=None if command.lower() == "none" else self._expanded(command),
            known_hosts=self._known_hosts(),
            known_as=alias or (hostname if port == 22 else f"[{hostname}]:{port}"),
            connect_timeout=_seconds(self.options.get("connecttimeout"), default=20),
            alive_interval=_seconds(self.options.get("serveraliveinterval"), default=15),
            passed_over=tuple(
                name
                for name in _NOT_UNDERSTOOD
                if self.options.get(name.lower(), "no").lower() not in ("no", "none")
            ),
        )

    def _read(self, path: Path, *, base: Path, depth: int) -> None:
        """Read one file. What a block includes is read only if that block holds for the host."""
        active = True
        for number, keyword, rest in _lines(path):
            try:
                if keyword == "host":
                    active = name_fits(self.host, _words(rest))
                elif keyword == "match":
                    active = self._matches(_words(rest))
                elif keyword == "include":
                    if active:
                        self._include(_words(rest), base=base, depth=depth)
                elif active:
                    self._take(keyword, rest)
            except ValueError as error:
                raise HostError(f"Line {number} of {path} makes no sense: {error}") from error

    def _include(self, patterns: Sequence[str], *, base: Path, depth: int) -> None:
        if depth == _DEPTH:
            raise ValueError(f"files include each other more than {_DEPTH} deep")
        for pattern in patterns:
            whole = os.path.join(base, os.path.expanduser(pattern))  # noqa: PTH111, PTH118
            for name in sorted(glob.glob(whole)):  # noqa: PTH207
                self._read(Path(name), base=base, depth=depth + 1)

    def _take(self, keyword: str, rest: str) -> None:
        if keyword == "identityfile":
            value = " ".join(_words(rest))
            if value.lower() != "none" and value not in self.identities:
                self.identities.append(value)
            return
        value = rest if keyword == "proxycommand" else " ".join(_words(rest))
        if keyword in ("userknownhostsfile", "globalknownhostsfile"):
            value = "\0".join(_words(rest))
        self.options.setdefault(keyword, value)

    def _matches(self, words: Sequence[str]) -> bool:
        """Tell whether all criteria of a `Match` line hold."""
        rest = list(words)
        holds = bool(rest)
        while rest:
            criterion = rest.pop(0)
            wanted = not criterion.startswith("!")
            name, _, value = criterion.removeprefix("!").partition("=")
            name = name.lower()
            if name not in ("all", "final", "canonical") and not value:
                if not rest:
                    raise ValueError(f"Match {name} needs a value")
                value = rest.pop(0)
            if name == "exec" and not holds:
                # not run when the criteria before it do not hold
                continue
            holds = (self._criterion(name, value) is wanted) and holds
        return holds

    def _criterion(self, name: str, value: str) -> bool:
        patterns = value.split(",")
        match name:
            case "all":
                return True
            case "final":
                self.asked_for_final = True
                return self.final
            case "host":
                return name_fits(self._hostname(), patterns)
            case "originalhost":
                return name_fits(self.host, patterns)
            case "user":
                return name_fits(self._user(), patterns)
            case "localuser":
                return name_fits(getpass.getuser(), patterns)
            case "exec":
                return _succeeds(self._expanded(value))
            case _:
                # canonical names, networks, tags, …: nothing that is set from here
                return False

    def _hostname(self) -> str:
        written = self.options.get("hostname", self.host)
        return written.replace("%h", self.host).replace("%%", "%")

    def _user(self) -> str:
        return self.options.get("user") or getpass.getuser()

    def _port(self) -> int:
        return int(self.options.get("port", "22"))

    def _agent(self) -> str | None:
        written = self.options.get("identityagent", "SSH_AUTH_SOCK")
        if written.lower() == "none":
            return None
        if written == "SSH_AUTH_SOCK":
            return os.environ.get("SSH_AUTH_SOCK")
        return self._path(os.path.expandvars(written))

    def _known_hosts(self) -> tuple[str, ...]:
        user = self.options.get("userknownhostsfile", "~/.ssh/known_hosts\0~/.ssh/known_hosts2")
        everyone = self.options.get(
            "globalknownhostsfile", "/etc/ssh/ssh_known_hosts\0/etc/ssh/ssh_known_hosts2"
        )
        files = [each for each in f"{user}\0{everyone}".split("\0") if each.lower() != "none"]
        return tuple(self._path(each) for each in files)

    def _path(self, written: str) -> str:
        named = re.sub(
            r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), self._expanded(written)
        )
        return str(Path(named).expanduser().absolute())

    def _expanded(self, text: str) -> str:
        """Replace the tokens that begin with a percent sign."""
        tokens = self._tokens()
        return re.sub(r"%(.)", lambda match: tokens.get(match[1], match[0]), text)

    def _tokens(self) -> Mapping[str, str]:
        here = socket.gethostname()
        host, port, user = self._hostname(), str(self._port()), self._user()
        jumps = self.options.get("proxyjump", "")
        hashed = hashlib.sha1(f"{here}{host}{port}{user}{jumps}".encode(), usedforsecurity=False)
        tokens = {"%": "%", "h": host, "n": self.host, "p": port, "r": user, "j": jumps}
        tokens |= {"u": getpass.getuser(), "d": str(Path.home()), "l": here}
        tokens |= {"L": here.partition(".")[0], "C": hashed.hexdigest()}
        tokens["k"] = self.options.get("hostkeyalias", self.host)
        if hasattr(os, "getuid"):
            tokens["i"] = str(os.getuid())
        return tokens


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Give number, keyword in lower case, and the rest of each line that says something."""
    try:
        text = path.read_text(errors="surrogateescape")
    except OSError:
        # As for ssh, a file that is not there, or not ours to read, says nothing.
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise HostError(f"Line {number} of {path} makes no sense: {line.strip()!r}.")
            yield number, match[1].lower(), match[2]


def _words(text: str) -> list[str]:
    """Return the words of a line; double quotes hold one together, `#` begins a comment."""
    words = []
    for match in _WORD.finditer(text):
        if match[2] and match[2].startswith("#"):
            break
        words.append(match[1] if match[2] is None else match[2])
    return words


def name_fits(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a name fits one of the patterns, and none of those that begin with `!`."""
    fits = False
    for pattern in patterns:
        if _pattern(pattern.removeprefix("!")).fullmatch(name):
            if pattern.startswith("!"):
                return False
            fits = True
    return fits


def _pattern(pattern: str) -> re.Pattern[str]:
    meaning = {"*": ".*", "?": "."}
    text = "".join(meaning.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(text, re.DOTALL | re.IGNORECASE)


def _succeeds(command: str) -> bool:
    """Run the command of `Match exec`, which is the user's own shell text."""
    try:
        done = subprocess.run(  # noqa: S602
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _seconds(written: str | None, *, default: float) -> float:
    """Return a time of the configuration (`30`, `1m`, `1h30m`) in seconds; 0 and none: default."""
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    parts = re.findall(r"(\d+)([smhdw]?)", (written or "").lower())
    return sum(int(number) * units[unit] for number, unit in parts) or default

"""Which keys SSH hosts are known by: reading `known_hosts` files, checking, recording trust."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fractal_jupyter.errors import HostError, HostKeyChanged, HostKeyUnknown
from fractal_jupyter.hosts.ssh_config import Destination, name_fits

__all__ = ["HostKey", "UnknownKey", "check_host_key", "known_types", "remember"]


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public key of a host: its type, and its bytes."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """What OpenSSH shows of it, as `SHA256:…`."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    def line(self, name: str) -> str:
        """Return the line of a `known_hosts` file that says that a host has this key."""
        return f"{name} {self.type} {base64.b64encode(self.blob).decode()}"


class UnknownKey(HostKeyUnknown):
    """The key is not known, with whose it is: maybe of a host on the way to the one asked for."""

    def __init__(self, message: str, to: Destination, key: HostKey) -> None:
        super().__init__(message, fingerprint=key.fingerprint)
        self.to = to
        self.key = key


@dataclass(frozen=True, slots=True)
class _Known:
    key: HostKey
    revoked: bool
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def known_types(to: Destination) -> list[str]:
    """Return the types of the keys that are known of a host, to ask it for one of those first."""
    return [known.key.type for known in _known(to) if not known.revoked]


def check_host_key(to: Destination, key: HostKey) -> str:
    """Make sure that a host is the one it is said to be.

    Args:
        to: the host.
        key: the key that it has shown, and has proved to have.

    Returns:
        The file that it is known from.

    Raises:
        UnknownKey: nothing is known of the host.
        HostKeyChanged: it had another key before, or this one has been revoked.
    """
    known = list(_known(to))
    if any(each.revoked and each.key == key for each in known):
        raise HostKeyChanged(
            f"The key of {to.hostname} ({key.type} {key.fingerprint}) has been revoked. Nothing was"
            " sent. Ask its administrator."
        )
    valid = [each for each in known if not each.revoked]
    for each in valid:
        if each.key == key:
            return each.file
    if valid:
        raise HostKeyChanged(_changed(to, key, valid))
    raise UnknownKey(
        f"The key of {to.hostname} is not known yet, so nothing was sent. It shows a key of type"
        f" {key.type} with the fingerprint\n    {key.fingerprint}\nCompare it with the one that the"
        " administrator of that machine tells you. If it is the same, trust it with\n"
        f"    echo {shlex.quote(key.line(to.known_as))} >> {shlex.quote(to.known_hosts[0])}",
        to,
        key,
    )


def remember(to: Destination, key: HostKey) -> str:
    """Add the key of a host to the user's file of known hosts; return the path of that."""
    path = Path(to.known_hosts[0])
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a+b") as file:
            # the last line of a file edited by hand may not be complete
            file.seek(0)
            content = file.read()
            start = "" if not content or content.endswith(b"\n") else "\n"
            file.write(f"{start}{key.line(to.known_as)}\n".encode())
        if not content:
            path.chmod(0o600)
    except OSError as error:
        raise HostError(f"Cannot write {path}: {error.strerror}.") from error
    return str(path)


def _changed(to: Destination, key: HostKey, valid: list[_Known]) -> str:
    same = [each for each in valid if each.key.type == key.type] or valid
    before = "\n".join(
        f"    known: {each.key.type} {each.key.fingerprint}  ({each.place})" for each in same
    )
    return (
        f"{to.hostname} shows another key than the one it is known by. Somebody may be reading"
        f" along, so nothing was sent.\n{before}\n    shown: {key.type} {key.fingerprint}\n"
        "Ask the administrator of that machine whether its key was changed. Only if it was, remove"
        f" the known one with\n    ssh-keygen -R {shlex.quote(to.known_as)}"
        f" -f {shlex.quote(same[0].file)}"
    )


def _known(to: Destination) -> Iterator[_Known]:
    """Give what the files know of a host; with a port of its own, else without."""
    for name in dict.fromkeys((to.known_as, to.hostname)):
        found = [
            known
            for path in to.known_hosts
            for known in _in_file(path, name)
            # what is known of a machine's usual port does not speak against another one
            if name == to.known_as or not known.revoked
        ]
        if found:
            yield from found
            return
        if to.known_as != f"[{to.hostname}]:{to.port}":
            return


def _in_file(path: str, name: str) -> Iterator[_Known]:
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        # certificates of authorities are not supported, and no key of a host
        if len(words) < 3 or words[0].startswith("#") or marker == "@cert-authority":
            continue
        if not _names(words[0], name):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        yield _Known(HostKey(words[1], blob), marker == "@revoked", path, number)


def _names(field: str, name: str) -> bool:
    """Tell whether the first field of a line, patterns or a hash, means the name."""
    if not field.startswith("|1|"):
        return name_fits(name, field.split(","))
    try:
        salt, digest = (base64.b64decode(part) for part in field.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)

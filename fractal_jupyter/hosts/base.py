"""What a host is: a handful of methods, and a set of capabilities that says which it has.

Commands are lists of words, never shell text. Paths are absolute paths on the host. Files are
written whole and atomically. Hosts may be used from several threads at once.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fractal_jupyter.errors import CommandFailed, UnsupportedOnHost

__all__ = [
    "Capability",
    "CommandResult",
    "Entry",
    "Host",
    "OnOutput",
    "checked_argv",
    "shown",
    "unsupported",
]

OnOutput = Callable[[bytes], None]


class Capability(enum.Enum):
    """What a host may or may not be able to do. Reading whole files is what all of them can."""

    RUN_ANY = "run any command"
    STREAM = "show the output of a command while it runs"
    LIST = "list a folder"
    MKDIR = "make a folder"
    READ_OFFSET = "read a part of a file"
    WRITE = "write files"
    REMOVE = "remove files and folders"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    Attributes:
        argv: the command.
        exit_code: its exit status; 126 and 127 mean, as in a shell, that it could not be started;
            minus the number of the signal when one ended it (over SSH: 128 plus that number).
        stdout: all of its standard output.
        stderr: all of its standard error.
        seconds: how long it took.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def error_text(self) -> str:
        """Standard error as text; bytes that are not UTF-8 are replaced."""
        return self.stderr.decode(errors="replace")

    def check(self) -> CommandResult:
        """Return the result itself when the command succeeded.

        Raises:
            CommandFailed: the exit status is not 0; the message has the last lines that the
                command wrote.
        """
        if self.exit_code == 0:
            return self
        lines = (self.error_text.strip() or self.text.strip()).splitlines()[-10:]
        said = "\n".join(lines) or "It wrote nothing."
        raise CommandFailed(f"{shown(self.argv)} ended with exit status {self.exit_code}:\n{said}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder; `size` is in bytes, and 0 for folders."""

    name: str
    is_dir: bool
    size: int


class Host(Protocol):
    """A machine, seen as one user of it.

    File operations raise `FileMissing` when what they need is not there, `UnsupportedOnHost`
    when this kind of host lacks the capability, `HostUnreachable` when it does not answer, and
    `HostError` for everything else (no permission, disk full, …).
    """

    @property
    def name(self) -> str:
        """What to call the host in messages."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the host can do."""
        ...

    def build_environment(self) -> Mapping[str, str] | None:
        """Return the `env` for commands that install packages; None: what `run` takes anyway."""
        ...

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
        """Run a command and return how it ended, whatever its exit status.

        Args:
            argv: the command and its arguments.
            stdin: its standard input; nothing by default.
            timeout: seconds after which the command and all that it started are ended.
            env: its complete environment; by default that of `job_environment` on this machine,
                that of a login on another.
            cwd: the folder to run it in.
            on_output: called with each piece of output or error output as it arrives (at the
                end, where `STREAM` is missing); what it raises ends the command and is raised.

        Raises:
            CommandTimeout: it did not end in time.
            HostUnreachable: the host does not answer; whether the command ran is not known.
            UnsupportedOnHost: this host runs certain commands only.
        """
        ...

    def read(self, path: str, offset: int = 0, limit: int | None = None) -> bytes:
        """Return the content of a file, or at most `limit` bytes of it from byte `offset` on."""
        ...

    def read_many(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        """Return what several files hold from a byte of each on, however many in one command.

        Files may grow meanwhile: what is returned is always a true piece of the file. Where
        `READ_OFFSET` is missing, whole files are read and cut.

        Args:
            offsets: where to begin, in bytes, by path.

        Returns:
            The content by path, empty when there is nothing beyond the offset; files that do
            not exist are left out.
        """
        ...

    def write_many(self, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:
        """Write files, each atomically and with exactly the given mode, into existing folders."""
        ...

    def list(self, path: str) -> tuple[Entry, ...]:
        """Return the entries of a folder, ordered by name."""
        ...

    def mkdir(
        self, path: str, *, mode: int = 0o700, parents: bool = True, exist_ok: bool = True
    ) -> bool:
        """Make a folder with exactly the given mode (its missing parents with the usual one).

        Returns:
            Whether this call made it. Of several at once exactly one gets True, so this can
            serve as a claim: with `exist_ok=False` a False means that it was there already.
            With `exist_ok=True` hosts that cannot tell return True.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file, a link or a folder with all that it holds; a missing one is fine."""
        ...

    def put(self, local: str, remote: str, *, mode: int = 0o600) -> None:
        """Copy a file of this machine to the host, atomically."""
        ...

    def get(self, remote: str, local: str) -> None:
        """Copy a file of the host to this machine, atomically."""
        ...


def checked_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command as a tuple, after making sure that it is a list of words.

    Raises:
        TypeError: it is one string: commands are lists, so that no text becomes a shell word.
        ValueError: it is empty, or a word holds a NUL character.
    """
    if isinstance(argv, str | bytes):
        raise TypeError(f"a command is a list of words, not {type(argv).__name__}: {argv!r}")
    if not argv:
        raise ValueError("a command needs at least the name of a program")
    if any("\0" in word for word in argv):
        raise ValueError(f"a word of a command holds a NUL character: {shown(argv)}")
    return tuple(argv)


def shown(argv: Sequence[str], width: int = 200) -> str:
    """Return the command for messages: quoted as in a shell, shortened to `width` characters."""
    text = shlex.join(argv)
    return text if len(text) <= width else text[: width - 1] + "…"


def unsupported(host: Host, capability: Capability) -> UnsupportedOnHost:
    """Return the error that says what the host cannot do."""
    return UnsupportedOnHost(f"Host {host.name} cannot {capability.value}.")

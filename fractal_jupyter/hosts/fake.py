r"""A host that exists in memory only: for tests of whatever works on hosts, here and elsewhere.

Example:
    host = FakeHost(commands={"squeue": lambda call: FakeOutcome(stdout=b"7|RUNNING\n")})
    host.write_many({"/jobs/batch.json": b"{}"})
    ...
    assert host.calls[0].argv == ("squeue", "--me")
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fractal_jupyter.errors import CommandTimeout, FileMissing, HostError, HostUnreachable
from fractal_jupyter.hosts.base import (
    Capability,
    CommandResult,
    Entry,
    OnOutput,
    checked_argv,
    shown,
    unsupported,
)

__all__ = ["FakeCall", "FakeCommand", "FakeHost", "FakeOutcome"]


@dataclass(frozen=True, slots=True)
class FakeCall:
    """A command that was run on a fake host; `env` is None when none was given."""

    argv: tuple[str, ...]
    stdin: bytes
    env: Mapping[str, str] | None
    cwd: str | None


@dataclass(frozen=True, slots=True)
class FakeOutcome:
    """What a scripted command does; its `seconds` pass without anybody waiting for them."""

    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0


FakeCommand = Callable[[FakeCall], FakeOutcome]


class FakeHost:
    """Files in a dictionary and scripted commands.

    Attributes:
        name: what to call it.
        capabilities: what it lets its users do.
        commands: what happens when a command is run, by the name of the program. On a host
            without `RUN_ANY` these are the only ones allowed.
        calls: every command that was run, in order.
        reachable: whether it answers at all.
        modes: the mode of each file and folder that was written, by path.
    """

    def __init__(
        self,
        *,
        name: str = "fake",
        capabilities: frozenset[Capability] = frozenset(Capability),
        commands: Mapping[str, FakeCommand] | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.commands = dict(commands or {})
        self.calls: list[FakeCall] = []
        self.reachable = True
        self.modes: dict[str, int] = {}
        self._files: dict[str, bytes] = {}
        self._folders = {"/"}
        self._lock = threading.RLock()

    def build_environment(self) -> None:
        """Return None: there is no environment here."""
        return

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
        """Do what the script of the command says; see `Host.run`."""
        words = checked_argv(argv)
        self._answer()
        command = self.commands.get(words[0])
        if command is None and Capability.RUN_ANY not in self.capabilities:
            raise unsupported(self, Capability.RUN_ANY)
        call = FakeCall(words, stdin or b"", env, cwd)
        self.calls.append(call)
        if command is None:
            reason = f"cannot run {words[0]}: not scripted\n".encode()
            return CommandResult(words, 127, b"", reason, 0.0)
        outcome = command(call)
        if timeout is not None and outcome.seconds > timeout:
            raise CommandTimeout(f"{shown(words)} had not ended after {timeout:g} seconds.")
        if on_output is not None:
            for piece in _pieces(outcome, stream=Capability.STREAM in self.capabilities):
                on_output(piece)
        return CommandResult(
            words, outcome.exit_code, outcome.stdout, outcome.stderr, outcome.seconds
        )

    def read(self, path: str, offset: int = 0, limit: int | None = None) -> bytes:
        """Return (a part of) the content of a file."""
        if offset or limit is not None:
            self._need(Capability.READ_OFFSET)
        self._answer()
        with self._lock:
            if _normal(path) in self._folders:
                raise HostError(f"Cannot read {path} on {self.name}: it is a folder.")
            content = self._files.get(_normal(path))
            if content is None:
                raise self._missing("read", path)
            return content[offset : None if limit is None else offset + limit]

    def read_many(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        """Return what files hold from a byte of each on; those that do not exist are left out."""
        found = {}
        for path, offset in offsets.items():
            with suppress(FileMissing):
                found[path] = self.read(path)[offset:]
        return found

    def write_many(self, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:
        """Write files into existing folders."""
        self._need(Capability.WRITE)
        for path, content in files.items():
            self._write(_normal(path), content, mode)

    def list(self, path: str) -> tuple[Entry, ...]:
        """Return the entries of a folder, ordered by name."""
        self._need(Capability.LIST)
        folder = _normal(path)
        with self._lock:
            if folder not in self._folders:
                raise self._missing("list", path)
            entries = [Entry(_name(each), True, 0) for each in _below(folder, self._folders)]
            entries += [
                Entry(_name(each), False, len(self._files[each]))
                for each in _below(folder, self._files)
            ]
        return tuple(sorted(entries, key=lambda entry: entry.name))

    def mkdir(
        self, path: str, *, mode: int = 0o700, parents: bool = True, exist_ok: bool = True
    ) -> bool:
        """Make a folder; return whether this call made it."""
        self._need(Capability.MKDIR)
        folder = _normal(path)
        with self._lock:
            if folder in self._files and exist_ok:
                raise HostError(f"Cannot make the folder {path} on {self.name}: it is a file.")
            if folder in self._folders or folder in self._files:
                return False
            parent = posixpath.dirname(folder)
            if parents and parent not in self._folders:
                self.mkdir(parent, mode=0o755)
            self._need_folder("make the folder", folder)
            self._folders.add(folder)
            self.modes[folder] = mode
            return True

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that it holds."""
        self._need(Capability.REMOVE)
        doomed = _normal(path)
        with self._lock:
            for each in [*self._files, *self._folders]:
                if each == doomed or each.startswith(doomed.rstrip("/") + "/"):
                    self._files.pop(each, None)
                    self._folders.discard(each)
                    self.modes.pop(each, None)
            self._folders.add("/")

    def put(self, local: str, remote: str, *, mode: int = 0o600) -> None:
        """Copy a file of this machine to the host."""
        self._need(Capability.WRITE)
        try:
            content = Path(local).read_bytes()
        except FileNotFoundError as error:
            raise FileMissing(f"Cannot copy {local} to {self.name}: there is none.") from error
        self._write(_normal(remote), content, mode)

    def get(self, remote: str, local: str) -> None:
        """Copy a file of the host to this machine."""
        Path(local).write_bytes(self.read(remote))

    def _write(self, path: str, content: bytes, mode: int) -> None:
        with self._lock:
            self._need_folder("write", path)
            if path in self._folders:
                raise HostError(f"Cannot write {path} on {self.name}: it is a folder.")
            self._files[path] = content
            self.modes[path] = mode

    def _need(self, capability: Capability) -> None:
        if capability not in self.capabilities:
            raise unsupported(self, capability)
        self._answer()

    def _answer(self) -> None:
        if not self.reachable:
            raise HostUnreachable(f"Host {self.name} does not answer.")

    def _need_folder(self, action: str, path: str) -> None:
        if posixpath.dirname(path) not in self._folders:
            raise self._missing(action, path)

    def _missing(self, action: str, path: str) -> FileMissing:
        return FileMissing(f"Cannot {action} {path} on {self.name}: no such file or folder.")


def _normal(path: str) -> str:
    """Return the path without `.`, `..` and doubled slashes; relative ones are a mistake."""
    if not path.startswith("/"):
        raise ValueError(f"paths on a host are absolute, not {path!r}")
    return "/" + posixpath.normpath(path).lstrip("/")


def _below(folder: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path != "/" and posixpath.dirname(path) == folder]


def _name(path: str) -> str:
    return posixpath.basename(path)


def _pieces(outcome: FakeOutcome, *, stream: bool) -> list[bytes]:
    """Return the output in the pieces in which it arrives."""
    if stream:
        return [*outcome.stdout.splitlines(True), *outcome.stderr.splitlines(True)]
    return [whole for whole in (outcome.stdout, outcome.stderr) if whole]

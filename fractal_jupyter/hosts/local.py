"""This machine as a host, seen as the current user."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fractal_jupyter.environment import build_environment, job_environment
from fractal_jupyter.errors import FileMissing, HostError
from fractal_jupyter.hosts.aside import new_removed
from fractal_jupyter.hosts.base import (
    Capability,
    CommandResult,
    Entry,
    OnOutput,
    checked_argv,
    unsupported,
)
from fractal_jupyter.hosts.process import run_process

__all__ = ["LocalHost", "named_errors", "replacing"]

_POSIX = os.name == "posix"
_COMMANDS = frozenset({Capability.RUN_ANY, Capability.STREAM})

# How often a tree is tried again in which something appeared while it was being removed.
_REMOVE_TRIES = 50


class LocalHost:
    """This machine: commands are child processes, files are files.

    Each command is the leader of a session of its own, so that the interrupt key of a terminal
    does not reach it, and so that it can be ended together with everything that it started. On
    Windows there are files only.
    """

    name = "this machine"

    def __init__(self, *, grace: float = 5.0) -> None:
        """Make the host.

        Args:
            grace: seconds between asking a command to end (SIGTERM) and killing it (SIGKILL).
        """
        self._grace = grace

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; on Windows no commands."""
        every = frozenset(Capability)
        return every if _POSIX else every - _COMMANDS

    def build_environment(self) -> dict[str, str]:
        """Return what commands that install packages may see of this process's environment."""
        return build_environment()

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
        """Run a command as a child process; see `Host.run`.

        Whatever ends the wait (the time limit, an error in `on_output`, an interrupt) ends the
        command's whole process group. Processes that a command left in the background when it
        ended by itself are left alone, and not waited for.
        """
        if not _POSIX:
            raise unsupported(self, Capability.RUN_ANY)
        return run_process(
            checked_argv(argv),
            stdin=stdin or b"",
            timeout=timeout,
            env=job_environment() if env is None else dict(env),
            cwd=cwd,
            on_output=on_output,
            grace=self._grace,
        )

    def read(self, path: str, offset: int = 0, limit: int | None = None) -> bytes:
        """Return (a part of) the content of a file; the file is opened anew each time."""
        with named_errors("read", path), open(path, "rb") as file:  # noqa: PTH123
            file.seek(offset)
            return file.read(-1 if limit is None else limit)

    def read_many(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        """Return what files hold from a byte of each on; those that do not exist are left out."""
        found = {}
        for path, offset in offsets.items():
            with suppress(FileMissing):
                found[path] = self.read(path, offset)
        return found

    def write_many(self, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:
        """Write files, each to disk under a temporary name and then renamed."""
        for path, content in files.items():
            with named_errors("write", path), replacing(path, mode) as temporary:
                _write_through(temporary, content)

    def list(self, path: str) -> tuple[Entry, ...]:
        """Return the entries of a folder, ordered by name; links count as what they point to."""
        with named_errors("list", path), os.scandir(path) as entries:
            found = [_entry(entry) for entry in entries]
        return tuple(sorted((entry for entry in found if entry), key=lambda entry: entry.name))

    def mkdir(
        self, path: str, *, mode: int = 0o700, parents: bool = True, exist_ok: bool = True
    ) -> bool:
        """Make a folder; return whether this call made it."""
        folder = Path(path)
        with named_errors("make the folder", path):
            if parents:
                folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                if exist_ok and not folder.is_dir():
                    raise
                return False
            # The mode given to mkdir would be cut by the umask.
            folder.chmod(mode)
            return True

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole tree."""
        with named_errors("remove", path):
            _remove(Path(path))

    def put(self, local: str, remote: str, *, mode: int = 0o600) -> None:
        """Copy a file, atomically."""
        with named_errors(f"copy {local} to", remote), replacing(remote, mode) as temporary:
            shutil.copyfile(local, temporary)

    def get(self, remote: str, local: str) -> None:
        """Copy a file, atomically."""
        with named_errors(f"copy {remote} to", local), replacing(local, 0o600) as temporary:
            shutil.copyfile(remote, temporary)


@contextmanager
def named_errors(action: str, path: str) -> Iterator[None]:
    """Turn an operating system error into a `HostError` that says what was tried and the cure."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissing(
            f"Cannot {action} {path}: {error.strerror} ({error.filename})."
        ) from error
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "")
        raise HostError(f"Cannot {action} {path}: {error.strerror or error}.{cure}") from error


_CURES = {
    errno.ENOSPC: " Free some space there, or choose another folder.",
    errno.EDQUOT: " Your quota there is used up: remove something, or choose another folder.",
    errno.EACCES: " Your user has no permission for that: choose another folder, or change it.",
    errno.EROFS: " Choose a folder that can be written to.",
}


@contextmanager
def replacing(path: str, mode: int) -> Iterator[Path]:
    """Give a new empty file beside `path`; rename it to `path` at the end, or remove it."""
    target = Path(path)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield temporary
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_through(path: Path, content: bytes) -> None:
    """Write a file to the disk itself: a renamed file is empty after a power cut otherwise."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _entry(entry: os.DirEntry[str]) -> Entry | None:
    """Return what is known of a folder's entry; None when it has gone meanwhile."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        if not entry.is_symlink():
            return None
        status = entry.stat(follow_symlinks=False)
    except OSError:
        # a link that leads in a circle, or to where we may not look
        status = entry.stat(follow_symlinks=False)
    is_dir = stat.S_ISDIR(status.st_mode)
    return Entry(name=entry.name, is_dir=is_dir, size=0 if is_dir else status.st_size)


def _remove(path: Path) -> None:
    """Remove `path`, even while another process still writes into it.

    A folder is given another name first, so that nobody can add to it by the one that it had.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(new_removed())
    try:
        path.rename(doomed)
    except FileNotFoundError:
        return
    except OSError:  # what something is mounted on keeps its name
        doomed = path
    try:
        _remove_tree(doomed)
    except OSError:
        with suppress(OSError):
            doomed.rename(path)
        raise


def _remove_tree(folder: Path) -> None:
    """Remove a folder, again and again: processes that work inside of it may still write."""
    for tries_left in reversed(range(_REMOVE_TRIES)):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            if not os.path.lexists(folder):
                return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not tries_left:
                raise
        else:
            return
        time.sleep(0.02)

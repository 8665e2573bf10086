"""This machine, seen as another user whom `sudo` lets us be, for five commands only.

Nothing can be written, removed, or read in part as that user: there is `mkdir` to make folders,
`ls` to list them, `cat` to read whole files, and `sbatch` and `scancel`. Whether something worked
is told by exit statuses, not by words, which may come in the other user's language.
"""

from __future__ import annotations

import posixpath
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fractal_jupyter.environment import job_environment
from fractal_jupyter.errors import CommandTimeout, FileMissing, HostError, HostUnreachable
from fractal_jupyter.hosts.base import (
    Capability,
    CommandResult,
    Entry,
    OnOutput,
    checked_argv,
    unsupported,
)
from fractal_jupyter.hosts.listing import list_command, parse_listing, unquoted
from fractal_jupyter.hosts.local import LocalHost, named_errors, replacing
from fractal_jupyter.hosts.sudo_words import COMMANDS, raise_refusal

__all__ = ["SudoHost"]

# What the arguments of one command may add up to, in bytes; Linux allows 2 MB in all.
_ARGUMENTS = 100_000
# How long `cat`, `ls` and `mkdir` may take; a file system that answers needs much less.
_PATIENCE = 300.0

_MAKE = "make the folder"
_MISSING = (b"No such file or directory", b"Not a directory")


class SudoHost:
    """This machine as another Unix user, through `sudo -n -u USER`."""

    capabilities = frozenset({Capability.STREAM, Capability.LIST, Capability.MKDIR})

    def __init__(self, username: str, *, sudo: Sequence[str] = ("sudo",)) -> None:
        """Make the host; nothing is run yet.

        Args:
            username: the other user.
            sudo: the command that is `sudo`, where a site has its own.
        """
        self.username = username
        self.name = f"this machine as {username}"
        self._sudo = (*sudo, "-n", "-u", username, "--")
        self._local = LocalHost()

    def build_environment(self) -> None:
        """Return None: nothing is installed as the other user."""
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
        """Run one of the five commands as the other user; see `Host.run`.

        It runs in the root folder unless told otherwise (our own may be closed to the other
        user), and in the environment that sudo makes: `env` is refused.

        Raises:
            UnsupportedOnHost: it is another command, or an environment is asked for.
            AccessDenied: sudo refuses; the message says what the administrator has to add.
        """
        words = checked_argv(argv)
        if words[0] not in COMMANDS or env is not None:
            raise unsupported(self, Capability.RUN_ANY)
        result = self._local.run(
            [*self._sudo, *words],
            stdin=stdin,
            timeout=timeout,
            # English, so that a refusal is understood; the locale stays what it is
            env={**job_environment(), "LANGUAGE": "C"},
            cwd=cwd or "/",
            on_output=on_output,
        )
        raise_refusal(result, username=self.username, command=words[0])
        return CommandResult(words, result.exit_code, result.stdout, result.stderr, result.seconds)

    def read(self, path: str, offset: int = 0, limit: int | None = None) -> bytes:
        """Return the content of a file."""
        if offset or limit is not None:
            raise unsupported(self, Capability.READ_OFFSET)
        result = self._file_command(["cat", "--", path])
        if result.exit_code:
            raise self._failure("read", path, result)
        return result.stdout

    def read_many(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        """Return what files hold from a byte of each on; those that do not exist are left out.

        One `cat` writes all of them, with a file of ours before each and at the end. That is
        made anew each time, of random words, so no file can hold them already.
        """
        found: dict[str, bytes] = {}
        for paths in _portions(offsets):
            found.update(self._cat(paths))
        return {path: content[offsets[path] :] for path, content in found.items()}

    def write_many(self, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:  # noqa: ARG002
        """Refuse: nothing can be written as the other user."""
        raise unsupported(self, Capability.WRITE)

    def list(self, path: str) -> tuple[Entry, ...]:
        """Return the entries of a folder, ordered by name; links count as what they point to."""
        result = self._file_command(list_command(path))
        # 1: something in the folder could not be looked at, as a link that leads nowhere
        if result.exit_code > 1:
            raise self._failure("list", path, result)
        return parse_listing(result.stdout)

    def mkdir(
        self, path: str, *, mode: int = 0o700, parents: bool = True, exist_ok: bool = True
    ) -> bool:
        """Make a folder; return whether this call made it."""
        result = self._mkdir(path, mode)
        if result.exit_code == 0:
            return True
        parent = posixpath.dirname(path.rstrip("/"))
        if self._exists(path):
            if exist_ok and not self._exists(f"{path}/."):
                raise HostError(f"Cannot make the folder {path} as {self.username}: it is a file.")
            return False
        if parents and not self._exists(parent):
            made = self._file_command(["mkdir", "-p", "--", parent])
            if made.exit_code:
                raise self._failure(_MAKE, parent, made)
            return self.mkdir(path, mode=mode, parents=False, exist_ok=exist_ok)
        raise self._failure(_MAKE, path, result)

    def remove(self, path: str) -> None:  # noqa: ARG002
        """Refuse: nothing can be removed as the other user."""
        raise unsupported(self, Capability.REMOVE)

    def put(self, local: str, remote: str, *, mode: int = 0o600) -> None:  # noqa: ARG002
        """Refuse: nothing can be written as the other user."""
        raise unsupported(self, Capability.WRITE)

    def get(self, remote: str, local: str) -> None:
        """Copy a file of the other user to one of ours, atomically."""
        content = self.read(remote)
        with named_errors(f"copy {remote} to", local), replacing(local, 0o600) as temporary:
            temporary.write_bytes(content)

    def _file_command(self, argv: Sequence[str]) -> CommandResult:
        try:
            return self.run(argv, timeout=_PATIENCE)
        except CommandTimeout as error:
            raise HostUnreachable(f"The file system does not answer: {error}") from error

    def _mkdir(self, path: str, mode: int) -> CommandResult:
        return self._file_command(["mkdir", "-m", f"{mode:o}", "--", path])

    def _cat(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the files that exist, read with one command."""
        with tempfile.TemporaryDirectory(prefix="fractal-", dir=_open_to_all()) as folder:
            Path(folder).chmod(0o711)
            separator = Path(folder, secrets.token_hex(16))
            words = f"\n{secrets.token_hex(32)}\n".encode()
            separator.write_bytes(words)
            separator.chmod(0o644)
            argv = [word for path in paths for word in (str(separator), path)]
            result = self._file_command(["cat", "--", *argv, str(separator)])
        pieces = result.stdout.split(words)
        if len(pieces) != len(paths) + 2:
            raise HostError(
                f"Cannot read files as {self.username}: {separator.parent} is closed to that user."
                " Set TMPDIR to a folder that all users may enter."
            )
        contents = dict(zip(paths, pieces[1:-1], strict=True))
        if result.exit_code:
            for path in self._missing([path for path in paths if not contents[path]], result):
                del contents[path]
        return contents

    def _missing(self, empty: Sequence[str], result: CommandResult) -> set[str]:
        """Return which files are missing, of those of which nothing was read.

        Raises:
            HostError: `cat` failed for another reason.
        """
        complaints = result.stderr.splitlines()
        known = all(line.endswith(_MISSING) for line in complaints)
        if known and len(complaints) == len(empty):
            return set(empty)
        listed = self._file_command(["ls", "-1", "-d", "--quoting-style=c", "--", *empty]).stdout
        missing = set(empty) - {unquoted(line[1:-1]) for line in listed.splitlines()}
        if not known and len(complaints) > sum(self._is_missing(path) for path in missing):
            raise HostError(f"Cannot read files as {self.username}: {result.error_text.strip()}")
        return missing

    def _exists(self, path: str) -> bool:
        return self._file_command(["ls", "-d", "--", path]).exit_code == 0

    def _is_missing(self, path: str) -> bool:
        """Tell whether a path is not there, rather than out of reach: its folder knows."""
        parent, name = posixpath.split(path.rstrip("/"))
        if not name:
            return False
        listing = self._file_command(list_command(parent))
        if listing.exit_code < 2:
            return all(entry.name != name for entry in parse_listing(listing.stdout))
        # The folder itself is missing, or is a file; or it is there, and closed.
        status = self._file_command(list_command(parent, itself=True))
        return self._is_missing(parent) if status.exit_code else status.stdout[:1] != b"d"

    def _failure(self, action: str, path: str, result: CommandResult) -> HostError:
        """Return the error that says why a command about a path failed."""
        said = result.error_text.strip() or f"exit status {result.exit_code}"
        missing = result.stderr.rstrip().endswith(_MISSING) or self._is_missing(path)
        kind = FileMissing if missing else HostError
        advice = ""
        if action == _MAKE and result.stderr.rstrip().endswith(b"Permission denied"):
            advice = (
                f". Jobs of {self.username} keep their files below the project_dir of their "
                f"dataset: let {self.username} write there, or make a dataset with another one"
            )
        return kind(f"Cannot {action} {path} as {self.username}: {said}{advice}")


def _portions(paths: Mapping[str, int]) -> Iterator[list[str]]:
    """Divide paths so that the arguments of no command get too long."""
    portion: list[str] = []
    length = 0
    for path in paths:
        # what goes with it is the path of the separator
        size = len(path.encode(errors="surrogateescape")) + 200
        if portion and length + size > _ARGUMENTS:
            yield portion
            portion, length = [], 0
        portion.append(path)
        length += size
    if portion:
        yield portion


def _open_to_all() -> str:
    """Return the folder for temporary files, or another one if that is closed to other users."""
    chosen = Path(tempfile.gettempdir()).resolve()
    if all(folder.stat().st_mode & 0o001 for folder in (chosen, *chosen.parents)):
        return str(chosen)
    return next((str(each) for each in map(Path, ("/tmp", "/var/tmp")) if each.is_dir()), "/")  # noqa: S108

"""Source folders of task packages, installed in editable mode: what they are, and what is in them.

On this machine a source folder is used where it is, by another user too if it is open to them. On
other machines it is kept in step: what changed is copied, what has gone is removed.

Of a folder everything counts but what tools make and nobody imports: repositories, caches,
environments, builds, image data. `.gitignore` is not asked: it often names what a package cannot do
without, a `_version.py` that was generated or compiled modules.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from fractal_jupyter.environments.reach import first_out_of_reach
from fractal_jupyter.errors import CollectionError, FileMissing, HostError, PackageNotFound
from fractal_jupyter.hosts.base import Host

__all__ = [
    "Checkout",
    "Snapshot",
    "SourceFolder",
    "check_readable",
    "checkout_of",
    "copy_place",
    "read_source",
    "sync",
    "take_snapshot",
]

# In a copy: what was copied, which tells what of its files is ours; and, read each time because it
# is short, the digest of that, or the names of the files that are just being changed.
RECORD = ".fractal-copy.json"
MARK = ".fractal-copy.state"
# More than that is data, and not copied to other machines.
MOST_BYTES = 500_000_000
# The content of larger files is not read: they count as changed when their time or size changes.
LARGE_BYTES = 10_000_000
# A file that was changed just now may change again without getting another time.
_SETTLED_SECONDS = 2.0
_GIT_SECONDS = 20.0
# The length of a command, in characters, that any system takes.
_COMMAND_LENGTH = 100_000

_FOLDERS_LEFT_OUT = frozenset(
    {
        *(".git", ".hg", ".svn", ".bzr", "CVS", "__pycache__", "__pypackages__"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".cache", ".eggs"),
        *(".tox", ".nox", ".venv", "node_modules", ".pixi", ".idea", ".vscode", ".vs"),
        *(".ipynb_checkpoints", "htmlcov", ".fractal", ".fractal_cache"),
    }
)
_ENDINGS_LEFT_OUT = (".zarr", ".egg-info", ".pyc", ".pyo", ".swp", "~", ".part")
_FILES_LEFT_OUT = frozenset({".DS_Store", "Thumbs.db", ".coverage", "coverage.xml", RECORD, MARK})
# At the top only: deeper down, these may be modules.
_TOP_LEFT_OUT = frozenset({"build", "dist", "site", "wheels", "sdist"})
# What makes a folder an environment, whatever it is called.
_ENVIRONMENT_SIGNS = ("pyvenv.cfg", "conda-meta")


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A folder with the source of a package.

    Attributes:
        path: its absolute path on this machine.
        name: the name of the package.
        version: its version; None where that is found out when it is built.
        dependencies_digest: the same as long as an environment of it need not be built again.
    """

    path: str
    name: str
    version: str | None
    dependencies_digest: str


def read_source(path: str | os.PathLike[str]) -> SourceFolder:
    """Read what a source folder says of itself in its `pyproject.toml`.

    Raises:
        PackageNotFound: there is no such folder.
        CollectionError: it has no `pyproject.toml`, or that cannot be read or has no name.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise PackageNotFound(
            f"There is no folder {folder}. Give the folder that has the pyproject.toml of the "
            "package."
        )
    file = folder / "pyproject.toml"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CollectionError(
            f"{folder} has no pyproject.toml, so it is no package that can be installed in "
            "editable mode. Give the folder that has it."
        ) from None
    except (OSError, ValueError) as error:
        raise CollectionError(f"{file} cannot be read: {error}") from error
    project = document.get("project")
    name = project.get("name") if isinstance(project, dict) else None
    if not isinstance(name, str) or not isinstance(project, dict):
        raise CollectionError(
            f"{file} does not say what the package is called. Give it a name there: "
            '[project] name = "my-tasks".'
        )
    version = project.get("version")
    return SourceFolder(
        path=str(folder),
        name=name,
        version=version if isinstance(version, str) else None,
        dependencies_digest=_dependencies_digest(folder, document, project),
    )


def copy_place(folder: str) -> str:
    """Return where, on another machine, the copy is whose environment is in `folder`.

    It is beside it: a folder in which an environment is built has to be empty.
    """
    return f"{folder}.source"


# Of `[project]`, what an environment is built from.
_BUILT_FROM = (
    *("name", "requires-python", "dependencies", "optional-dependencies"),
    *("scripts", "gui-scripts", "entry-points"),
)


def _dependencies_digest(
    folder: Path, document: Mapping[str, Any], project: Mapping[str, Any]
) -> str:
    """Return a digest of all that an environment depends on, but the code."""
    facts = {name: project.get(name) for name in _BUILT_FROM}
    elsewhere: list[str] = []
    if set(project.get("dynamic", ())) & set(_BUILT_FROM):
        # Then a build backend reads them from files like these.
        names = ["setup.py", "setup.cfg", *(p.name for p in folder.glob("requirements*.txt"))]
        elsewhere = [_content_digest(folder / name) for name in sorted(names)]
    what = [facts, document.get("build-system"), elsewhere]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def _content_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


# What is in a folder


class SourceFile(NamedTuple):
    """A file: what tells its content from others, its permissions, and its size in bytes."""

    content: str
    mode: int
    size: int


@dataclass(frozen=True)
class Snapshot:
    """What was in a source folder at a time.

    Attributes:
        path: the folder.
        files: its files that count, by path below it.
        closed: its folders and files that not everybody can read, by path below it.
    """

    path: str
    files: Mapping[str, SourceFile]
    closed: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The same for the same files with the same content."""
        digest = hashlib.sha256()
        for name, file in sorted(self.files.items()):
            digest.update(f"{name}\0{file.content}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()


class _Known(NamedTuple):
    """What a file looked like when it was read, and the digest of its content."""

    inode: int
    size: int
    changed: int
    content: str


_known: dict[str, dict[str, _Known]] = {}
_lock = threading.Lock()


def take_snapshot(path: str) -> Snapshot:
    """Look at all files of a source folder that count.

    Only what has changed since this process looked last is read. Links to files count as these;
    links to folders are passed over.

    Raises:
        CollectionError: the folder has gone, or a file in it cannot be read.
    """
    with _lock:
        before = _known.get(path, {})
    known: dict[str, _Known] = {}
    files: dict[str, SourceFile] = {}
    closed: list[str] = []
    now = time.time_ns()
    try:
        for name, entry, status in _walk(path):
            if stat.S_ISDIR(status.st_mode):
                if status.st_mode & 0o5 != 0o5:
                    closed.append(name)
                continue
            if not status.st_mode & 0o4:
                closed.append(name)
            content = _content(before.get(name), entry, status)
            if now - status.st_mtime_ns > _SETTLED_SECONDS * 1e9:
                known[name] = _Known(status.st_ino, status.st_size, status.st_mtime_ns, content)
            files[name] = SourceFile(content, stat.S_IMODE(status.st_mode), status.st_size)
    except OSError as error:
        raise CollectionError(
            f"The source folder {path} cannot be read: {error.strerror} ({error.filename})."
        ) from error
    with _lock:
        _known[path] = known
    return Snapshot(path, files, tuple(closed))


def _content(known: _Known | None, path: str, status: os.stat_result) -> str:
    looks = (status.st_ino, status.st_size, status.st_mtime_ns)
    if known is not None and known[:3] == looks:
        return known.content
    if status.st_size > LARGE_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}"
    with open(path, "rb") as file:  # noqa: PTH123 - ten thousand files
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(top: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield what counts below a folder: path below it, path, and what it looks like."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(f"{top}/{below}" if below else top) as scanned:
            entries = list(scanned)
        if below and any(entry.name in _ENVIRONMENT_SIGNS for entry in entries):
            continue
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if _is_left_out(entry.name, is_folder=is_folder, is_top=not below):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue  # it has just gone, or is a link that leads nowhere
            if is_folder:
                pending.append(name)
                yield name, entry.path, status
            elif stat.S_ISREG(status.st_mode):
                yield name, entry.path, status


def _is_left_out(name: str, *, is_folder: bool, is_top: bool) -> bool:
    if name.endswith(_ENDINGS_LEFT_OUT):
        return True
    if is_folder:
        return name in _FOLDERS_LEFT_OUT or (is_top and name in _TOP_LEFT_OUT)
    return name in _FILES_LEFT_OUT


# Its commit


@dataclass(frozen=True, slots=True)
class Checkout:
    """What git says of a source folder.

    Attributes:
        commit: the commit that is checked out.
        dirty: whether there are files in the folder that differ from it, or are not in it.
    """

    commit: str
    dirty: bool


def checkout_of(path: str) -> Checkout | None:
    """Return the commit of a source folder; None when it is no checkout, or git does not say."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", path, "status", "--porcelain=v2"]
    try:
        done = subprocess.run(
            [*command, "--branch", "--untracked-files=normal", "--", "."],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            env={**_without_git(os.environ), "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode(errors="replace").splitlines()
    commit = next((m[1] for m in map(_COMMIT.fullmatch, lines) if m), None)
    if done.returncode or commit is None:
        return None
    return Checkout(commit, any(not line.startswith("#") for line in lines))


def _without_git(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which nothing says which repository is meant."""
    return {name: value for name, value in environ.items() if not name.startswith("GIT_")}


_COMMIT = re.compile(r"# branch\.oid ([0-9a-f]{40,64})")


# Other users


def check_readable(snapshot: Snapshot, reader: Host, *, package_root: str | None = None) -> None:
    """See that another user of this machine can read a source folder.

    Args:
        snapshot: what is in it.
        reader: this machine as that user.
        package_root: the folder of the manifest: what is not below it is not needed to run tasks;
            None: all files have to be readable.

    Raises:
        CollectionError: something is closed to that user; the message says what, and how to open
            it.
    """
    needed = [f"{folder}/." for folder in _from_the_top(package_root or snapshot.path)]
    root = package_root or snapshot.path
    closed = [f"{snapshot.path}/{name}" for name in snapshot.closed]
    inside = [path for path in closed if path.startswith(f"{root}/")]
    folders = [path for path in inside if not _is_file(snapshot, path)]
    shut = first_out_of_reach(reader, [*needed, *(f"{folder}/." for folder in folders)])
    if shut is None:
        # Not for all is not yet not for this one, who may be in the group of a file.
        files = [path for path in inside if _is_file(snapshot, path)]
        shut = _first_unreadable(reader, files[:1])
    if shut is None:
        return
    shut = shut.removesuffix("/.") or "/"
    is_inside = shut.startswith(f"{snapshot.path}/") or shut == snapshot.path
    how = f"chmod -R o+rX {snapshot.path}" if is_inside else f"chmod o+x {shut}"
    raise CollectionError(
        f"{shut} is closed on {reader.name}, so tasks of the source folder {snapshot.path} could "
        f"not run there. Open it ({how}), or move the source folder to where others can read it."
    )


def _is_file(snapshot: Snapshot, path: str) -> bool:
    return path[len(snapshot.path) + 1 :] in snapshot.files


def _from_the_top(folder: str) -> list[str]:
    path = Path(folder)
    return ["" if each == Path("/") else str(each) for each in reversed([path, *path.parents])]


def _first_unreadable(reader: Host, paths: Iterable[str]) -> str | None:
    for path in paths:
        try:
            reader.read(path)
        except HostError:
            return path
    return None


# Other machines


def sync(source: SourceFolder, host: Host, target: str) -> Snapshot:
    """Keep a copy of a source folder on another machine in step.

    What others made in the copy (bytecode, what an installer leaves) stays. When this is cut off,
    the next time does the rest.

    Args:
        source: the folder on this machine.
        host: the other machine.
        target: absolute path of the copy there; it is made if it is missing.

    Returns:
        What the copy has now.

    Raises:
        CollectionError: the folder cannot be read, or holds more than `MOST_BYTES`.
        HostError: the other machine does not do what it should.
    """
    snapshot = take_snapshot(source.path)
    size = sum(file.size for file in snapshot.files.values())
    if size > MOST_BYTES:
        raise CollectionError(
            f"The source folder {source.path} holds {size / 1e6:,.0f} MB, too much to be copied to "
            f"{host.name}{_largest(snapshot)}. Move data out of it, or collect a wheel of the "
            "package."
        )
    wanted = {name: _copied(file) for name, file in snapshot.files.items()}
    record = json.dumps(wanted, sort_keys=True).encode()
    state = {"digest": hashlib.sha256(record).hexdigest()}
    found = _document(host, f"{target}/{MARK}")
    if found != state:
        there = _document(host, f"{target}/{RECORD}") if found else {}
        # Nobody knows what was done before it was cut off.
        there |= dict.fromkeys(found.get("changing", ()), "")
        _bring_up_to_date(snapshot, host, target, wanted, _below(there))
        # The state last: it says that the record is true.
        host.write_many(
            {f"{target}/{RECORD}": record, f"{target}/{MARK}": json.dumps(state).encode()}
        )
    return snapshot


def _bring_up_to_date(
    snapshot: Snapshot,
    host: Host,
    target: str,
    wanted: Mapping[str, str],
    there: Mapping[str, str],
) -> None:
    """Copy what has changed, and remove what has gone."""
    changed = [name for name, what in wanted.items() if there.get(name) != what]
    # Folders, too, with whatever else is in them: one that is left could still be imported.
    gone = {*(there.keys() - wanted.keys()), *(_folders(there) - _folders(wanted))}
    new = _folders(changed) - (_folders(name for name, what in there.items() if what) - gone)
    if not there:
        host.mkdir(target)
    state = {"changing": [*changed, *(there.keys() & gone)]}
    host.write_many({f"{target}/{MARK}": json.dumps(state).encode()})
    for command, names in ((["rm", "-rf", "--"], gone), (["mkdir", "-p", "--"], new)):
        for some in _portions(f"{target}/{name}" for name in sorted(names)):
            host.run([*command, *some]).check()
    for mode in (0o600, 0o700):
        names = {name for name in changed if _mode(snapshot.files[name]) == mode}
        contents = {f"{target}/{name}": _read(snapshot.path, name) for name in sorted(names)}
        if contents:
            host.write_many(contents, mode=mode)


def _copied(file: SourceFile) -> str:
    return f"{_mode(file):o} {file.content}"


def _mode(file: SourceFile) -> int:
    return 0o700 if file.mode & 0o100 else 0o600


def _document(host: Host, path: str) -> dict[str, Any]:
    """Return what we have written there; an empty one if there is nothing."""
    try:
        found = json.loads(host.read(path))
    except (FileMissing, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _below(there: Mapping[str, str]) -> dict[str, str]:
    """Leave out names that lead elsewhere: what is named may be removed."""
    odd = {"", ".", ".."}
    return {name: what for name, what in there.items() if not odd & {*name.split("/")}}


def _folders(names: Iterable[str]) -> set[str]:
    """Return all folders that lead to some files."""
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _read(folder: str, name: str) -> bytes:
    try:
        return Path(folder, name).read_bytes()
    except OSError as error:
        raise CollectionError(
            f"{folder}/{name} changed while it was copied ({error.strerror}). Try again."
        ) from error


def _largest(snapshot: Snapshot) -> str:
    name, file = max(snapshot.files.items(), key=lambda item: item[1].size)
    return f" (the largest file is {name}, {file.size / 1e6:,.0f} MB)"


def _portions(paths: Iterable[str]) -> Iterator[Sequence[str]]:
    """Divide paths so that commands do not get too long."""
    portion: list[str] = []
    length = 0
    for path in paths:
        if portion and length + len(path) > _COMMAND_LENGTH:
            yield portion
            portion, length = [], 0
        portion.append(path)
        length += len(path) + 3
    if portion:
        yield portion

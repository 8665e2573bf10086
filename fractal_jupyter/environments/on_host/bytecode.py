"""Bytecode of an environment: compiled once, then shared by every environment that has the file.

Compiling is the slow part of an installation (for fractal-tasks-core ten times as long as all the
rest), and the same for every environment. So compiled files are kept in a store, by the digest of
their source, and environments get hard links to them.

They are ordinary `.pyc` files: Python compares the time and size of the source that they hold
with the source itself, so that an edited file is never run in its old form. Sources installed
from one cache share their times too; for each other time, the store gets a copy that has it.
"""

from __future__ import annotations

# Tens of thousands of paths: strings are several times faster here than Path objects.
# ruff: noqa: PTH101, PTH103, PTH105, PTH110, PTH112, PTH116, PTH120, PTH123
import hashlib
import importlib.util
import os
import py_compile
import stat
import sys
import uuid
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MARKER = "bytecode"
# The unit of `st_blocks`, whatever the file system.
BLOCK = 512

_TAG = sys.implementation.cache_tag or "python"
_MAGIC = importlib.util.MAGIC_NUMBER
_TESTS = "/tests/"
_TIMESTAMPED = bytes(4)
_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


class Source(NamedTuple):
    """A Python file of an environment; time in seconds, size in bytes."""

    path: str
    mtime: int
    size: int


class Survey(NamedTuple):
    """What an environment is made of.

    Attributes:
        sources: its Python files, without those of the packages' own tests (a third of all, and
            nobody imports them).
        size: the size of all its files in bytes.
        own: the bytes on the disk that no other environment and no cache has as well: those of
            its folders (with one for the bytecode of each) and of files with no other link.
    """

    sources: list[Source]
    size: int
    own: int


def survey(folder: str) -> Survey:
    """Walk through an environment that has no bytecode yet."""
    sources: list[Source] = []
    size = own = 0
    with_sources = set()
    for entry in walk(folder):
        status = entry.stat()
        if entry.is_dir():
            own += status.st_blocks * BLOCK
            continue
        size += status.st_size
        own += status.st_blocks * BLOCK if status.st_nlink == 1 else 0
        place = os.path.dirname(entry.path)
        if entry.name.endswith(".py") and _TESTS not in place[len(folder) :] + "/":
            sources.append(Source(entry.path, int(status.st_mtime), status.st_size))
            with_sources.add(place)
    own += sum(os.stat(place).st_blocks * BLOCK for place in with_sources)
    return Survey(sorted(sources), size, own)


def let_all_read(folder: str) -> None:
    """Let everybody read what the owner of a folder can, below it too, whatever the umask was."""
    open_folder(folder)
    for entry in walk(folder):
        _let_read(entry.path, entry.stat().st_mode)


def open_folder(folder: str) -> None:
    """Let everybody into a folder of ours."""
    _let_read(folder, os.stat(folder).st_mode)


def walk(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder, symbolic links left out."""
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    pending.append(entry.path)
                yield entry


def link(sources: Iterable[Source], store: str | None) -> list[Source]:
    """Give an environment the bytecode that the store has.

    Args:
        sources: its Python files.
        store: the folder of the store; None: there is none.

    Returns:
        The files for which the store has nothing.
    """
    if store is None or not os.path.isdir(store):
        return list(sources)
    return [source for source in sources if not _link(source, store)]


def compile_all(sources: list[Source], store: str | None, *, alive: Path) -> None:
    """Compile files, into the store first if there is one, in several processes.

    Args:
        sources: Python files.
        store: the folder of the store; None: compile in place.
        alive: a file of the environment; when it has gone, so has the environment.
    """
    processes = _processors()
    children = []
    for number in range(1, processes):
        pid = os.fork()
        if not pid:
            _compile_and_exit(sources[number::processes], store, alive)
        children.append(pid)
    _compile_some(sources[::processes], store, alive)
    for pid in children:
        os.waitpid(pid, 0)


def _processors() -> int:
    """Return how many processes to use: the processors we may have, and on big machines some."""
    if sys.platform == "linux":
        return min(len(os.sched_getaffinity(0)), 8)
    return min(os.cpu_count() or 1, 8)


def _compile_and_exit(sources: list[Source], store: str | None, alive: Path) -> None:
    try:
        _compile_some(sources, store, alive)
    finally:
        os._exit(0)


def _compile_some(sources: list[Source], store: str | None, alive: Path) -> None:
    warnings.simplefilter("ignore")
    for source in sources:
        if not alive.exists():
            return
        try:
            if store is None:
                py_compile.compile(source.path, doraise=True)
            elif not _link(source, store):
                py_compile.compile(source.path, _stored(source, store), doraise=True)
                _link(source, store)
        except (py_compile.PyCompileError, OSError, ValueError, RecursionError, MemoryError):
            # Python 2 code and templates are among the files of packages. Nobody imports them;
            # and whoever imports a file without bytecode gets it compiled then.
            continue


def _link(source: Source, store: str) -> bool:
    """Put the stored bytecode of a file beside it; tell whether there is any."""
    stored = _stored(source, store)
    header = _header(source)
    try:
        with open(stored, "rb") as file:
            found = file.read(16)
        if found != header:
            stored = _of_another_time(stored, source.mtime, header)
    except FileNotFoundError:
        return False
    target = importlib.util.cache_from_source(source.path)
    for _ in range(2):
        try:
            os.link(stored, target)
        except FileExistsError:
            return True
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        except OSError:
            # another file system, or one without hard links
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _write(target, Path(stored).read_bytes())
            return True
        else:
            return True
    return False


def _stored(source: Source, store: str) -> str:
    with open(source.path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return f"{store}/{_TAG}-{_MAGIC.hex()}/{digest[:2]}/{digest[2:40]}.pyc"


def _header(source: Source) -> bytes:
    """Return how the bytecode of a file begins (see PEP 552)."""
    fields = (source.mtime, source.size)
    return _MAGIC + _TIMESTAMPED + b"".join((f & 0xFFFFFFFF).to_bytes(4, "little") for f in fields)


def _of_another_time(stored: str, mtime: int, header: bytes) -> str:
    """Return stored bytecode with the time of another copy of its source."""
    path = f"{stored[:-4]}-{mtime:x}.pyc"
    if not os.path.exists(path):
        _write(path, header + Path(stored).read_bytes()[16:])
    return path


def _write(path: str, content: bytes) -> None:
    temporary = f"{path}.{uuid.uuid4().hex[:8]}"
    Path(temporary).write_bytes(content)
    os.replace(temporary, path)


def _let_read(path: str, mode: int) -> None:
    wanted = mode | _READABLE | (_EXECUTABLE if mode & stat.S_IXUSR else 0)
    if wanted != mode:
        os.chmod(path, stat.S_IMODE(wanted))

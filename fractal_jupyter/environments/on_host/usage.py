"""What environments and their cache take up on the disk, and removing what nothing needs.

A sweep and a build must not meet: what a build is about to link, a sweep may be about to remove.
Each claims its folder first and looks for the other then, so that at least one of them notices:
a sweep that meets a build gives up, a build that meets a sweep waits for it, see `wait_for_sweep`.
"""

from __future__ import annotations

# ruff: noqa: PTH118 - hundreds of thousands of files: strings are much faster
import os
import re
import shutil
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bytecode import BLOCK
from .claim import ASIDE, Claim, age, is_complete, owner_of, take, take_over
from .messages import Failure, report, send

Inode = tuple[int, int]
_SWEEP = "sweep"
_DEPTH = 3
# How names of what is being removed end; anything else that is set aside is not complete yet.
_DOOMED = (".old", ".removed")
# What is older than this was left behind, even where nobody can ask its owner.
_OLD_SECONDS = 3600.0
# Where uv refers to its archives without looking whether they are there.
_POINTERS = ("url", "path")


@dataclass(frozen=True)
class Place:
    """A folder of environments, and how to know what is in it.

    Attributes:
        tasks_dir: the folder.
        cache: what its environments share.
        set_aside: names of folders that are being removed, or are not complete yet.
        copy_suffix: how the copy of a source folder is called, after that of its environment.
        copy_mark: a file that each such copy has.
    """

    tasks_dir: Path
    cache: Path
    set_aside: re.Pattern[str]
    copy_suffix: str
    copy_mark: str

    def is_aside(self, path: Path) -> bool:
        """Tell whether a folder was put aside by whoever removes it, or has begun to fill it."""
        return self.set_aside.fullmatch(path.name) is not None

    def is_copy(self, path: Path) -> bool:
        """Tell whether a folder is the copy of a source folder."""
        return path.name.endswith(self.copy_suffix) and (path / self.copy_mark).is_file()

    def is_environment(self, path: Path) -> bool:
        """Tell whether a folder is an environment, whole or not."""
        if self.is_aside(path) or self.is_copy(path):
            return False
        return is_complete(path) or owner_of(path) is not None

    def is_left_over(self, path: Path) -> bool:
        """Tell whether a folder is what is left of a build, or of a removal."""
        if self.is_aside(path):
            return path.name.endswith(_DOOMED) or age(path) > _OLD_SECONDS
        if self.is_copy(path):
            environment = path.with_name(path.name[: -len(self.copy_suffix)])
            return not environment.exists() and age(path / self.copy_mark) > _OLD_SECONDS
        return _is_abandoned(path)


def main(document: Mapping[str, Any]) -> int:
    """Tell what is there; with `remove` in the request, remove what nothing needs.

    The request: `tasks_dir`, `cache_dir` (what its environments share), `remove`; `folders`,
    those in which there should be nothing, or with `remove` those to remove; `set_aside`,
    the pattern of names that whoever sends this gives to what is removed or not complete yet; and
    of copies of source folders `copy_suffix`, and `copy_mark`, a file that each has.
    """
    request = document["request"]
    place = Place(
        tasks_dir=Path(request["tasks_dir"]),
        cache=Path(request["cache_dir"]),
        set_aside=re.compile(f"{ASIDE}|{request['set_aside']}"),
        copy_suffix=request["copy_suffix"],
        copy_mark=request["copy_mark"],
    )
    try:
        if request["remove"]:
            send("swept", sweep(place, request["folders"]))
        else:
            send("usage", survey(place, request["folders"]))
    except OSError as error:
        report(Failure("system", str(error)))
        return 1
    return 0


def wait_for_sweep(cache: str | None) -> None:
    """Wait until nobody removes anything from a cache."""
    if cache is None:
        return
    folder = Path(cache) / _SWEEP
    owner = owner_of(folder)
    while owner is not None and owner.is_alive() and owner_of(folder) is not None:
        time.sleep(0.1)


def survey(place: Place, gone: Sequence[str]) -> dict[str, Any]:
    """Return what there is: environments, leftovers, the cache; sizes in bytes on the disk.

    What is in the folders `gone`, and is nothing whole and nothing that is being built, is left
    over.
    """
    together: dict[Inode, int] = {}
    environments = []
    cached = _Contents(place.cache)
    for folder in _environments(place):
        if not _is_abandoned(folder):
            contents = _Contents(folder)
            together.update(contents.sizes)
            environments.append(
                {
                    "folder": str(folder),
                    "complete": is_complete(folder),
                    "size": contents.size,
                    "own": contents.own(),
                    # What only the cache has as well, a sweep removes from there.
                    "frees": contents.own(besides=cached),
                }
            )
    unused = sum(_size(path) for path in _unused(place.cache))
    return {
        "environments": environments,
        "together": sum(together.values()),
        "leftovers": [
            {"path": str(path), "size": _Contents(path).own()}
            for path in sorted({*_leftovers(place), *_remains(gone)})
        ],
        "cache": cached.size,
        "unused": unused,
    }


def sweep(place: Place, wanted: Sequence[str] | None) -> dict[str, Any]:
    """Remove leftovers, all or those that are wanted, and what of the cache nothing links to.

    Returns:
        `freed` (bytes), `leftovers` (their paths), and `busy`: whether the cache was left as it is
        because somebody builds, or removes, already.
    """
    freed, removed = 0, []
    for path in _leftovers(place):
        if wanted is not None and str(path) not in wanted:
            continue
        size = _Contents(path).own()
        if _remove_leftover(place, path):
            freed += size
            removed.append(str(path))
    cache = place.cache
    claim = _claim_sweep(cache) if cache.is_dir() else None
    busy = claim is None and cache.is_dir()
    if claim is not None:
        try:
            busy = not all(map(is_complete, _environments(place)))
            freed += 0 if busy else _remove_unused(cache)
        finally:
            claim.abandon()
    return {"freed": freed, "leftovers": removed, "busy": busy}


# Environments


def _ours(place: Place) -> Iterator[Path]:
    """Yield folders of environments, whole or not, and what was made or set aside beside them.

    What else is there is none of ours.
    """
    pending = [(place.tasks_dir, 0)]
    while pending:
        folder, depth = pending.pop()
        for path in _folders(folder):
            if path == place.cache:
                continue
            if place.is_aside(path) or place.is_copy(path) or place.is_environment(path):
                yield path
            elif depth + 1 < _DEPTH:
                pending.append((path, depth + 1))


def _environments(place: Place) -> Iterator[Path]:
    """Return the folders of environments, whole or not."""
    return filter(place.is_environment, _ours(place))


def _is_abandoned(folder: Path) -> bool:
    """Tell whether whoever built in a folder is dead, as far as can be told at once."""
    owner = None if is_complete(folder) else owner_of(folder)
    return owner is not None and (not owner.is_alive() or owner.silence() > _OLD_SECONDS)


def _leftovers(place: Place) -> list[Path]:
    """Return folders of builds that did not get to their end, and of removals that did not."""
    # What is brought along lies in the cache.
    brought = filter(place.is_aside, _folders(place.cache / "bin"))
    return sorted(path for path in (*_ours(place), *brought) if place.is_left_over(path))


def _remains(folders: Sequence[str]) -> Iterator[Path]:
    """Yield those folders that are there, and neither an environment nor one that is built."""
    for folder in map(Path, folders):
        if folder.is_dir() and not is_complete(folder) and owner_of(folder) is None:
            yield folder


def _remove_leftover(place: Place, path: Path) -> bool:
    """Remove a leftover, unless somebody has begun to build in its place."""
    if place.is_aside(path) or place.is_copy(path):
        shutil.rmtree(str(path), ignore_errors=True)
        return not path.exists()
    owner = owner_of(path)
    claim = take_over(owner) if owner is not None else None
    if claim is None:
        return False
    claim.abandon()
    return True


# The cache


def _claim_sweep(cache: Path) -> Claim | None:
    folder = cache / _SWEEP
    claim = take(folder)
    if claim is None:
        owner = owner_of(folder)
        if owner is not None and _is_abandoned(folder):
            claim = take_over(owner)
    return claim


def _unused(cache: Path) -> Iterator[Path]:
    """Yield the parts of the cache of which no environment has a file."""
    for bucket in cache.glob("uv/archive-v*"):
        for archive in _folders(bucket):
            if all(_is_single(status) for status in _files(archive)):
                yield archive
    for store in _folders(cache / "bytecode"):
        for folder in _folders(store):
            for entry in os.scandir(str(folder)):
                if entry.stat(follow_symlinks=False).st_nlink == 1:
                    yield Path(entry.path)


def _remove_unused(cache: Path) -> int:
    """Remove what is unused; return the bytes that this has freed."""
    freed = 0
    without_archives = True
    for path in list(_unused(cache)):
        freed += _size(path)
        if path.is_dir():
            without_archives = False
            shutil.rmtree(str(path), ignore_errors=True)
        else:
            path.unlink()
    for bucket in () if without_archives else cache.glob("uv/wheels-v*"):
        for name in _POINTERS:
            shutil.rmtree(str(bucket / name), ignore_errors=True)
    return freed


# Files


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, none if it is not there or closed; no symbolic links."""
    try:
        with os.scandir(str(folder)) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Yield the status of everything below a folder and of itself, as long as it is there."""
    for place, _, names in os.walk(str(folder)):
        for path in (place, *(os.path.join(place, name) for name in names)):
            try:
                yield os.lstat(path)
            except FileNotFoundError:
                continue


class _Contents:
    """The files of a folder, each once; sizes in bytes on the disk."""

    def __init__(self, folder: Path) -> None:
        self.sizes: dict[Inode, int] = {}
        self._links: Counter[Inode] = Counter()
        self._all_links: dict[Inode, int] = {}
        for status in _files(folder):
            inode = status.st_dev, status.st_ino
            self.sizes[inode] = status.st_blocks * BLOCK
            self._links[inode] += 1
            # The links of a folder are the folders in it.
            self._all_links[inode] = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def own(self, *, besides: _Contents | None = None) -> int:
        """Return the size of what nothing else has as well, but perhaps another folder."""
        others = Counter() if besides is None else besides._links
        return sum(
            size
            for inode, size in self.sizes.items()
            if self._all_links[inode] == self._links[inode] + others[inode]
        )


def _size(path: Path) -> int:
    """Return the bytes that a file, or a folder with all in it, takes up; each file once."""
    if path.is_file():
        return path.lstat().st_blocks * BLOCK
    return _Contents(path).size


def _is_single(status: os.stat_result) -> bool:
    """Tell whether nothing else is the same file."""
    return stat.S_ISDIR(status.st_mode) or status.st_nlink == 1

"""Where an administrator's files are.

In each folder of Jupyter's configuration path:

    fractal/users.json                     names of users of the hub: their names on the cluster
    fractal/<any name>/resource.json       a resource
    fractal/<any name>/profiles/*.json     profiles of it

Looking for them reads nothing but folders, and asks for the time and size of each file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = "fractal"
USERS = "users.json"
RESOURCE = "resource.json"
PROFILES = "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as it was when it was found; one that has changed since is another one."""

    path: Path
    changed_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFiles:
    """The files of one resource; `config` is the configuration folder that they are in."""

    config: Path
    resource: File
    profiles: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """All files of an administrator, those that outrank others first.

    `problems` says what could not be looked into.
    """

    users: tuple[File, ...] = ()
    resources: tuple[ResourceFiles, ...] = ()
    problems: tuple[str, ...] = ()


def find_files() -> Files:
    """Look for the files of an administrator in Jupyter's configuration path."""
    from jupyter_core.paths import jupyter_config_path

    users: list[File] = []
    resources: list[ResourceFiles] = []
    problems: list[str] = []
    for config in dict.fromkeys(Path(folder).absolute() for folder in jupyter_config_path()):
        try:
            users += _files(config / FOLDER / USERS)
            for folder in _entries(config / FOLDER):
                resources += _resource(config, folder, problems)
        except OSError as error:
            problems.append(f"{error.filename} cannot be read: {error.strerror}.")
    return Files(users=tuple(users), resources=tuple(resources), problems=tuple(problems))


def is_gone(path: str) -> bool:
    """Whether there is no such file; not so where that cannot be told."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _resource(config: Path, folder: Path, problems: list[str]) -> Iterator[ResourceFiles]:
    profiles = tuple(
        file
        for path in _entries(folder / PROFILES)
        if path.suffix == ".json"
        for file in _files(path)
    )
    resources = _files(folder / RESOURCE)
    if profiles and not resources:
        problems.append(f"{folder / PROFILES} has profiles, but {folder / RESOURCE} is not there.")
    for resource in resources:
        yield ResourceFiles(config=config, resource=resource, profiles=profiles)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder that may not be there, sorted; nothing hidden."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(path: Path) -> list[File]:
    """The one file at that path, or none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        File(path=path, changed_ns=status.st_mtime_ns, size=status.st_size, inode=status.st_ino)
    ]

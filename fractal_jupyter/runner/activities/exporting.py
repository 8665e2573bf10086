"""Lock files: what an environment consists of, for another machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from fractal_jupyter.environments.lock import LockFile, WheelFile, parse_lock, write_lock_file
from fractal_jupyter.errors import NotAllowed
from fractal_jupyter.runner.activities.kept import kept_file
from fractal_jupyter.runner.activities.recipes import LOCK_SUFFIX
from fractal_jupyter.store.records import TaskGroupRecord
from fractal_jupyter.store.store import Store

_NOT_FROM_PACKAGES = {
    "editable": "its package is a source folder, which changes. Build a wheel of it and collect "
    "that",
    "custom": "its environment was made by somebody else, from what is not known. Collect the "
    "package into one of its own",
    "pixi": "its project archive has a lock file of its own: collect that archive there",
}


def export(store: Store, group: TaskGroupRecord, path: Path | None) -> Path:
    """Write the lock file of a task group, and beside it the wheel that it needs.

    Args:
        store: Where it is.
        group: The task group, active or not.
        path: The file to write, or a folder; by default the working directory.

    Returns:
        The path of the lock file.

    Raises:
        NotAllowed: The environment cannot be rebuilt from packages.
        PackageNotFound: The copy of its wheel is not there any more.
    """
    if group.origin in _NOT_FROM_PACKAGES or group.lock is None or group.version is None:
        why = _NOT_FROM_PACKAGES.get(group.origin, "what it consists of was not recorded")
        raise NotAllowed(f"{group.package} {group.version} cannot be exported: {why}.")
    wheel = group.request.get("wheel")
    text = write_lock_file(
        LockFile(
            package=group.package,
            version=group.version,
            extras=tuple(group.request["extras"]),
            origin=group.origin,
            python_version=group.python_version,
            wheel=None if wheel is None else WheelFile(wheel["name"], wheel["sha256"]),
            lock=parse_lock(group.lock),
        )
    )
    target = _target(group, path or Path.cwd())
    target.parent.mkdir(parents=True, exist_ok=True)
    if wheel is not None:
        shutil.copyfile(kept_file(store, wheel), target.with_name(wheel["name"]))
    draft = target.with_name(f".{target.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(target)
    return target


def _target(group: TaskGroupRecord, path: Path) -> Path:
    path = path.expanduser().absolute()
    if path.is_dir():
        return path / f"{group.package}-{group.version}{LOCK_SUFFIX}"
    if path.suffix != LOCK_SUFFIX:
        raise NotAllowed(
            f"{path} is not the name of a lock file: those end with {LOCK_SUFFIX}, so that "
            "fractal.collect knows them."
        )
    return path

"""What came as a file (a wheel, a pixi project): copies of it in the folder of the store.

They are there for as long as their environments may be built again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from fractal_jupyter.errors import PackageNotFound
from fractal_jupyter.runner.detached import store_folder
from fractal_jupyter.store.store import Store

PACKAGES_FOLDER = "packages"
# Of the file that a store is by default.
USUAL_STEM = "fractal"
# What was uploaded may wait that long for being collected, in seconds.
_PATIENCE = 86_400.0


def keep_file(store: Store, path: Path) -> dict[str, str]:
    """Copy a file into the folder of the store, unless it is there.

    Returns:
        Its `name` and `sha256`, by which `kept_file` finds it.

    Raises:
        PackageNotFound: It cannot be read.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        target = _kept(store, path.name, digest)
        if target.exists():
            target.touch()  # so that it is not taken for one that nobody wants any more
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            shutil.copyfile(path, draft)
            draft.replace(target)
    except OSError as error:
        raise PackageNotFound(
            f"{path} cannot be read: {error.strerror}. Give the path of a file that is there, or "
            'the name of a package: "name==1.0".'
        ) from error
    return {"name": path.name, "sha256": digest}


def kept_file(store: Store, file: Mapping[str, str]) -> Path:
    """Where a kept file is; raises `PackageNotFound` when it is not there any more."""
    path = _kept(store, file["name"], file["sha256"])
    if not path.exists():
        raise PackageNotFound(
            f"{file['name']} was collected from a file, of which {path} was a copy; that is not "
            "there any more. Collect the package from its file again."
        )
    return path


def is_kept(store: Store, file: Mapping[str, str]) -> bool:
    """Tell whether there is a copy of a file."""
    return _kept(store, file["name"], file["sha256"]).exists()


def forget_unused(store: Store, *, at_once: Collection[str] = ()) -> int:
    """Remove copies that are of no task group, and of nothing that is being done.

    Args:
        store: Its folder has them.
        at_once: The digests of those that may be new: others are a day old at least.

    Returns:
        How many bytes that has freed.
    """
    freed = 0
    for path, about in unused_copies(store, at_once=at_once):
        with suppress(OSError):  # gone already
            path.unlink()
            freed += about.st_size
            path.parent.rmdir()
    return freed


def unused_copies(
    store: Store, *, at_once: Collection[str] = ()
) -> list[tuple[Path, os.stat_result]]:
    """Find what `forget_unused` removes, with the status of each file.

    Of databases that are no file all are kept: several may have the same folder.
    """
    if store.database.path is None:
        return []
    requests = [group.request for group in store.task_groups.all()]
    requests += [activity.request for activity in store.activities.active()]
    used = json.dumps(requests)
    found = []
    for path in sorted(kept_folder(store).glob("*/*")):
        digest = path.parent.name
        with suppress(OSError):  # gone already, or not ours
            about = path.stat()
            old = time.time() - about.st_mtime > _PATIENCE
            if digest not in used and (old or digest in at_once):
                found.append((path, about))
    return found


def kept_folder(store: Store) -> Path:
    """The folder that all copies of a store are in.

    Others may be beside it, which know nothing of each other's task groups.
    """
    path = store.database.path
    name = "postgresql" if path is None else path.stem
    folder = PACKAGES_FOLDER if name == USUAL_STEM else f"{PACKAGES_FOLDER}-{name}"
    return store_folder(store) / folder


def _kept(store: Store, name: str, sha256: str) -> Path:
    return kept_folder(store) / sha256 / name

"""What a new store begins with: a resource for this machine, and a profile of it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from fractal_jupyter.store.store import Store, default_folder

RESOURCE_NAME = "Local resource"
PROFILE_NAME = "Local profile"
SUPPORTED_PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def add_local_resource(store: Store) -> None:
    """Add the local resource and profile to a store that has no resource at all."""
    if store.resources.names():
        return
    base = default_folder() if store.database.path is None else store.database.path.parent.resolve()
    pythons = find_pythons()
    resource = {
        "type": "local",
        "name": RESOURCE_NAME,
        "jobs_local_dir": str(base / "jobs"),
        "jobs_runner_config": {},
        "jobs_poll_interval": 1,
        "tasks_local_dir": str(base / "tasks"),
        "tasks_python_config": {
            "default_version": next(iter(pythons)),
            "versions": pythons,
        },
        "tasks_pixi_config": {},
    }
    store.add_first_resource(resource, {"name": PROFILE_NAME, "resource_type": "local"})


def find_pythons() -> dict[str, str]:
    """Interpreters of this machine, by version; the one of this process is the first.

    None of them is run, since this is waited for: `resources.check` does that.
    """
    current = f"{sys.version_info.major}.{sys.version_info.minor}"
    # Not the interpreter of a virtual environment: environments outlive the one of the notebook.
    own = getattr(sys, "_base_executable", None) or sys.executable
    found = {current: os.path.realpath(own)}
    for version in SUPPORTED_PYTHONS:
        path = _find(version)
        if version not in found and path is not None:
            found[version] = path
    return found


def _find(version: str) -> str | None:
    """The path of an interpreter of that version: on the search path, or one that pyenv made."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    folders = [
        *filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep)),
        *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin"), reverse=True)),
    ]
    candidates = (shutil.which(f"python{version}", path=folder) for folder in folders)
    return next((path for path in candidates if path is not None and not _is_script(path)), None)


def _is_script(path: str) -> bool:
    """Whether a file is a script that may start an interpreter, or say that there is none."""
    try:
        with Path(path).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True

"""What a new store begins with: a resource for this machine, and a profile of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
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
    resource = parse_resource(
        {
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
    )
    profile = parse_profile({"name": PROFILE_NAME, "resource_type": "local"})
    store.add_first_resource(resource.to_document(), profile.to_document())


def find_pythons() -> dict[str, str]:
    """Interpreters of this machine that run, by version; the one of this process is the first."""
    current = f"{sys.version_info.major}.{sys.version_info.minor}"
    # Not the interpreter of a virtual environment: environments outlive the one of the notebook.
    own = getattr(sys, "_base_executable", None) or sys.executable
    found = {current: os.path.realpath(own)}
    for version in SUPPORTED_PYTHONS:
        path = shutil.which(f"python{version}")
        if version not in found and path is not None and _says(path) == version:
            found[version] = path
    return found


def _says(python: str) -> str | None:
    """The version that an interpreter says it has; None when it does not run (a pyenv shim)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        result = subprocess.run(
            [python, "-I", "-S", "-c", code], capture_output=True, timeout=5, cwd=Path("/")
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None

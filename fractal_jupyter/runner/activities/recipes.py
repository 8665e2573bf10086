"""What an environment is made from: what a user asks for, checked, in a form that is remembered.

A recipe is a JSON document: the request of the activity that builds the environment, and of the
task group that comes of it, from which it can be built again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fractal_jupyter.environments.lock import LockFile, read_lock_file
from fractal_jupyter.environments.pixi import read_project
from fractal_jupyter.environments.source import read_source
from fractal_jupyter.environments.spec import PackageSpec, parse_requirement
from fractal_jupyter.errors import CollectionError, InvalidArguments, NotFound, PackageNotFound
from fractal_jupyter.runner.activities.kept import is_kept, keep_file
from fractal_jupyter.runner.activities.site import Site
from fractal_jupyter.store.records import ProfileRecord
from fractal_jupyter.store.store import Store

LOCK_SUFFIX = ".lock"

Recipe = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRequest:
    """What a user wants collected; see `fractal_jupyter.client.fractal.Fractal.collect`."""

    requirement: str
    profile: ProfileRecord
    python: str | None = None
    extras: Sequence[str] = ()
    pins_before: Mapping[str, str] = field(default_factory=dict)
    pins_after: Mapping[str, str] = field(default_factory=dict)
    uv: bool = True
    editable: bool = False
    pixi: bool = False
    pixi_version: str | None = None


def make_recipe(store: Store, request: CollectionRequest, site: Site) -> Recipe:
    """Check what a user asks for, and keep the files that it names.

    Returns:
        The recipe; `folder` in it is where the environment belongs: the same for the same
        request, another for any other.

    Raises:
        CollectionError: It cannot be meant.
        NotFound: The resource has no such Python, or pixi.
    """
    if request.editable and request.pixi:
        raise InvalidArguments("editable=True and pixi=True exclude each other: say one of them.")
    if request.pixi:
        recipe = _of_project(store, request, site)
    elif request.editable:
        recipe = _of_source(request, site)
    elif request.requirement.strip().endswith(LOCK_SUFFIX):
        recipe = _of_lock(store, request, site)
    else:
        recipe = _of_package(store, request, site)
    return {**recipe, "profile": site.profile_name, **site.remembered}


def _of_package(store: Store, request: CollectionRequest, site: Site) -> Recipe:
    package = parse_requirement(request.requirement)
    package = replace(package, extras=tuple(dict.fromkeys((*package.extras, *request.extras))))
    wheel = None if package.wheel is None else keep_file(store, package.wheel)
    recipe = _venv_recipe(request, site, package, origin="wheel" if wheel else "pypi", wheel=wheel)
    # Without a version the newest is meant, and that is another one on another day.
    newest = "" if package.version else time.strftime("%Y-%m-%d", time.gmtime())
    return _placed(recipe, site, version=package.version or "newest", also=newest)


def _of_source(request: CollectionRequest, site: Site) -> Recipe:
    source = read_source(request.requirement)
    package = PackageSpec(source.name, extras=tuple(dict.fromkeys(request.extras)))
    recipe = _venv_recipe(request, site, package, origin="editable", wheel=None)
    recipe |= {"source": source.path, "dependencies": source.dependencies_digest}
    return _placed(recipe, site, version="editable")


def _of_lock(store: Store, request: CollectionRequest, site: Site) -> Recipe:
    path = Path(request.requirement.strip()).expanduser()
    said = (request.python, request.extras, request.pins_before, request.pins_after)
    if any(said):
        raise InvalidArguments(
            f"{path.name} says exactly what to install: python=, extras= and pins= do not go "
            "with it."
        )
    file = _read_lock_file(path)
    wheel = None if file.wheel is None else _wheel_of_lock(store, path, file)
    package = PackageSpec(file.package, version=file.version, extras=tuple(file.extras))
    asked = replace(request, python=file.python_version)
    recipe = _venv_recipe(asked, site, package, origin=file.origin, wheel=wheel)
    recipe |= {"lock": file.lock.to_document()}
    return _placed(recipe, site, version=file.version or "locked", also=file.lock.digest)


def _of_project(store: Store, request: CollectionRequest, site: Site) -> Recipe:
    config = site.resource.tasks_pixi_config
    if config is None:
        raise NotFound(
            f"The resource {site.resource.name!r} has no pixi (tasks_pixi_config). Add one to the "
            "resource, or collect the package from a wheel."
        )
    if request.python or request.extras or request.pins_before or request.pins_after:
        raise InvalidArguments(
            "A pixi project says itself which Python, extras and versions it wants: python=, "
            "extras= and pins= do not go with pixi=True."
        )
    version = request.pixi_version or config.default_version
    if version not in config.versions:
        raise NotFound(
            f"The resource {site.resource.name!r} has no pixi {version}; it has "
            f"{', '.join(config.versions)}."
        )
    path = Path(request.requirement).expanduser()
    project = read_project(path)
    recipe = {
        "kind": "pixi",
        "origin": "pixi",
        "requirement": request.requirement,
        "package": project.package,
        "version": project.version,
        "archive": keep_file(store, path),
        "pixi_version": version,
        "environment": config.DEFAULT_ENVIRONMENT,
        "platform": config.DEFAULT_PLATFORM,
    }
    return _placed(recipe, site, version=project.version or "project")


def _venv_recipe(
    request: CollectionRequest,
    site: Site,
    package: PackageSpec,
    *,
    origin: str,
    wheel: dict[str, str] | None,
) -> Recipe:
    python_version, _ = site.resource.python_interpreter(request.python)
    return {
        "kind": "venv",
        "origin": origin,
        "requirement": request.requirement,
        "package": package.name,
        "version": package.version,
        "extras": list(package.extras),
        "python_version": python_version,
        "pins_before": dict(request.pins_before),
        "pins_after": dict(request.pins_after),
        "uv": request.uv,
        "wheel": wheel,
    }


def _placed(recipe: Recipe, site: Site, *, version: str, also: str = "") -> Recipe:
    """Add where the environment goes."""
    what = {name: value for name, value in recipe.items() if name not in ("requirement", "lock")}
    text = json.dumps([what, also], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    python = f"-py{recipe['python_version']}" if "python_version" in recipe else ""
    folder = f"{site.tasks_dir}/{recipe['package']}/{version}{python}-{digest}"
    return {**recipe, "folder": folder}


def _read_lock_file(path: Path) -> LockFile:
    try:
        return read_lock_file(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise PackageNotFound(f"The lock file {path} cannot be read: {why}.") from error


def _wheel_of_lock(store: Store, path: Path, file: LockFile) -> dict[str, str]:
    """Keep the wheel that a lock file means: it lies beside it, or is kept already."""
    assert file.wheel is not None
    wheel = path.with_name(file.wheel.name)
    meant = {"name": file.wheel.name, "sha256": file.wheel.sha256}
    if not wheel.exists() and is_kept(store, meant):
        return meant
    kept = keep_file(store, wheel)
    if kept["sha256"] != file.wheel.sha256:
        raise CollectionError(
            f"{wheel} is not the wheel that {path.name} was made with: its SHA-256 is "
            f"{kept['sha256']}, and not {file.wheel.sha256}. Put the right one beside the lock "
            "file."
        )
    return kept

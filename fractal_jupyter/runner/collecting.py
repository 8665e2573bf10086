"""Collecting a task package: build its environment, read its tasks, remember both."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from fractal_jupyter.environments.spec import BuildRequest, PackageSpec, parse_requirement
from fractal_jupyter.environments.uv import find_uv
from fractal_jupyter.environments.venv import BuiltEnvironment, VenvBuilder
from fractal_jupyter.errors import FileMissing, PackageNotFound
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.manifest import parse_manifest
from fractal_jupyter.models.resource import Resource
from fractal_jupyter.runner.submission import missing_path, usable_resource
from fractal_jupyter.store.records import ProfileRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store

LOG_SECONDS = 1.0
# What a folder has in it while an environment is built there; see `environments.on_host.claim`.
CLAIM_PREFIX = ".claim-"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRequest:
    """What a user wants collected; see `fractal_jupyter.client.fractal.Fractal.collect`."""

    requirement: str
    profile: ProfileRecord
    python: str | None
    extras: tuple[str, ...]
    pins_before: dict[str, str]
    pins_after: dict[str, str]
    uv: bool


def collect(
    store: Store, request: CollectionRequest, *, log: Callable[[str], None]
) -> TaskGroupRecord:
    """Build the environment that is asked for, unless it is there, and record its tasks.

    An environment that is not whole any more is built again, and keeps its task group. Of two
    who collect the same at once, one builds, the other waits, and both get the one task group.

    Args:
        store: Where the task group is recorded.
        request: What is asked for.
        log: Gets each line of the log as it comes.

    Raises:
        CollectionError: With the reason in words; nothing is left behind.
    """
    resource_record = store.resources.by_id(request.profile.resource_id)
    resource = usable_resource(resource_record)
    package = parse_requirement(request.requirement)
    package = replace(package, extras=tuple(dict.fromkeys((*package.extras, *request.extras))))
    python_version, interpreter = resource.python_interpreter(request.python)
    folder = _folder(resource, request, package, python_version)
    known = store.task_groups.find_folder(str(folder))
    if known is not None:
        missing = missing_path(known)
        if missing is None:
            log(f"{known.package} {known.version} is there already, in {folder}.")
            return known
        log(f"{missing} is not there any more: building the environment again.")
        _clear(str(folder))
    activity = store.activities.begin(action="collect", subject=request.requirement)
    lines = _ActivityLog(store, activity.id, log)
    try:
        built = _builder(resource, uv=request.uv).build(
            BuildRequest(
                package=package,
                interpreter=interpreter,
                python_version=python_version,
                pins_before=request.pins_before,
                pins_after=request.pins_after,
                folder=str(folder),
                configured=tuple(resource.tasks_python_config.versions),
            ),
            log=lines,
        )
        group = store.task_groups.add(
            entries=_entries(built),
            resource_id=resource_record.id,
            package=built.package_name,
            version=built.version,
            origin="wheel" if package.wheel else "pypi",
            request={
                "requirement": request.requirement,
                "extras": list(package.extras),
                "pins_before": request.pins_before,
                "pins_after": request.pins_after,
            },
            folder=str(folder),
            python_version=python_version,
            python=built.python,
            package_root=built.package_root,
            freeze=list(built.freeze),
            size_bytes=built.size_bytes,
        )
    except BaseException as error:
        lines.flush()
        reason = str(error) or f"interrupted ({type(error).__name__})"
        store.activities.end(activity.id, error=reason)
        raise
    lines.flush()
    store.activities.end(activity.id, error=None, task_group_id=group.id)
    return group


class _ActivityLog:
    """Passes lines on, and adds them to the log of an activity about once a second."""

    def __init__(self, store: Store, activity_id: int, log: Callable[[str], None]) -> None:
        self._store = store
        self._activity_id = activity_id
        self._log = log
        self._lines: list[str] = []
        self._last = time.monotonic()

    def __call__(self, line: str) -> None:
        self._log(line)
        self._lines.append(line + "\n")
        if time.monotonic() - self._last > LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written."""
        if self._lines:
            self._store.activities.append_log(self._activity_id, "".join(self._lines))
        self._lines, self._last = [], time.monotonic()


def _clear(folder: str) -> None:
    """Remove what is left of an environment, unless somebody is building it again already."""
    host = LocalHost()
    with suppress(FileMissing):
        if not any(entry.name.startswith(CLAIM_PREFIX) for entry in host.list(folder)):
            host.remove(folder)


def _builder(resource: Resource, *, uv: bool) -> VenvBuilder:
    cache = PurePosixPath(resource.tasks_local_dir) / ".cache"
    return VenvBuilder(
        LocalHost(),
        uv=find_uv() if uv else None,
        cache_dir=str(cache),
        pip_cache_dir=resource.pip_cache_dir,
    )


def _entries(built: BuiltEnvironment) -> list[dict[str, Any]]:
    """The manifest's tasks with their types, which may be left to be inferred there."""
    source = f"{built.package_name} {built.version}"
    manifest = parse_manifest(built.manifest_text, source=source)
    raw = json.loads(built.manifest_text)["task_list"]
    return [
        {**entry, "type": task.type} for entry, task in zip(raw, manifest.task_list, strict=True)
    ]


def _folder(
    resource: Resource, request: CollectionRequest, package: PackageSpec, python_version: str
) -> PurePosixPath:
    """Where the environment goes: the same for the same request, another for any other."""
    wheel = _wheel_digest(package.wheel) if package.wheel else ""
    # Without a version the newest is meant, and that is another one on another day.
    newest = "" if package.version or wheel else time.strftime("%Y-%m-%d", time.gmtime())
    what = [
        *(package.name, package.version or "", wheel, newest, python_version, request.uv),
        *(sorted(package.extras), sorted(request.pins_before.items())),
        sorted(request.pins_after.items()),
    ]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
    version = package.version or "newest"
    name = f"{version}-py{python_version}-{digest}"
    return PurePosixPath(resource.tasks_local_dir) / package.name / name


def _wheel_digest(wheel: Path) -> str:
    try:
        return hashlib.sha256(wheel.read_bytes()).hexdigest()
    except OSError as error:
        raise PackageNotFound(
            f"The wheel file {wheel} cannot be read: {error.strerror}. Give the path of a wheel, "
            'or the name of a package: "name==1.0".'
        ) from error

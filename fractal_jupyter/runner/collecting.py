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

from fractal_jupyter.environments.reach import first_out_of_reach
from fractal_jupyter.environments.spec import BuildRequest, PackageSpec, parse_requirement
from fractal_jupyter.environments.uv import CarriedUv, find_uv
from fractal_jupyter.environments.venv import BuiltEnvironment, VenvBuilder
from fractal_jupyter.errors import (
    CollectionError,
    FileMissing,
    InterpreterError,
    PackageNotFound,
)
from fractal_jupyter.hosts.base import Capability, Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.manifest import parse_manifest
from fractal_jupyter.models.profile import Profile, parse_profile
from fractal_jupyter.models.resource import Resource
from fractal_jupyter.runner.backend import make_backend
from fractal_jupyter.runner.submission import missing_path, usable_resource
from fractal_jupyter.store.records import ActivityRecord, ProfileRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store

LOG_SECONDS = 1.0
# Below the folder of the environments, with what all of them share.
CACHE_FOLDER = ".cache"
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
    store: Store,
    request: CollectionRequest,
    *,
    log: Callable[[str], None],
    activity: ActivityRecord | None = None,
) -> TaskGroupRecord:
    """Build the environment that is asked for, unless it is there, and record its tasks.

    It is built where the tasks of the profile run, by the profile's user; where that is another
    user of this machine, by us, so that the other one can run it.

    An environment that is not whole any more is built again, and keeps its task group. Of two
    who collect the same at once, one builds, the other waits, and both get the one task group.

    Args:
        store: Where the task group is recorded.
        request: What is asked for.
        log: Gets each line of the log as it comes.
        activity: What it is recorded as, when that has begun already; the caller ends it.

    Raises:
        CollectionError: With the reason in words; nothing is left behind.
        HostError: The machine that the environment is for cannot be used.
    """
    resource_record = store.resources.by_id(request.profile.resource_id)
    resource = usable_resource(resource_record)
    package = parse_requirement(request.requirement)
    package = replace(package, extras=tuple(dict.fromkeys((*package.extras, *request.extras))))
    python_version, interpreter = resource.python_interpreter(request.python)
    site = _site(resource, parse_profile(request.profile.document))
    folder = _folder(site.tasks_dir, request, package, python_version)
    note = log if activity is None else _ActivityLog(store, activity.id, log, seconds=0)
    known = store.task_groups.find_folder(resource_record.id, str(folder))
    if known is not None and missing_path(known, site.reader) is None:
        note(f"{known.package} {known.version} is there already, in {folder}.")
        return known
    site.check(interpreter)
    missing = known and missing_path(known, site.builder)
    if missing is not None:
        note(f"{missing} is not there any more: building the environment again.")
        _clear(site.builder, str(folder))
    recorded = activity or store.activities.begin(action="collect", subject=request.requirement)
    lines = _ActivityLog(store, recorded.id, log)
    try:
        builder = VenvBuilder(
            site.builder,
            uv=site.uv() if request.uv else None,
            cache_dir=site.cache,
            pip_cache_dir=resource.pip_cache_dir,
        )
        built = builder.build(
            BuildRequest(
                package=package,
                interpreter=interpreter,
                python_version=python_version,
                pins_before=request.pins_before,
                pins_after=request.pins_after,
                folder=str(folder),
                share=site.is_shared,
                configured=tuple(resource.tasks_python_config.versions),
            ),
            log=lines,
            pulse=lines.flush_in_time,
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
                **site.remembered,
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
        if activity is None:
            store.activities.end(recorded.id, error=reason)
        raise
    lines.flush()
    if activity is None:
        store.activities.end(recorded.id, error=None, task_group_id=group.id)
    return group


@dataclass(frozen=True, slots=True)
class _Site:
    """Where the environments of a profile are.

    Attributes:
        tasks_dir: Their folder.
        builder: Who makes them.
        reader: Who runs them: the profile's user.
        remembered: What a task group has to remember of this.
    """

    tasks_dir: str
    builder: Host
    reader: Host
    remembered: dict[str, Any]

    @property
    def is_shared(self) -> bool:
        """Whether another user than the one who builds has to run them."""
        return self.builder is not self.reader

    @property
    def cache(self) -> str:
        """The folder of what all environments share."""
        return f"{self.tasks_dir}/{CACHE_FOLDER}"

    def uv(self) -> str | CarriedUv | None:
        """The uv to build with: ours, here or brought along; None when we have none."""
        found = find_uv()
        if found is None or isinstance(self.builder, LocalHost):
            return found
        return CarriedUv(found, f"{self.cache}/bin")

    def check(self, interpreter: str) -> None:
        """Raise `CollectionError` when the other user could not run what is built."""
        if not self.is_shared:
            return
        folders = [Path(self.tasks_dir), *Path(self.tasks_dir).parents]
        doors = [f"{folder}/." for folder in reversed(folders) if folder.exists()]
        closed = first_out_of_reach(self.reader, [*doors, interpreter])
        if closed == interpreter:
            raise InterpreterError(
                f"{interpreter} cannot be reached on {self.reader.name}. Give a Python that all "
                "users can run in tasks_python_config of the resource."
            )
        if closed is not None:
            raise CollectionError(
                f"The folder {closed.removesuffix('/.') or '/'} is closed on {self.reader.name}, "
                f"so environments in {self.tasks_dir} could not be used. Open it (chmod o+rx), or "
                "choose another tasks_local_dir in the resource."
            )


def _site(resource: Resource, profile: Profile) -> _Site:
    reader = make_backend(resource, profile).host
    builder = reader if Capability.RUN_ANY in reader.capabilities else LocalHost()
    if profile.tasks_remote_dir is None:
        return _Site(resource.tasks_local_dir, builder, reader, {})
    remembered = {"tasks_remote_dir": profile.tasks_remote_dir}
    return _Site(profile.tasks_remote_dir, builder, reader, remembered)


class _ActivityLog:
    """Passes lines on, and adds them to the log of an activity, at most every so many seconds."""

    def __init__(
        self,
        store: Store,
        activity_id: int,
        log: Callable[[str], None],
        *,
        seconds: float = LOG_SECONDS,
    ) -> None:
        self._store = store
        self._activity_id = activity_id
        self._log = log
        self._seconds = seconds
        self._lines: list[str] = []
        self._last = time.monotonic()

    def __call__(self, line: str) -> None:
        self._log(line)
        self._lines.append(line + "\n")
        self.flush_in_time()

    def flush_in_time(self) -> None:
        """Write what has waited for long enough."""
        if time.monotonic() - self._last >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written."""
        if self._lines:
            self._store.activities.append_log(self._activity_id, "".join(self._lines))
        self._lines, self._last = [], time.monotonic()


def _clear(host: Host, folder: str) -> None:
    """Remove what is left of an environment, unless somebody is building it again already."""
    with suppress(FileMissing):
        if not any(entry.name.startswith(CLAIM_PREFIX) for entry in host.list(folder)):
            host.remove(folder)


def _entries(built: BuiltEnvironment) -> list[dict[str, Any]]:
    """The manifest's tasks with their types, which may be left to be inferred there."""
    source = f"{built.package_name} {built.version}"
    manifest = parse_manifest(built.manifest_text, source=source)
    raw = json.loads(built.manifest_text)["task_list"]
    return [
        {**entry, "type": task.type} for entry, task in zip(raw, manifest.task_list, strict=True)
    ]


def _folder(
    tasks_dir: str, request: CollectionRequest, package: PackageSpec, python_version: str
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
    return PurePosixPath(tasks_dir) / package.name / name


def _wheel_digest(wheel: Path) -> str:
    try:
        return hashlib.sha256(wheel.read_bytes()).hexdigest()
    except OSError as error:
        raise PackageNotFound(
            f"The wheel file {wheel} cannot be read: {error.strerror}. Give the path of a wheel, "
            'or the name of a package: "name==1.0".'
        ) from error

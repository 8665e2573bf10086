"""Task groups in editable mode before a job uses them: change the code, submit again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fractal_jupyter.environments.inspect import inspect_package
from fractal_jupyter.environments.source import (
    Snapshot,
    SourceFolder,
    check_readable,
    checkout_of,
    copy_place,
    read_source,
    sync,
    take_snapshot,
)
from fractal_jupyter.errors import ManifestBroken, NotAllowed, PackageNotFound
from fractal_jupyter.hosts.base import Capability
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.profile import Profile
from fractal_jupyter.models.resource import Resource
from fractal_jupyter.runner.activities.building import task_entries
from fractal_jupyter.runner.activities.custom import entries_of, values_of
from fractal_jupyter.runner.backend import make_backend
from fractal_jupyter.store.records import TaskGroupRecord
from fractal_jupyter.store.store import Store

MANIFEST = "__FRACTAL_MANIFEST__.json"
# Task groups that somebody may have changed since they were collected.
CHANGING = ("editable", "custom")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A task group as it is now.

    Attributes:
        group: The task group.
        source: What its source folder is now, for the record of a job: the `digest` of its files,
            the git `commit` (None where there is none) and whether it is `dirty`. None for a task
            group that was not collected in editable mode.
    """

    group: TaskGroupRecord
    source: dict[str, Any] | None = None


def refresh(
    store: Store, group: TaskGroupRecord, *, resource: Resource, profile: Profile
) -> Refreshed:
    """See that what is known of a task group is what runs next.

    Of a source folder, the copy on another machine is brought up to date, and the tasks are those
    that the manifest lists now; an environment that somebody else looks after is looked at. Other
    task groups stay as they are.

    Args:
        store: Where the task group is.
        group: The task group; it is active.
        resource: The resource that it belongs to.
        profile: As whom it is about to be used.

    Raises:
        NotAllowed: The folder has gone, or the environment does not fit it any more; the message
            says what to do.
        CollectionError: The folder, or its manifest, cannot be used as it is.
        InvalidManifest: The manifest breaks the contract.
        HostError: The other machine cannot be used.
    """
    if group.origin == "custom":
        return Refreshed(_looked_at(store, group, resource, profile))
    if group.origin != "editable":
        return Refreshed(group)
    source = _source_of(group, profile)
    if profile.tasks_remote_dir is None:
        snapshot = _in_place(group, source, resource, profile)
        place = source.path
    else:
        place = copy_place(group.folder)
        snapshot = sync(source, make_backend(resource, profile).host, place)
    group = _with_tasks(store, group, _package_root(group, source, place, profile))
    checkout = checkout_of(source.path)
    return Refreshed(
        group,
        {
            "digest": snapshot.digest,
            "commit": checkout and checkout.commit,
            "dirty": checkout and checkout.dirty,
        },
    )


def _looked_at(
    store: Store, group: TaskGroupRecord, resource: Resource, profile: Profile
) -> TaskGroupRecord:
    reader = make_backend(resource, profile).host
    builder = reader if Capability.RUN_ANY in reader.capabilities else LocalHost()
    python = group.request["python"]
    found = inspect_package(builder, python=python, package=group.request["package"])
    entries, values = entries_of(found), values_of(found)
    known = [task.entry for task in store.task_groups.tasks(group.id)]
    if entries == known and all(getattr(group, name) == value for name, value in values.items()):
        return group
    return store.task_groups.replace_tasks(group.id, entries, **values)


def _source_of(group: TaskGroupRecord, profile: Profile) -> SourceFolder:
    path = group.request["source"]
    try:
        source = read_source(path)
    except PackageNotFound as error:
        raise NotAllowed(
            f"The source folder of {group.package}, {path}, is not there any more. Put it back, "
            "or collect the package from where it is now, with editable=True."
        ) from error
    if source.dependencies_digest != group.request["dependencies"]:
        raise NotAllowed(
            f"{path}/pyproject.toml asks for another environment than the one that {group.package} "
            f"has. {_collect_again(path, profile)}"
        )
    return source


def _in_place(
    group: TaskGroupRecord, source: SourceFolder, resource: Resource, profile: Profile
) -> Snapshot:
    snapshot = take_snapshot(source.path)
    reader = make_backend(resource, profile).host
    if Capability.RUN_ANY not in reader.capabilities:
        check_readable(snapshot, reader, package_root=group.package_root)
    return snapshot


def _package_root(
    group: TaskGroupRecord, source: SourceFolder, place: str, profile: Profile
) -> Path:
    """Where, on this machine, the folder with the manifest is."""
    root = PurePosixPath(group.package_root or place)
    if not root.is_relative_to(place):
        raise NotAllowed(
            f"{group.package} does not run from its source folder {source.path}, but from {root}. "
            f"{_collect_again(source.path, profile)}"
        )
    here = Path(source.path, root.relative_to(place))
    if not (here / MANIFEST).is_file():
        raise NotAllowed(
            f"{here} has no {MANIFEST} any more. If it is elsewhere now: "
            f"{_collect_again(source.path, profile)}"
        )
    return here


def _with_tasks(store: Store, group: TaskGroupRecord, root: Path) -> TaskGroupRecord:
    """The task group with the tasks that its manifest lists now."""
    text = (root / MANIFEST).read_text(encoding="utf-8", errors="replace")
    known = [task.entry for task in store.task_groups.tasks(group.id)]
    is_new = _entries_like(text, known) != known
    entries = known
    if is_new:
        entries = task_entries(name=group.package, version=group.version, manifest_text=text)
    _check_scripts(group, entries, root)
    return store.task_groups.replace_tasks(group.id, entries) if is_new else group


def _entries_like(text: str, known: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The tasks of a manifest with the types of known ones; None when it cannot be read.

    Enough to see whether there is something new, without what checking a manifest takes.
    """
    try:
        listed = json.loads(text)["task_list"]
        return [
            {**now, "type": now.get("type") or was["type"]}
            for was, now in zip(known, listed, strict=True)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _check_scripts(
    group: TaskGroupRecord, entries: Iterable[Mapping[str, Any]], root: Path
) -> None:
    keys = ("executable_non_parallel", "executable_parallel")
    named = {entry[key] for entry in entries for key in keys if entry.get(key)}
    missing = sorted(name for name in named if not (root / name).is_file())
    if missing:
        raise ManifestBroken(
            f"The manifest of {group.package} names scripts that {root} does not have: "
            f"{', '.join(missing)}. Write them, or take them out of the manifest."
        )


def _collect_again(path: str, profile: Profile) -> str:
    call = f"fractal.collect({path!r}, editable=True, profile={profile.name!r})"
    return f"Collect it again: {call}."

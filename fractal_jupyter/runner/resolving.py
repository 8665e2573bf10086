"""Which task of which task group a step means, and whether its environment is there."""

from __future__ import annotations

from collections.abc import Iterable

from fractal_jupyter.environments.reach import first_out_of_reach
from fractal_jupyter.errors import Ambiguous, NotAllowed, NotFound
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.models.workflow import Step
from fractal_jupyter.runner.refreshing import CHANGING, Refreshed, refresh
from fractal_jupyter.runner.usable import needed_paths
from fractal_jupyter.store.documents import not_found
from fractal_jupyter.store.records import (
    ProfileRecord,
    ResourceRecord,
    TaskGroupRecord,
    TaskRecord,
)
from fractal_jupyter.store.store import Store


class Tasks:
    """The tasks of a resource for a submission, those of source folders as they are now.

    Attributes:
        refreshed: The task groups that were looked at, by id.
    """

    def __init__(self, store: Store, resource: ResourceRecord, profile: ProfileRecord) -> None:
        self._store = store
        self._resource = resource
        self._profile = profile
        self.refreshed: dict[int, Refreshed] = {}

    def resolve(self, step: Step) -> tuple[TaskRecord, TaskGroupRecord]:
        """Find the task of a step; see `resolve_task`."""
        try:
            task, group = self._find(step)
        except NotFound:
            # The manifest of a source folder may name it since a moment ago.
            if not self._refresh_sources():
                raise
            task, group = self._find(step)
        while group.id not in self.refreshed:
            self._refresh(group)
            if group.origin in CHANGING:
                task, group = self._find(step)
        return task, group

    def _find(self, step: Step) -> tuple[TaskRecord, TaskGroupRecord]:
        return resolve_task(
            self._store,
            resource=self._resource,
            profile=self._profile,
            name=step.task,
            version=step.version,
            package=step.package,
            task_group=step.task_group,
        )

    def _refresh_sources(self) -> bool:
        """Look at all source folders of the resource; tell whether there were any."""
        groups = [
            group
            for group in self._store.task_groups.all()
            if group.active
            and group.origin in CHANGING
            and group.resource_id == self._resource.id
            and group.id not in self.refreshed
        ]
        for group in groups:
            self._refresh(group)
        return bool(groups)

    def _refresh(self, group: TaskGroupRecord) -> None:
        self.refreshed[group.id] = refresh(
            self._store,
            group,
            resource=parse_resource(self._resource.document),
            profile=parse_profile(self._profile.document),
        )


def resolve_task(
    store: Store,
    *,
    resource: ResourceRecord,
    profile: ProfileRecord,
    name: str,
    version: str | None = None,
    package: str | None = None,
    task_group: int | None = None,
) -> tuple[TaskRecord, TaskGroupRecord]:
    """Find a task by name among the active task groups of a resource.

    Those that were built in the folder of a profile are for profiles with that folder. Of a
    version that was collected several times, for two Pythons say, it is that of the task group
    `task_group`, or else of the one that was collected last.

    Raises:
        NotFound: No task group of the resource has it.
        Ambiguous: Several have, and neither version nor package tells them apart.
    """
    folder = parse_profile(profile.document).tasks_remote_dir
    groups = {
        group.id: group
        for group in store.task_groups.all()
        if group.active and group.resource_id == resource.id
    }
    tasks = [task for task in store.task_groups.tasks() if task.task_group_id in groups]
    here = [task for task in tasks if _is_in(groups[task.task_group_id], folder)]
    named = [task for task in here if task.name == name]
    if not named:
        for task in tasks:
            if task.name == name:
                raise _collected_elsewhere(task, groups[task.task_group_id], profile)
        _raise_if_deactivated(store, resource, name)
        raise not_found(f"task on the resource {resource.name!r}", name, {t.name for t in here})
    found = [
        (task, groups[task.task_group_id])
        for task in named
        if version in (None, groups[task.task_group_id].version)
        and package in (None, groups[task.task_group_id].package)
    ]
    have = _choices(groups[task.task_group_id] for task in named)
    if not found:
        _raise_if_deactivated(store, resource, name, version=version, package=package)
        asked = " ".join(filter(None, (package, version)))
        raise not_found(f"version of the task {name!r}", asked, have)
    if len({(group.package, group.version) for _, group in found}) > 1:
        raise Ambiguous(
            f"Several task groups have a task {name!r}: {', '.join(have)}. "
            "Say which with version= (and package=)."
        )
    meant = [pair for pair in found if pair[1].id == task_group]
    if task_group is not None and not meant:
        _raise_if_off(store, resource, task_group, name)
    return (meant or found)[-1]


def _raise_if_deactivated(
    store: Store,
    resource: ResourceRecord,
    name: str,
    *,
    version: str | None = None,
    package: str | None = None,
) -> None:
    off = {
        group.id: group
        for group in store.task_groups.all()
        if not group.active
        and group.resource_id == resource.id
        and version in (None, group.version)
        and package in (None, group.package)
    }
    for task in store.task_groups.tasks():
        if task.name == name and task.task_group_id in off:
            raise _is_deactivated(name, off[task.task_group_id])


def _raise_if_off(store: Store, resource: ResourceRecord, task_group: int, name: str) -> None:
    """Raise `NotFound` if that task group of the resource is deactivated."""
    for group in store.task_groups.all():
        if (group.id, group.resource_id, group.active) == (task_group, resource.id, False):
            raise _is_deactivated(name, group)


def _is_deactivated(name: str, group: TaskGroupRecord) -> NotFound:
    return NotFound(
        f"The task {name!r} is in {group.package} {group.version}, which is deactivated. "
        f"Build its environment again: {_reactivate_call(group)}."
    )


def _is_in(group: TaskGroupRecord, tasks_remote_dir: str | None) -> bool:
    return group.request.get("tasks_remote_dir") in (None, tasks_remote_dir)


def _collected_elsewhere(
    task: TaskRecord, group: TaskGroupRecord, profile: ProfileRecord
) -> NotFound:
    return NotFound(
        f"The task {task.name!r} was collected into {group.request['tasks_remote_dir']}, and the "
        f"environments of the profile {profile.name!r} are in another folder. Collect it there "
        f"too: {_collect_call(group, profile.name)}."
    )


def check_environments(groups: Iterable[TaskGroupRecord], host: Host, profile: str) -> None:
    """Ask a host once whether the environments of several task groups are all there.

    Raises:
        NotAllowed: One is incomplete; the message says how to build it again.
    """
    owners = {path: group for group in groups for path in needed_paths(group)}
    missing = first_out_of_reach(host, owners) if owners else None
    if missing is not None:
        group = owners[missing]
        what = missing.removesuffix("/.")
        raise NotAllowed(
            f"The environment of {group.package} {group.version} is incomplete: "
            f"{what} is not to be found on {host.name}. {_again(group, profile)}"
        )


def _again(group: TaskGroupRecord, profile: str) -> str:
    if group.origin == "custom":
        return "Ask who looks after it, or collect the package into an environment of its own."
    # What came as a file may not be where it was; there is a copy of it.
    call = _collect_call(group, profile) if group.origin == "pypi" else _reactivate_call(group)
    return f"Build it again: {call}."


def _reactivate_call(group: TaskGroupRecord) -> str:
    return f"fractal.task_groups.get({group.package!r}, version={group.version!r}).reactivate()"


def _collect_call(group: TaskGroupRecord, profile: str) -> str:
    """What a user types to get an environment like that of a task group."""
    asked = group.request
    extras = f"[{','.join(asked['extras'])}]" if asked.get("extras") else ""
    requirement = f"{group.package}{extras}=={group.version}"
    if group.origin == "wheel" and "requirement" in asked:
        requirement = asked["requirement"] + extras
    options = {
        "profile": profile,
        "python": group.python_version,
        "pins": asked.get("pins_after"),
        "pins_before": asked.get("pins_before"),
    }
    words = [repr(requirement), *(f"{name}={value!r}" for name, value in options.items() if value)]
    return f"fractal.collect({', '.join(words)})"


def _choices(groups: Iterable[TaskGroupRecord]) -> list[str]:
    return sorted({f"{group.package} {group.version}" for group in groups})

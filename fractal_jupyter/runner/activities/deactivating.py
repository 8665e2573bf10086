"""Removing the environment of a task group; what it consisted of is kept."""

from __future__ import annotations

from fractal_jupyter.errors import NotAllowed
from fractal_jupyter.runner.activities.building import clear_group
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.runner.activities.process import start
from fractal_jupyter.runner.activities.site import site_of_group
from fractal_jupyter.runner.activities.used_by import others_in
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store


def begin_deactivation(store: Store, group: TaskGroupRecord) -> tuple[ActivityRecord, bool]:
    """See that the environment of a task group is removed.

    Returns:
        The activity, and whether it is a new one.

    Raises:
        NotAllowed: It has none.
        InUse: A job that is not over runs in it, or something else is being done to it.
        NotFound: No profile of its resource has its folder any more.
    """
    if not group.active:
        raise NotAllowed(f"The task group {group.package} {group.version} is not active.")
    store.task_groups.require_no_jobs(group.id)
    site_of_group(store, group)
    return start(
        store,
        action="deactivate",
        subject=f"{group.package} {group.version}",
        request={"task_group": group.id},
        place=group.place,
        task_group_id=group.id,
    )


def perform(doing: Doing) -> Outcome:
    """Let no new job use the task group, then remove its environment."""
    store = doing.store
    group = store.task_groups.get(doing.request["task_group"])
    if group.origin != "custom":
        # What cannot be removed stays active.
        site_of_group(store, group).check_own(group.folder)
        doing.look()
    store.task_groups.deactivate(group.id)
    doing.settle()
    remove_environment(doing, group)
    return Outcome(task_group_id=group.id)


def remove_environment(doing: Doing, group: TaskGroupRecord) -> None:
    """Remove what a task group has on the disk, if that is ours, and nobody else's as well."""
    if group.origin == "custom":
        doing.log(f"{group.python} is not ours to remove: it stays.")
        return
    others = others_in(doing.store, group)
    if others:
        names = ", ".join(f"{other.package} {other.version} ({other.id})" for other in others)
        doing.log(f"{group.folder} stays: other task groups run in it: {names}.")
        return
    site = site_of_group(doing.store, group)
    doing.log(f"Removing {group.folder}")
    if not clear_group(site, group):
        doing.log(f"{group.folder} is no environment of ours: it stays.")

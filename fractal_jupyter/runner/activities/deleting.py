"""Removing a task group, its environment with it."""

from __future__ import annotations

from fractal_jupyter.errors import InUse
from fractal_jupyter.runner.activities.deactivating import remove_environment
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.runner.activities.kept import forget_unused
from fractal_jupyter.runner.activities.process import start
from fractal_jupyter.runner.activities.site import site_of_group
from fractal_jupyter.runner.activities.used_by import used_in_words, workflows_using
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store


def begin_deletion(store: Store, group: TaskGroupRecord) -> tuple[ActivityRecord, bool]:
    """See that a task group is removed, and its environment with it.

    Returns:
        The activity, and whether it is a new one.

    Raises:
        InUse: A workflow or a job that is not over uses it, or something else is being done to it.
        NotFound: No profile of its resource has its folder any more.
    """
    require_unused(store, group)
    site_of_group(store, group)
    return start(
        store,
        action="delete",
        subject=f"{group.package} {group.version}",
        request={"task_group": group.id},
        place=group.place,
        task_group_id=group.id,
    )


def require_unused(store: Store, group: TaskGroupRecord) -> None:
    """Raise `InUse` when a workflow or a job that is not over uses a task group."""
    store.task_groups.require_no_jobs(group.id)
    workflows = workflows_using(store, group)
    if workflows:
        raise InUse(
            f"{used_in_words(group, workflows)} First take another version there (update_task), "
            "or remove what uses it."
            + (" Deactivating it frees the disk as well." if group.active else "")
        )


def perform(doing: Doing) -> Outcome:
    """Deactivate the task group, remove its environment, and forget it."""
    store = doing.store
    group = store.task_groups.get(doing.request["task_group"])
    require_unused(store, group)
    store.task_groups.deactivate(group.id)
    doing.settle()
    remove_environment(doing, group)
    store.task_groups.remove(group.id)
    files = (group.request.get(kind) for kind in ("wheel", "archive"))
    forget_unused(store, at_once=[file["sha256"] for file in files if file])
    return Outcome()

"""Building the environment of a task group again, exactly as it was."""

from __future__ import annotations

from fractal_jupyter.environments.lock import parse_lock
from fractal_jupyter.errors import NotAllowed
from fractal_jupyter.runner.activities.building import build, clear, values_of
from fractal_jupyter.runner.activities.custom import look_again
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.runner.activities.process import start
from fractal_jupyter.runner.activities.site import Site, site_of, site_of_group
from fractal_jupyter.runner.usable import check_backend, missing_path
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store


def begin_reactivation(
    store: Store, group: TaskGroupRecord, *, site: Site | None = None
) -> tuple[ActivityRecord, bool]:
    """See that an environment that was deactivated, or is not whole any more, is built again.

    Args:
        store: Where the task group is.
        group: The task group.
        site: For whom; by default for the profile that it was collected with.

    Returns:
        The activity, and whether it is a new one.

    Raises:
        NotAllowed: It is there, or resources of its type may not be used.
        NotFound: No profile of its resource has its folder any more.
        InUse: Something else is being done to it.
    """
    site = site or site_of_group(store, group)
    check_backend(site.resource)
    if group.active and missing_path(group, site.reader) is None:
        raise NotAllowed(f"The task group {group.package} {group.version} is active already.")
    return start(
        store,
        action="reactivate",
        subject=f"{group.package} {group.version}",
        request={"task_group": group.id, "profile": site.profile_name},
        place=group.place,
        task_group_id=group.id,
    )


def perform(doing: Doing) -> Outcome:
    """Build the environment again; it is compared with what was recorded."""
    store = doing.store
    group = store.task_groups.get(doing.request["task_group"])
    site = site_of(store, store.profiles.get(doing.request["profile"]))
    if group.origin == "custom":
        # it is not ours: neither removed nor built
        look_again(doing, group, site)
        return Outcome(task_group_id=group.id)
    if group.active:
        missing = missing_path(group, site.builder)
        if missing is not None:
            doing.log(f"{missing} is not there any more: building the environment again.")
            clear(site, group.folder)
    recipe = {**group.request, "folder": group.folder}
    lock = None if group.lock is None else parse_lock(group.lock)
    built = build(doing, recipe, site, lock=lock)
    store.task_groups.reactivate(group.id, **values_of(built))
    return Outcome(task_group_id=group.id)

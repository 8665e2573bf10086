"""Collecting a task package: build its environment, read its tasks, remember both."""

from __future__ import annotations

from fractal_jupyter.errors import InUse
from fractal_jupyter.runner.activities.building import build, lock_of, task_entries, values_of
from fractal_jupyter.runner.activities.deactivating import remove_environment
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.runner.activities.process import start
from fractal_jupyter.runner.activities.reactivating import begin_reactivation
from fractal_jupyter.runner.activities.recipes import CollectionRequest, make_recipe
from fractal_jupyter.runner.activities.site import site_of
from fractal_jupyter.runner.usable import missing_path, usable_resource
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord, place_of
from fractal_jupyter.store.store import Store


def begin_collection(
    store: Store, request: CollectionRequest
) -> TaskGroupRecord | tuple[ActivityRecord, bool]:
    """See that what is asked for is collected.

    It is built where the tasks of the profile run, by the profile's user; where that is another
    user of this machine, by us, so that the other one can run it. An environment that is not
    whole any more, or was deactivated, is built again as it was, and keeps its task group.

    Returns:
        The task group, when it is there already; else the activity, and whether it is a new one.

    Raises:
        CollectionError: What is asked for cannot be meant.
        NotFound: The resource has no such Python.
        HostError: The machine that the environment is for cannot be used.
        InUse: Something else is being done to that environment.
    """
    usable_resource(store.resources.by_id(request.profile.resource_id))
    site = site_of(store, request.profile)
    recipe = make_recipe(store, request, site)
    known = store.task_groups.find_folder(site.resource_id, recipe["folder"])
    if known is not None:
        if known.active and missing_path(known, site.reader) is None:
            return known
        return begin_reactivation(store, known, site=site)
    if "python_version" in recipe:
        site.check(site.resource.python_interpreter(recipe["python_version"]).path)
    return start(
        store,
        action="collect",
        subject=request.requirement,
        request=recipe,
        place=place_of(site.resource_id, recipe["folder"]),
    )


def perform(doing: Doing) -> Outcome:
    """Build what the activity asks for, and record it as a task group."""
    recipe, store = doing.request, doing.store
    site = site_of(store, store.profiles.get(recipe["profile"]))
    built = build(doing, recipe, site, lock=lock_of(recipe))
    group = store.task_groups.add(
        entries=task_entries(
            name=built.package_name, version=built.version, manifest_text=built.manifest_text
        ),
        resource_id=site.resource_id,
        package=built.package_name,
        version=built.version,
        origin=recipe["origin"],
        request={name: value for name, value in recipe.items() if name != "lock"},
        folder=recipe["folder"],
        **values_of(built),
    )
    doing.settle()
    if "source" in recipe:
        _supersede(doing, group)
    return Outcome(task_group_id=group.id)


def _supersede(doing: Doing, group: TaskGroupRecord) -> None:
    """Remove task groups of the same source folder, made before its dependencies changed."""
    same = ("source", "extras", "python_version", "pins_before", "pins_after")
    for other in doing.store.task_groups.all():
        is_older = other.id != group.id and other.resource_id == group.resource_id
        if is_older and all(other.request.get(key) == group.request[key] for key in same):
            try:
                doing.store.task_groups.deactivate(other.id)
            except InUse as error:
                doing.log(f"{error} It stays until it is deleted.")
                continue
            remove_environment(doing, other)
            doing.store.task_groups.remove(other.id)

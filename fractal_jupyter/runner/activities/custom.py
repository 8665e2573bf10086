"""Task packages in environments that somebody else has made: looked at, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fractal_jupyter.environments.inspect import InspectedPackage, inspect_package
from fractal_jupyter.errors import CollectionError
from fractal_jupyter.runner.activities.building import task_entries
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.runner.activities.process import start
from fractal_jupyter.runner.activities.recipes import Recipe
from fractal_jupyter.runner.activities.site import Site, site_of
from fractal_jupyter.runner.usable import usable_resource
from fractal_jupyter.store.records import ActivityRecord, ProfileRecord, TaskGroupRecord, place_of
from fractal_jupyter.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRequest:
    """A task package in an environment; see `fractal_jupyter.client.fractal.Fractal`."""

    package: str
    python: str
    profile: ProfileRecord


def begin_custom(store: Store, request: CustomRequest) -> tuple[ActivityRecord, bool]:
    """See that a task package is read where it is.

    Returns:
        The activity, and whether it is a new one.

    Raises:
        CollectionError: The interpreter is no absolute path.
        InUse: Something else is being done to that environment.
    """
    usable_resource(store.resources.by_id(request.profile.resource_id))
    if not request.python.startswith("/"):
        raise CollectionError(
            f"{request.python!r} is not an absolute path. Give the path of the interpreter of the "
            'environment: "/path/of/env/bin/python".'
        )
    site = site_of(store, request.profile)
    recipe = {
        "kind": "custom",
        "package": request.package,
        "python": request.python,
        "profile": request.profile.name,
        **site.remembered,
    }
    return start(
        store,
        action="collect_custom",
        subject=f"{request.package} in {request.python}",
        request=recipe,
        place=place_of(site.resource_id, f"{request.python} {request.package}"),
    )


def perform(doing: Doing) -> Outcome:
    """Read the package and record it as a task group; again what has changed of it."""
    recipe, store = doing.request, doing.store
    site = site_of(store, store.profiles.get(recipe["profile"]))
    found = _look(doing, recipe, site)
    group = store.task_groups.add(
        entries=entries_of(found),
        resource_id=site.resource_id,
        origin="custom",
        request=recipe,
        **values_of(found),
    )
    return Outcome(task_group_id=group.id)


def look_again(doing: Doing, group: TaskGroupRecord, site: Site) -> None:
    """Let jobs use a task group again, as its package is now."""
    found = _look(doing, group.request, site)
    doing.store.task_groups.replace_tasks(
        group.id, entries_of(found), active=True, **values_of(found)
    )


def _look(doing: Doing, recipe: Recipe, site: Site) -> InspectedPackage:
    site.check(recipe["python"])
    found = inspect_package(site.builder, python=recipe["python"], package=recipe["package"])
    doing.log(f"{found.name} {found.version} is in {found.root}")
    return found


def entries_of(found: InspectedPackage) -> list[dict[str, Any]]:
    """The tasks of a package."""
    return task_entries(name=found.name, version=found.version, manifest_text=found.manifest_text)


def values_of(found: InspectedPackage) -> dict[str, Any]:
    """What of a package is in the row of its task group, and may be another next time."""
    return {
        "package": found.name,
        "version": found.version,
        "folder": found.root,
        "python_version": ".".join(found.lock.python.split(".")[:2]),
        "python": found.python,
        "package_root": found.root,
        "lock": found.lock.to_document(),
    }

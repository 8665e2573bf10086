"""What may be used: resources whose type is allowed, and environments that are whole."""

from __future__ import annotations

import os

from fractal_jupyter.environments.reach import first_out_of_reach
from fractal_jupyter.errors import NotAllowed
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.models.resource import RESOURCES, Resource, parse_resource
from fractal_jupyter.store.records import ResourceRecord, TaskGroupRecord

BACKEND_VARIABLE = "FRACTAL_RUNNER_BACKEND"


def usable_resource(record: ResourceRecord) -> Resource:
    """The resource of a record; raises `NotAllowed` when the configuration forbids its type."""
    resource = parse_resource(record.document)
    check_backend(resource)
    return resource


def check_backend(resource: Resource) -> None:
    """Raise `NotAllowed` unless `FRACTAL_RUNNER_BACKEND` is unset, or the resource's type."""
    allowed = os.environ.get(BACKEND_VARIABLE)
    if allowed and allowed not in RESOURCES:
        raise NotAllowed(
            f"{BACKEND_VARIABLE}={allowed}: there is no such type of resources; there are "
            f"{', '.join(RESOURCES)}. Correct the variable, or unset it."
        )
    if allowed and resource.type != allowed:
        raise NotAllowed(
            f"The resource {resource.name!r} is of type {resource.type!r}, and "
            f"{BACKEND_VARIABLE}={allowed} allows resources of type {allowed!r} only. "
            "Unset the variable, or use another resource."
        )


def missing_path(group: TaskGroupRecord, host: Host) -> str | None:
    """What of a task group's environment a host's user does not find, if there is something."""
    missing = first_out_of_reach(host, needed_paths(group))
    return missing and missing.removesuffix("/.")


def needed_paths(group: TaskGroupRecord) -> list[str]:
    """The paths that a task group cannot do without; folders end with `/.`."""
    root = group.package_root and f"{group.package_root}/."
    return [path for path in (group.python, root) if path]

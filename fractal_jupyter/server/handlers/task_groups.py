"""Task groups: installed task packages, through their whole life."""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field

from fractal_jupyter.errors import Ambiguous, InvalidDocument, NotFound
from fractal_jupyter.runner.activities.cleaning import begin_cleaning, look_everywhere
from fractal_jupyter.runner.activities.collecting import begin_collection
from fractal_jupyter.runner.activities.custom import CustomRequest, begin_custom
from fractal_jupyter.runner.activities.deactivating import begin_deactivation
from fractal_jupyter.runner.activities.deleting import begin_deletion
from fractal_jupyter.runner.activities.exporting import export
from fractal_jupyter.runner.activities.kept import keep_file, kept_file
from fractal_jupyter.runner.activities.reactivating import begin_reactivation
from fractal_jupyter.runner.activities.recipes import CollectionRequest
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.activities import ActivityDocument
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.task_groups import (
    PackageDocument,
    TaskGroupDocument,
    UnusedDocument,
    WheelDocument,
)
from fractal_jupyter.server.requests import Id
from fractal_jupyter.server.route import Body, Query, Request, Route, Text
from fractal_jupyter.store.records import ProfileRecord, TaskGroupRecord, TaskRecord

RESOURCE = "fractal:task_groups"
# What a browser may send: wheels, lock files and project archives, under a plain name.
_PACKAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,200}\.(whl|lock|tar\.gz)$"


class Collection(Body):
    """A task package to install; see `Fractal.collect`.

    `requirement` is `"name"`, `"name==1.2.3"`, `"name[extra]==1.2.3"`, or the path of a wheel or
    a lock file; with `editable`, of a source folder; with `pixi`, of a project archive. `pins` are
    versions by package. What `POST /packages` has taken is named by its `requirement`.
    """

    requirement: str
    profile_id: Id | None = None
    python: str | None = None
    extras: list[str] = Field(default_factory=list)
    pins: dict[str, str] = Field(default_factory=dict)
    pins_before: dict[str, str] = Field(default_factory=dict)
    uv: bool = True
    editable: bool = False
    pixi: bool = False
    pixi_version: str | None = None


class CustomCollection(Body):
    """A task package in an existing environment; see `Fractal.collect_custom`."""

    package: str = Field(min_length=1)
    python: str
    profile_id: Id | None = None


class Package(Body):
    """A wheel, a lock file, or a pixi project: its name, and its content in base64."""

    name: str = Field(pattern=_PACKAGE_NAME)
    content: str


class UnusedQuery(Query):
    """How long is long."""

    unused_for: float = Field(30, ge=0, description="Days that a task group was not used for.")


class SeenItem(Body):
    """Something of the list of what nothing uses, as it was listed."""

    kind: Literal["task group", "leftover", "cache"]
    resource: str
    folder: str


class Cleaning(Body):
    """What to remove: items of `GET /task_groups/unused`, and what that was asked with."""

    items: list[SeenItem]
    unused_for: float = Field(30, ge=0)


def list_task_groups(api: Api, request: Request[Query, None]) -> Items[TaskGroupDocument]:
    """List all task groups, the oldest first."""
    tasks: dict[int, list[TaskRecord]] = {}
    for task in api.store.task_groups.tasks():
        tasks.setdefault(task.task_group_id, []).append(task)
    return Items(
        items=[
            TaskGroupDocument.of(record, tasks.get(record.id, []))
            for record in api.store.task_groups.all()
        ]
    )


def get(api: Api, request: Request[Query, None]) -> TaskGroupDocument:
    """Look at a task group."""
    record = _group(api, request)
    return TaskGroupDocument.of(record, api.store.task_groups.tasks(record.id))


def collect(api: Api, request: Request[Query, Collection]) -> ActivityDocument:
    """Install a task package, and read its tasks.

    The activity has the log, and when it is `OK` the `task_group_id`. It goes on when the server
    ends; when the same is being collected already, it is that activity.
    """
    body = request.body
    found = begin_collection(
        api.store,
        CollectionRequest(
            profile=_profile(api, body.profile_id),
            requirement=body.requirement,
            python=body.python,
            extras=tuple(body.extras),
            pins_before=body.pins_before,
            pins_after=body.pins,
            uv=body.uv,
            editable=body.editable,
            pixi=body.pixi,
            pixi_version=body.pixi_version,
        ),
    )
    if isinstance(found, TaskGroupRecord):
        return _already_there(api, body.requirement, found)
    return ActivityDocument.of(found[0])


def collect_custom(api: Api, request: Request[Query, CustomCollection]) -> ActivityDocument:
    """Read a task package in an environment that somebody else has made."""
    body = request.body
    profile = _profile(api, body.profile_id)
    asked = CustomRequest(package=body.package, python=body.python, profile=profile)
    return ActivityDocument.of(begin_custom(api.store, asked)[0])


def upload(api: Api, request: Request[Query, Package]) -> PackageDocument:
    """Keep a file for a collection: a wheel, a lock file, or a pixi project."""
    try:
        content = base64.b64decode(request.body.content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidDocument(f"content: not base64: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, request.body.name)
        path.write_bytes(content)
        kept = keep_file(api.store, path)
    return PackageDocument(**kept, requirement=str(kept_file(api.store, kept)))


def deactivate(api: Api, request: Request[Query, None]) -> ActivityDocument:
    """Remove the environment of a task group, and keep what it consisted of."""
    return ActivityDocument.of(begin_deactivation(api.store, _group(api, request))[0])


def reactivate(api: Api, request: Request[Query, None]) -> ActivityDocument:
    """Build the environment of a task group again, exactly as it was."""
    return ActivityDocument.of(begin_reactivation(api.store, _group(api, request))[0])


def delete(api: Api, request: Request[Query, None]) -> ActivityDocument:
    """Remove a task group that no workflow and no running job uses, with its environment."""
    return ActivityDocument.of(begin_deletion(api.store, _group(api, request))[0])


def lock(api: Api, request: Request[Query, None]) -> Text:
    """Get the lock file of a task group, from which another machine rebuilds its environment."""
    group = _group(api, request)
    with tempfile.TemporaryDirectory() as folder:
        path = export(api.store, group, Path(folder))
        return Text(path.read_bytes())


def wheel(api: Api, request: Request[Query, None]) -> WheelDocument:
    """Get the wheel that a task group came from, which its lock file needs beside it."""
    group = _group(api, request)
    file = group.request.get("wheel")
    if file is None:
        raise NotFound(f"{group.package} {group.version} did not come from a wheel file.")
    content = kept_file(api.store, file).read_bytes()
    return WheelDocument(name=file["name"], content=base64.b64encode(content).decode())


def list_unused(api: Api, request: Request[UnusedQuery, None]) -> UnusedDocument:
    """List what of the environments on the disk nothing uses, and what removing it frees."""
    return UnusedDocument.of(*look_everywhere(api.store, unused_for=request.query.unused_for))


def clean(api: Api, request: Request[Query, Cleaning]) -> Items[ActivityDocument]:
    """Remove what was listed, as far as nothing uses it still: an activity for each folder.

    What was not listed stays. Task groups are deactivated, and can be built again exactly; files
    of the cache go with the environments that alone had them.
    """
    seen = {(item.kind, item.resource, item.folder) for item in request.body.items}
    found, _ = look_everywhere(api.store, unused_for=request.body.unused_for)
    chosen = [one.only(seen) for one in found]
    begun = [begin_cleaning(api.store, one)[0] for one in chosen if one.removable]
    return Items(items=[ActivityDocument.of(activity) for activity in begun])


def _group(api: Api, request: Request[Query, None]) -> TaskGroupRecord:
    return api.store.task_groups.get(request.ids["task_group"])


def _profile(api: Api, key: int | None) -> ProfileRecord:
    if key is not None:
        return api.store.profiles.by_id(key)
    if api.fractal.profile is not None:
        return api.store.profiles.get(api.fractal.profile)
    raise Ambiguous("There are several profiles: say which with profile_id.")


def _already_there(api: Api, requirement: str, group: TaskGroupRecord) -> ActivityDocument:
    activities = api.store.activities
    key = activities.begin(action="collect", subject=requirement).id
    activities.append_log(key, f"{group.package} {group.version} is there already.\n")
    activities.end(key, error=None, task_group_id=group.id)
    return ActivityDocument.of(activities.get(key))


_ONE = "/task_groups/{task_group}"

ROUTES = (
    Route(
        method="GET",
        path="/task_groups",
        call=list_task_groups,
        resource=RESOURCE,
        answer=Items[TaskGroupDocument],
    ),
    Route(
        method="POST",
        path="/task_groups",
        call=collect,
        resource=RESOURCE,
        body=Collection,
        answer=ActivityDocument,
        status=202,
        slow=True,
    ),
    Route(
        method="POST",
        path="/task_groups/custom",
        call=collect_custom,
        resource=RESOURCE,
        body=CustomCollection,
        answer=ActivityDocument,
        status=202,
        slow=True,
    ),
    Route(
        method="GET",
        path="/task_groups/unused",
        call=list_unused,
        resource=RESOURCE,
        query=UnusedQuery,
        answer=UnusedDocument,
        slow=True,
    ),
    Route(
        method="POST",
        path="/task_groups/clean",
        call=clean,
        resource=RESOURCE,
        body=Cleaning,
        answer=Items[ActivityDocument],
        status=202,
        slow=True,
    ),
    Route(
        method="POST",
        path="/packages",
        call=upload,
        resource=RESOURCE,
        body=Package,
        answer=PackageDocument,
        status=201,
        slow=True,
    ),
    Route(method="GET", path=_ONE, call=get, resource=RESOURCE, answer=TaskGroupDocument),
    Route(method="GET", path=f"{_ONE}/lock", call=lock, resource=RESOURCE, answer=Text),
    Route(
        method="GET",
        path=f"{_ONE}/wheel",
        call=wheel,
        resource=RESOURCE,
        answer=WheelDocument,
        slow=True,
    ),
    *(
        Route(
            method="POST",
            path=f"{_ONE}/{call.__name__}",
            call=call,
            resource=RESOURCE,
            answer=ActivityDocument,
            status=202,
            slow=True,
        )
        for call in (deactivate, reactivate)
    ),
    Route(
        method="DELETE",
        path=_ONE,
        call=delete,
        resource=RESOURCE,
        answer=ActivityDocument,
        status=202,
        slow=True,
    ),
)

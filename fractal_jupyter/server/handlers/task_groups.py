"""Task groups: installed task packages, and how they come to be."""

from __future__ import annotations

from pydantic import Field

from fractal_jupyter.errors import Ambiguous
from fractal_jupyter.runner.collecting import CollectionRequest, collect
from fractal_jupyter.server.actions import Outcome
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents import ActivityDocument, Items, TaskGroupDocument
from fractal_jupyter.server.requests import Id
from fractal_jupyter.server.route import Body, Query, Request, Route
from fractal_jupyter.store.records import ActivityRecord, TaskRecord

RESOURCE = "fractal:task_groups"


class Collection(Body):
    """A task package to install; see `Fractal.collect`.

    `requirement` is `"name"`, `"name==1.2.3"`, `"name[extra]==1.2.3"` or the path of a wheel;
    `pins` are versions by package.
    """

    requirement: str
    profile_id: Id | None = None
    python: str | None = None
    extras: list[str] = Field(default_factory=list)
    pins: dict[str, str] = Field(default_factory=dict)
    pins_before: dict[str, str] = Field(default_factory=dict)
    uv: bool = True


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
    record = api.store.task_groups.get(request.ids["task_group"])
    return TaskGroupDocument.of(record, api.store.task_groups.tasks(record.id))


def collect_package(api: Api, request: Request[Query, Collection]) -> ActivityDocument:
    """Install a task package, and read its tasks.

    The activity has the log, and when it is `OK` the `task_group_id`. It ends with the server.
    """
    body, store = request.body, api.store
    if body.profile_id is not None:
        profile = store.profiles.by_id(body.profile_id)
    elif api.fractal.profile is not None:
        profile = store.profiles.get(api.fractal.profile)
    else:
        raise Ambiguous("There are several profiles: say which with profile_id.")
    asked = CollectionRequest(
        requirement=body.requirement,
        profile=profile,
        python=body.python,
        extras=tuple(body.extras),
        pins_before=body.pins_before,
        pins_after=body.pins,
        uv=body.uv,
    )

    def run(activity: ActivityRecord) -> Outcome:
        group = collect(store, asked, log=lambda _: None, activity=activity)
        return Outcome(task_group_id=group.id)

    return ActivityDocument.of(api.actions.start("collect", body.requirement, run))


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
        call=collect_package,
        resource=RESOURCE,
        body=Collection,
        answer=ActivityDocument,
        status=202,
    ),
    Route(
        method="GET",
        path="/task_groups/{task_group}",
        call=get,
        resource=RESOURCE,
        answer=TaskGroupDocument,
    ),
)

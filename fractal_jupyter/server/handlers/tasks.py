"""Tasks of all task groups."""

from __future__ import annotations

from pydantic import Field

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents import Items, TaskDocument, TaskSummary
from fractal_jupyter.server.route import LARGEST_ID, Query, Request, Route

RESOURCE = "fractal:tasks"


class TasksQuery(Query):
    """Which tasks."""

    package: str | None = Field(None, description="Only tasks of this package.")
    version: str | None = Field(None, description="Only those of this version of it.")
    task_group: int | None = Field(
        None, ge=0, le=LARGEST_ID, description="Only those of the task group with this id."
    )


def list_tasks(api: Api, request: Request[TasksQuery, None]) -> Items[TaskSummary]:
    """List tasks, without the schemas of their arguments."""
    query = request.query
    groups = {
        group.id: group
        for group in api.store.task_groups.all()
        if query.package in (None, group.package) and query.version in (None, group.version)
    }
    return Items(
        items=[
            TaskSummary.of(task, groups[task.task_group_id])
            for task in api.store.task_groups.tasks(query.task_group)
            if task.task_group_id in groups
        ]
    )


def get(api: Api, request: Request[Query, None]) -> TaskDocument:
    """Look at a task, with the schemas of its arguments."""
    task = api.store.task_groups.task(request.ids["task"])
    return TaskDocument.of(task, api.store.task_groups.get(task.task_group_id))


ROUTES = (
    Route(
        method="GET",
        path="/tasks",
        call=list_tasks,
        resource=RESOURCE,
        query=TasksQuery,
        answer=Items[TaskSummary],
    ),
    Route(method="GET", path="/tasks/{task}", call=get, resource=RESOURCE, answer=TaskDocument),
)

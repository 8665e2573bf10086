"""Tasks of all task groups."""

from __future__ import annotations

from pydantic import Field

from fractal_jupyter.client.tasks import search_tasks, versions_of
from fractal_jupyter.engine.searching import TaskQuery
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.tasks import TaskDocument, TaskSummary
from fractal_jupyter.server.route import LARGEST_ID, Query, Request, Route

RESOURCE = "fractal:tasks"


class TasksQuery(Query):
    """Which tasks; case does not matter in what is searched for."""

    search: str | None = Field(
        None,
        description="Words, in any order: those that have all of them, in the name first of all.",
    )
    category: str | None = Field(None, description="Only tasks of this category.")
    modality: str | None = Field(None, description="Only tasks for this modality.")
    tag: str | None = Field(None, description="Only tasks with this tag.")
    package: str | None = Field(None, description="Only tasks of this package.")
    version: str | None = Field(None, description="Only those of this version of it.")
    task_group: int | None = Field(
        None, ge=0, le=LARGEST_ID, description="Only those of the task group with this id."
    )


def list_tasks(api: Api, request: Request[TasksQuery, None]) -> Items[TaskSummary]:
    """List tasks, without the schemas of their arguments; what was searched for, the best first."""
    wanted = request.query.task_group
    query = TaskQuery(**request.query.model_dump(exclude={"task_group"}))
    return Items(
        items=[
            TaskSummary.of(task, group)
            for task, group in search_tasks(api.store, query)
            if wanted in (None, group.id)
        ]
    )


def get(api: Api, request: Request[Query, None]) -> TaskDocument:
    """Look at a task, with the schemas of its arguments."""
    task = api.store.task_groups.task(request.ids["task"])
    group = api.store.task_groups.get(task.task_group_id)
    return TaskDocument.with_versions(task, group, versions_of(api.store, task, group))


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

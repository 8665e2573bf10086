"""Activities: what takes longer than a request."""

from __future__ import annotations

from pydantic import Field

from fractal_jupyter.runner.activities import process
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.activities import ActivityDocument, ActivityStatus
from fractal_jupyter.server.documents.answer import Page
from fractal_jupyter.server.requests import PagedBack
from fractal_jupyter.server.route import LARGEST_ID, Query, Request, Route

RESOURCE = "fractal:activities"


class ActivitiesQuery(PagedBack):
    """Which activities."""

    status: list[ActivityStatus] = Field([], description="Only activities of these statuses.")
    task_group: int | None = Field(
        None, ge=0, le=LARGEST_ID, description="Only those of the task group with this id."
    )


def list_activities(api: Api, request: Request[ActivitiesQuery, None]) -> Page[ActivityDocument]:
    """List activities, the newest first."""
    query, limit = request.query, api.page(request.query.limit)
    api.store.activities.end_lost()
    found = api.store.activities.page(
        statuses=query.status,
        before=query.before,
        task_group_id=query.task_group,
        limit=limit + 1,
    )
    items = [ActivityDocument.of(record) for record in found[:limit]]
    return Page(items=items, total=None, next=items[-1].id if len(found) > limit else None)


def get(api: Api, request: Request[Query, None]) -> ActivityDocument:
    """Look at an activity."""
    api.store.activities.end_lost()
    return ActivityDocument.of(api.store.activities.get(request.ids["activity"]))


def cancel(api: Api, request: Request[Query, None]) -> ActivityDocument:
    """Stop what is done to a task group; an activity that is over stays as it is."""
    key = request.ids["activity"]
    process.cancel(api.store, key)
    return ActivityDocument.of(api.store.activities.get(key))


ROUTES = (
    Route(
        method="GET",
        path="/activities",
        call=list_activities,
        resource=RESOURCE,
        query=ActivitiesQuery,
        answer=Page[ActivityDocument],
    ),
    Route(
        method="GET",
        path="/activities/{activity}",
        call=get,
        resource=RESOURCE,
        answer=ActivityDocument,
    ),
    Route(
        method="POST",
        path="/activities/{activity}/cancel",
        call=cancel,
        resource=RESOURCE,
        answer=ActivityDocument,
        status=202,
    ),
)

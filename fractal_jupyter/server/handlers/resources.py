"""Resources: where computing happens."""

from __future__ import annotations

from typing import Any

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.resources import ResourceDocument
from fractal_jupyter.server.route import Body, Query, Request, Route

RESOURCE = "fractal:resources"


class NewResource(Body):
    """A resource: its document, and whether units may be forked from a warm process."""

    document: dict[str, Any]
    warm: bool = True


class ChangedResource(Body):
    """The new document of a resource; `warm` stays as it is unless it is given."""

    document: dict[str, Any]
    warm: bool | None = None


def list_resources(api: Api, request: Request[Query, None]) -> Items[ResourceDocument]:
    """List all resources, the oldest first."""
    return Items(items=[ResourceDocument.of(record) for record in api.store.resources.all()])


def add(api: Api, request: Request[Query, NewResource]) -> ResourceDocument:
    """Add a resource."""
    body = request.body
    added = api.fractal.resources.add(body.document, warm=body.warm)
    return ResourceDocument.of(api.store.resources.get(added.name))


def get(api: Api, request: Request[Query, None]) -> ResourceDocument:
    """Look at a resource."""
    return ResourceDocument.of(api.store.resources.by_id(request.ids["resource"]))


def update(api: Api, request: Request[Query, ChangedResource]) -> ResourceDocument:
    """Replace the document of a resource; jobs keep the one that they were submitted with."""
    key, body = request.ids["resource"], request.body
    name = api.store.resources.by_id(key).name
    api.fractal.resources.update(name, body.document, warm=body.warm)
    return ResourceDocument.of(api.store.resources.by_id(key))


def remove(api: Api, request: Request[Query, None]) -> None:
    """Remove a resource that no profile and no task group needs."""
    api.store.resources.remove(api.store.resources.by_id(request.ids["resource"]))


ROUTES = (
    Route(
        method="GET",
        path="/resources",
        call=list_resources,
        resource=RESOURCE,
        answer=Items[ResourceDocument],
    ),
    Route(
        method="POST",
        path="/resources",
        call=add,
        resource=RESOURCE,
        body=NewResource,
        answer=ResourceDocument,
        status=201,
    ),
    Route(
        method="GET",
        path="/resources/{resource}",
        call=get,
        resource=RESOURCE,
        answer=ResourceDocument,
    ),
    Route(
        method="PUT",
        path="/resources/{resource}",
        call=update,
        resource=RESOURCE,
        body=ChangedResource,
        answer=ResourceDocument,
    ),
    Route(
        method="DELETE",
        path="/resources/{resource}",
        call=remove,
        resource=RESOURCE,
        status=204,
    ),
)

"""Workflows: ordered lists of steps."""

from __future__ import annotations

from typing import Any

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents import Items, WorkflowDocument
from fractal_jupyter.server.route import Body, Query, Request, Route

RESOURCE = "fractal:workflows"


class NewWorkflow(Body):
    """A workflow; see `Fractal.workflows.create` for what a step has."""

    name: str
    steps: list[dict[str, Any]]


class Steps(Body):
    """The new steps of a workflow."""

    steps: list[dict[str, Any]]


def list_workflows(api: Api, request: Request[Query, None]) -> Items[WorkflowDocument]:
    """List all workflows, the oldest first."""
    return Items(
        items=[WorkflowDocument.model_validate(record) for record in api.store.workflows.all()]
    )


def add(api: Api, request: Request[Query, NewWorkflow]) -> WorkflowDocument:
    """Make a workflow. Whether its tasks are there is checked when it is submitted."""
    made = api.fractal.workflows.create(request.body.name, steps=request.body.steps)
    return WorkflowDocument.model_validate(api.store.workflows.get(made.name))


def get(api: Api, request: Request[Query, None]) -> WorkflowDocument:
    """Look at a workflow."""
    return WorkflowDocument.model_validate(api.store.workflows.by_id(request.ids["workflow"]))


def update(api: Api, request: Request[Query, Steps]) -> WorkflowDocument:
    """Replace the steps of a workflow; jobs keep those that they were submitted with."""
    key = request.ids["workflow"]
    api.fractal.workflows.update(api.store.workflows.by_id(key).name, steps=request.body.steps)
    return WorkflowDocument.model_validate(api.store.workflows.by_id(key))


def remove(api: Api, request: Request[Query, None]) -> None:
    """Remove a workflow; jobs keep what they were submitted with."""
    api.store.workflows.remove(api.store.workflows.by_id(request.ids["workflow"]))


ROUTES = (
    Route(
        method="GET",
        path="/workflows",
        call=list_workflows,
        resource=RESOURCE,
        answer=Items[WorkflowDocument],
    ),
    Route(
        method="POST",
        path="/workflows",
        call=add,
        resource=RESOURCE,
        body=NewWorkflow,
        answer=WorkflowDocument,
        status=201,
    ),
    Route(
        method="GET",
        path="/workflows/{workflow}",
        call=get,
        resource=RESOURCE,
        answer=WorkflowDocument,
    ),
    Route(
        method="PUT",
        path="/workflows/{workflow}",
        call=update,
        resource=RESOURCE,
        body=Steps,
        answer=WorkflowDocument,
    ),
    Route(
        method="DELETE", path="/workflows/{workflow}", call=remove, resource=RESOURCE, status=204
    ),
)

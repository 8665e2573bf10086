"""Workflows: ordered lists of steps."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fractal_jupyter.client.workflows import Workflow
from fractal_jupyter.runner.updating import changed_meanwhile
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.workflows import UpdateDocument, WorkflowDocument
from fractal_jupyter.server.route import LARGEST_ID, Body, Query, Request, Route

RESOURCE = "fractal:workflows"


class NewWorkflow(Body):
    """A workflow; see `Fractal.workflows.create` for what a step has."""

    name: str
    steps: list[dict[str, Any]]


class Steps(Body):
    """The new steps of a workflow."""

    steps: list[dict[str, Any]]


class UpdatesQuery(Query):
    """Which versions count."""

    profile_id: int | None = Field(
        None,
        ge=0,
        le=LARGEST_ID,
        description="Only what is collected for the resource of the profile with this id.",
    )


class TaskUpdate(Body):
    """A step, and the version that its task is to have; see `Workflow.update_task`.

    Attributes:
        step: Its position, from 0.
        version: The version; null for the newest one that is collected.
        args: New arguments, for whatever part; null leaves those that the step has.
        args_non_parallel: New arguments of the part that runs once.
        args_parallel: New arguments of the part that runs per image.
        type_filters: New type filters.
        known: The step as the client knows it: if it is another one by now, nothing is changed.
    """

    step: int = Field(ge=0)
    version: str | None = None
    args: dict[str, Any] | None = None
    args_non_parallel: dict[str, Any] | None = None
    args_parallel: dict[str, Any] | None = None
    type_filters: dict[str, bool] | None = None
    known: dict[str, Any] | None = None


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


def list_updates(api: Api, request: Request[UpdatesQuery, None]) -> Items[UpdateDocument]:
    """List the steps that a newer version of their task is collected for, and what does not fit."""
    workflow = Workflow(api.store, api.store.workflows.by_id(request.ids["workflow"]))
    key = request.query.profile_id
    profile = None if key is None else api.store.profiles.by_id(key).name
    return Items(items=[UpdateDocument.of(update) for update in workflow.updates(profile=profile)])


def plan_update(api: Api, request: Request[Query, TaskUpdate]) -> UpdateDocument:
    """Tell what updating a step to another version of its task would mean; changes nothing."""
    return UpdateDocument.of(_known(api, request).plan_update(**_arguments(request.body)))


def update_task(api: Api, request: Request[Query, TaskUpdate]) -> WorkflowDocument:
    """Update a step to another version of its task, its arguments with it, if all fits."""
    _known(api, request).update_task(**_arguments(request.body))
    return get(api, Request(request.ids, Query(), None))


def _known(api: Api, request: Request[Query, TaskUpdate]) -> Workflow:
    """The workflow, unless the step is another one than the client knows."""
    record = api.store.workflows.by_id(request.ids["workflow"])
    step, known = request.body.step, request.body.known
    if known is not None and known not in record.steps[step : step + 1]:
        raise changed_meanwhile(record.name, step)
    return Workflow(api.store, record)


def _arguments(body: TaskUpdate) -> dict[str, Any]:
    return {name: value for name, value in body if name != "known"}


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
        method="GET",
        path="/workflows/{workflow}/updates",
        call=list_updates,
        resource=RESOURCE,
        query=UpdatesQuery,
        answer=Items[UpdateDocument],
    ),
    Route(
        method="POST",
        path="/workflows/{workflow}/updates",
        call=update_task,
        resource=RESOURCE,
        body=TaskUpdate,
        answer=WorkflowDocument,
    ),
    Route(
        method="POST",
        path="/workflows/{workflow}/updates/plan",
        call=plan_update,
        resource=RESOURCE,
        body=TaskUpdate,
        answer=UpdateDocument,
    ),
    Route(
        method="DELETE", path="/workflows/{workflow}", call=remove, resource=RESOURCE, status=204
    ),
)

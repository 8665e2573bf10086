"""The body that asks for a job or for its plan, and the call of the Python API that it means."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.client.tasks import Task
from fractal_jupyter.client.workflows import Workflow
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.requests import Id
from fractal_jupyter.server.route import Body

Json = dict[str, Any]

# Fields that name what the positional arguments of `submit` are.
_NAMED = {"task_id", "workflow_id", "dataset_id", "profile_id"}


class Submission(Body):
    """A task or a workflow, to run on a dataset with a profile; see `Fractal.submit`.

    Either `task_id` or `workflow_id`; `args` to `meta` belong to single tasks, `first` and `last`
    to workflows. What is null is left to the defaults.
    """

    task_id: Id | None = None
    workflow_id: Id | None = None
    dataset_id: Id
    profile_id: Id | None = None
    name: str | None = None
    args: Json | None = None
    args_non_parallel: Json | None = None
    args_parallel: Json | None = None
    meta: Json | None = None
    first: int | None = Field(None, ge=0)
    last: int | None = Field(None, ge=0)
    type_filters: Json | None = None
    attribute_filters: Json | None = None
    account: str | None = None
    worker_init: str | None = None
    memory_limit: str | int | None = None
    warm: bool = True
    rerun_interrupted: bool = False

    @model_validator(mode="after")
    def _one_thing(self) -> Submission:
        if (self.task_id is None) == (self.workflow_id is None):
            raise ValueError("either task_id or workflow_id")
        return self


def client_arguments(api: Api, body: Submission) -> tuple[Task | Workflow, Dataset, Json]:
    """What `Fractal.submit` and `Fractal.plan` are called with.

    Raises:
        NotFound: Nothing has one of the ids.
    """
    store = api.store
    what: Task | Workflow
    if body.workflow_id is not None:
        what = Workflow(store, store.workflows.by_id(body.workflow_id))
    else:
        record = store.task_groups.task(body.task_id or 0)
        what = Task(store, record, store.task_groups.get(record.task_group_id))
    dataset = Dataset(store, store.datasets.by_id(body.dataset_id))
    options = {
        name: value
        for name, value in body
        if name in body.model_fields_set and name not in _NAMED and value is not None
    }
    if body.profile_id is not None:
        options["profile"] = store.profiles.by_id(body.profile_id).name
    return what, dataset, options

"""Steps of jobs, with what they were asked to do, and what they ran in."""

from __future__ import annotations

import time

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.environments import EnvironmentDocument
from fractal_jupyter.server.documents.steps import StepDocument
from fractal_jupyter.server.route import Query, Request, Route


def list_steps(api: Api, request: Request[Query, None]) -> Items[StepDocument]:
    """List the steps of a job, in order."""
    job, now = api.job(request.ids["job"]), time.time()
    steps = api.store.jobs.steps(job.id)
    return Items[StepDocument](items=[StepDocument.of(step, now=now) for step in steps])


def environment(api: Api, request: Request[Query, None]) -> EnvironmentDocument:
    """Tell what a step of a job ran in, as it was at submission; it may be gone since."""
    job = api.fractal.jobs.get(api.job(request.ids["job"]).id)
    return EnvironmentDocument.of(job.environment(request.ids["step"]))


ROUTES = (
    Route(
        method="GET",
        path="/jobs/{job}/steps",
        call=list_steps,
        resource="fractal:steps",
        answer=Items[StepDocument],
    ),
    Route(
        method="GET",
        path="/jobs/{job}/steps/{step}/environment",
        call=environment,
        resource="fractal:steps",
        answer=EnvironmentDocument,
    ),
)

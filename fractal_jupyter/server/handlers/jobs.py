"""Jobs: submitted, listed, looked at, cancelled, retried, removed."""

from __future__ import annotations

import time
from typing import Any

from pydantic import Field

from fractal_jupyter.client.code import job_code
from fractal_jupyter.client.jobs import SHOWN_BAD_UNITS, Job
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.jobs import (
    JobDocument,
    JobsPage,
    JobStatus,
    JobSummary,
    job_fields,
)
from fractal_jupyter.server.documents.units import UnitSummary
from fractal_jupyter.server.requests import PagedBack
from fractal_jupyter.server.route import Body, Query, Request, Route
from fractal_jupyter.server.submissions import Submission, client_arguments

RESOURCE = "fractal:jobs"


class JobsQuery(PagedBack):
    """Which jobs."""

    status: JobStatus | None = Field(None, description="Only jobs of this status.")


def list_jobs(api: Api, request: Request[JobsQuery, None]) -> JobsPage:
    """List jobs, the newest first.

    Only those of the user that the server runs as.
    """
    query, limit = request.query, api.page(request.query.limit)
    counts = api.store.jobs.counts(current_user())
    found = api.store.jobs.all(
        owner=current_user(), status=query.status, before=query.before, limit=limit + 1
    )
    records = found[:limit]
    steps = api.store.jobs.steps_of([record.id for record in records])
    now = time.time()
    return JobsPage(
        items=[JobSummary.of(record, steps[record.id], now=now) for record in records],
        total=counts[query.status] if query.status else sum(counts.values()),
        next=records[-1].id if len(found) > limit else None,
        counts=counts,
    )


def submit(api: Api, request: Request[Query, Submission]) -> JobDocument:
    """Submit a task or a workflow on a dataset.

    The job is checked as far as it can be before it is accepted.
    """
    what, dataset, options = client_arguments(api, request.body)
    return _document(api, api.fractal.submit(what, dataset, **options).id)


def get(api: Api, request: Request[Query, None]) -> JobDocument:
    """Look at a job."""
    return _document(api, request.ids["job"])


def cancel(api: Api, request: Request[Query, None]) -> JobDocument:
    """Cancel a job.

    It is over when its status says so; units that are done are kept. A job that is over already
    stays as it is.
    """
    return _document(api, _job(api, request).cancel().id)


class Retry(Body):
    """What units need from now on, `{"mem": "8G"}` say, beyond what their steps said."""

    meta: dict[str, Any] | None = None


def retry(api: Api, request: Request[Query, Retry]) -> JobDocument:
    """Run again what of a job did not succeed, and then the steps that are left."""
    return _document(api, _job(api, request).retry(meta=request.body.meta).id)


def remove(api: Api, request: Request[Query, None]) -> None:
    """Forget a job that is over, and remove its files."""
    api.fractal.jobs.remove(_job(api, request).id)


def _job(api: Api, request: Request[Query, Any]) -> Job:
    return api.fractal.jobs.get(api.job(request.ids["job"]).id)


def _document(api: Api, key: int) -> JobDocument:
    record = api.job(key)
    steps = api.store.jobs.steps(key)
    bad, _ = api.store.jobs.unit_page(
        key, statuses=("failed", "interrupted"), limit=SHOWN_BAD_UNITS
    )
    return JobDocument(
        **job_fields(record, steps, time.time()),
        type_filters=record.request["type_filters"],
        attribute_filters=record.request["attribute_filters"],
        bad_units=[UnitSummary.model_validate(unit) for unit in bad],
        code=job_code(api.store, record),
    )


ROUTES = (
    Route(
        method="GET",
        path="/jobs",
        call=list_jobs,
        resource=RESOURCE,
        query=JobsQuery,
        answer=JobsPage,
    ),
    Route(
        method="POST",
        path="/jobs",
        call=submit,
        resource=RESOURCE,
        body=Submission,
        answer=JobDocument,
        status=201,
        slow=True,
    ),
    Route(method="GET", path="/jobs/{job}", call=get, resource=RESOURCE, answer=JobDocument),
    Route(
        method="DELETE", path="/jobs/{job}", call=remove, resource=RESOURCE, status=204, slow=True
    ),
    Route(
        method="POST",
        path="/jobs/{job}/cancel",
        call=cancel,
        resource=RESOURCE,
        answer=JobDocument,
    ),
    Route(
        method="POST",
        path="/jobs/{job}/retry",
        call=retry,
        resource=RESOURCE,
        body=Retry,
        answer=JobDocument,
        slow=True,
    ),
)

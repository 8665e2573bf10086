"""Units of jobs, and what they have put out."""

from __future__ import annotations

import json

from pydantic import Field

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Page
from fractal_jupyter.server.documents.units import UnitDocument, UnitStatus, UnitSummary
from fractal_jupyter.server.requests import Paged
from fractal_jupyter.server.route import LARGEST_ID, Query, Request, Route, Text

RESOURCE = "fractal:units"


class UnitsQuery(Paged):
    """Which units."""

    status: list[UnitStatus] = Field([], description="Only units of these statuses.")
    step: int | None = Field(
        None, ge=0, le=LARGEST_ID, description="Only units of the step in this position."
    )


def list_units(api: Api, request: Request[UnitsQuery, None]) -> Page[UnitSummary]:
    """List units of a job, in the order of their indexes."""
    job, query = api.job(request.ids["job"]), request.query
    units, total = api.store.jobs.unit_page(
        job.id,
        statuses=query.status,
        step=query.step,
        offset=query.offset,
        limit=api.page(query.limit),
    )
    end = query.offset + len(units)
    return Page[UnitSummary](
        items=[UnitSummary.model_validate(unit) for unit in units],
        total=total,
        next=end if units and end < total else None,
    )


def get(api: Api, request: Request[Query, None]) -> UnitDocument:
    """Look at a unit."""
    job = api.job(request.ids["job"])
    return UnitDocument.model_validate(api.store.jobs.unit(job.id, request.ids["unit"]))


def output(api: Api, request: Request[Query, None]) -> Text:
    """Read what a unit has put out, as JSON text; `null` when that is nothing."""
    job = api.job(request.ids["job"])
    unit = api.store.jobs.unit(job.id, request.ids["unit"])
    return Text(json.dumps(unit.output, indent=2).encode())


ROUTES = (
    Route(
        method="GET",
        path="/jobs/{job}/units",
        call=list_units,
        resource=RESOURCE,
        query=UnitsQuery,
        answer=Page[UnitSummary],
    ),
    Route(
        method="GET",
        path="/jobs/{job}/units/{unit}",
        call=get,
        resource=RESOURCE,
        answer=UnitDocument,
    ),
    Route(
        method="GET",
        path="/jobs/{job}/units/{unit}/output",
        call=output,
        resource=RESOURCE,
        answer=Text,
    ),
)

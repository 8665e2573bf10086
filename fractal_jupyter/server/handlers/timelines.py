"""When and where the units of a job ran: all of them at once, small enough to be drawn."""

from __future__ import annotations

import time
from typing import get_args

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.timelines import TimelineDocument
from fractal_jupyter.server.documents.units import UnitStatus
from fractal_jupyter.server.route import Query, Request, Route

STATUSES: list[UnitStatus] = list(get_args(UnitStatus))


def get(api: Api, request: Request[Query, None]) -> TimelineDocument:
    """Give the times and nodes of all units of a job, in columns."""
    units = api.store.jobs.unit_times(api.job(request.ids["job"]).id)
    # Column by column: there may be 100,000 of them.
    index, step, status, started, ended, node = list(zip(*units, strict=True)) or [()] * 6
    origin = min((moment for moment in started if moment is not None), default=None)
    nodes = sorted({name for name in node if name is not None})
    places = {name: place for place, name in enumerate(nodes)}
    codes = {name: code for code, name in enumerate(STATUSES)}
    first = origin or 0.0
    return TimelineDocument.model_construct(
        index=list(index),
        step=list(step),
        status=[codes[name] for name in status],
        started=[_after(first, moment) for moment in started],
        ended=[_after(first, moment) for moment in ended],
        node=[places.get(name) for name in node],
        statuses=STATUSES,
        nodes=nodes,
        origin=origin,
        now=time.time(),
    )


def _after(first: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - first, 3)


ROUTES = (
    Route(
        method="GET",
        path="/jobs/{job}/timeline",
        call=get,
        resource="fractal:units",
        answer=TimelineDocument,
    ),
)

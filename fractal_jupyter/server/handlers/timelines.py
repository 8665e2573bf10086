"""When and where the units of a job ran: all of them at once, small enough to be drawn."""

from __future__ import annotations

import time
from typing import get_args

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents import TimelineDocument, UnitStatus
from fractal_jupyter.server.route import Query, Request, Route

STATUSES: list[UnitStatus] = list(get_args(UnitStatus))


def get(api: Api, request: Request[Query, None]) -> TimelineDocument:
    """Give the times and nodes of all units of a job, in columns."""
    units = api.store.jobs.unit_times(api.job(request.ids["job"]).id)
    origin = min((unit.started for unit in units if unit.started is not None), default=None)
    nodes = sorted({unit.node for unit in units if unit.node is not None})
    places = {node: place for place, node in enumerate(nodes)}
    codes = {status: code for code, status in enumerate(STATUSES)}

    def after(moment: float | None) -> float | None:
        return None if moment is None or origin is None else round(moment - origin, 3)

    # They come from the store as they should be, and there may be 100,000 of them.
    return TimelineDocument.model_construct(
        index=[unit.index for unit in units],
        step=[unit.step for unit in units],
        status=[codes[unit.status] for unit in units],
        started=[after(unit.started) for unit in units],
        ended=[after(unit.ended) for unit in units],
        node=[places.get(unit.node) for unit in units],
        statuses=STATUSES,
        nodes=nodes,
        origin=origin,
        now=time.time(),
    )


ROUTES = (
    Route(
        method="GET",
        path="/jobs/{job}/timeline",
        call=get,
        resource="fractal:units",
        answer=TimelineDocument,
    ),
)

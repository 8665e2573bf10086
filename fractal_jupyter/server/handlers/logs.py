"""Logs of units and of activities, in parts."""

from __future__ import annotations

from pydantic import Field

from fractal_jupyter.runner.logs import LogPart, read_log_part
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.route import Query, Request, Route, Text

RESOURCE = "fractal:logs"
MOST_BYTES = 10_000_000


class LogQuery(Query):
    """Which part of a log."""

    offset: int = Field(0, ge=0, le=2**53, description="Where to begin, in bytes.")
    limit: int | None = Field(None, ge=4, le=MOST_BYTES, description="At most so many bytes.")
    tail: bool = Field(False, description="Whether to read the last `limit` bytes instead.")


def of_unit(api: Api, request: Request[LogQuery, None]) -> Text:
    """Read what a unit of a job has written so far."""
    job, query = api.job(request.ids["job"]), request.query
    unit = api.store.jobs.unit(job.id, request.ids["unit"])
    limit = query.limit or api.log_page_bytes
    return _text(read_log_part(api.store, unit, offset=query.offset, limit=limit, tail=query.tail))


def of_activity(api: Api, request: Request[LogQuery, None]) -> Text:
    """Read the log of an activity so far."""
    query, activity = request.query, api.store.activities.get(request.ids["activity"])
    log = activity.log.encode(errors="replace")
    limit = query.limit or api.log_page_bytes
    begin = max(0, len(log) - limit) if query.tail else min(query.offset, len(log))
    return _text(
        LogPart(
            data=log[begin : begin + limit],
            offset=begin,
            size=len(log),
            complete=activity.ended is not None,
        )
    )


def _text(part: LogPart) -> Text:
    """A part of a log as text that begins and ends between characters."""
    data, begin = part.data, part.offset
    if begin:
        data = data[_rest_of_character(data) :]
        begin += len(part.data) - len(data)
    if part.offset + len(part.data) < part.size or not part.complete:
        data = data[: len(data) - _begun_character(data)]
    end = begin + len(data)
    headers = {
        "Fractal-Log-Offset": str(begin),
        "Fractal-Log-Next": str(end),
        "Fractal-Log-Size": str(part.size),
        "Fractal-Log-Complete": str(part.complete and end >= part.size).lower(),
    }
    return Text(data.decode(errors="replace").encode(), headers)


def _rest_of_character(data: bytes) -> int:
    """How many bytes at the beginning belong to a character that began before."""
    return next((n for n, byte in enumerate(data[:3]) if byte & 0xC0 != 0x80), 0)


def _begun_character(data: bytes) -> int:
    """How many bytes at the end belong to a character that goes on behind them."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if length > back else 0
        if byte < 0x80:
            return 0
    return 0


ROUTES = (
    Route(
        method="GET",
        path="/jobs/{job}/units/{unit}/log",
        call=of_unit,
        resource=RESOURCE,
        query=LogQuery,
        answer=Text,
        slow=True,
    ),
    Route(
        method="GET",
        path="/activities/{activity}/log",
        call=of_activity,
        resource=RESOURCE,
        query=LogQuery,
        answer=Text,
    ),
)

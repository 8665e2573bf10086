"""Checks of resources and profiles: activities, since clusters take their time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

from fractal_jupyter.runner.checks import Check
from fractal_jupyter.server.actions import Outcome
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.activities import ActivityDocument
from fractal_jupyter.server.requests import Id
from fractal_jupyter.server.route import Body, Query, Request, Route
from fractal_jupyter.store.records import ActivityRecord

RESOURCE = "fractal:checks"


class Place(Body):
    """Where a job of another user may write while it is tried: the `project_dir` of a dataset."""

    dataset_id: Id | None = None


def resource(api: Api, request: Request[Query, Place]) -> ActivityDocument:
    """Try all that jobs on a resource need.

    The `result` of the activity is a list of
    `{"subject", "ok", "found", "cure", "fingerprint", "note"}`.
    """
    name = api.store.resources.by_id(request.ids["resource"]).name
    place = _project_dir(api, request.body)
    return _start(api, name, lambda: api.fractal.resources._checks(name, place))


def profile(api: Api, request: Request[Query, Place]) -> ActivityDocument:
    """Try all that jobs with a profile need.

    The `result` of the activity is a list of
    `{"subject", "ok", "found", "cure", "fingerprint", "note"}`.
    """
    name = api.store.profiles.by_id(request.ids["profile"]).name
    place = _project_dir(api, request.body)
    return _start(api, name, lambda: api.fractal.profiles._checks(name, place))


def _project_dir(api: Api, body: Place) -> str | None:
    if body.dataset_id is None:
        return None
    return api.store.datasets.by_id(body.dataset_id).project_dir


def _start(api: Api, name: str, check: Callable[[], Iterable[Check]]) -> ActivityDocument:
    def run(activity: ActivityRecord) -> Outcome:
        result = []
        for found in check():
            api.store.activities.append_log(activity.id, f"{found}\n")
            result.append(asdict(found))
        return Outcome(result=result)

    return ActivityDocument.of(api.actions.start("check", name, run))


ROUTES = (
    Route(
        method="POST",
        path="/resources/{resource}/check",
        call=resource,
        resource=RESOURCE,
        body=Place,
        answer=ActivityDocument,
        status=202,
    ),
    Route(
        method="POST",
        path="/profiles/{profile}/check",
        call=profile,
        resource=RESOURCE,
        body=Place,
        answer=ActivityDocument,
        status=202,
    ),
)

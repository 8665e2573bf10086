"""Plans: what a submission would run."""

from __future__ import annotations

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.plans import PlanDocument
from fractal_jupyter.server.route import Query, Request, Route
from fractal_jupyter.server.submissions import Submission, client_arguments


def plan(api: Api, request: Request[Query, Submission]) -> PlanDocument:
    """Say what a submission would run; runs nothing.

    It is checked as it would be when it is submitted.
    """
    what, dataset, options = client_arguments(api, request.body)
    return PlanDocument.of(api.fractal.plan(what, dataset, **options))


ROUTES = (
    Route(
        method="POST",
        path="/plans",
        call=plan,
        resource="fractal:plans",
        body=Submission,
        answer=PlanDocument,
        slow=True,
    ),
)

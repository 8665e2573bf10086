"""The table of all routes."""

from __future__ import annotations

from itertools import groupby

from fractal_jupyter.server.handler import RouteHandler, UnknownPath, make_handler
from fractal_jupyter.server.handlers import (
    activities,
    checks,
    datasets,
    images,
    jobs,
    logs,
    plans,
    profiles,
    resources,
    server,
    steps,
    task_groups,
    tasks,
    timelines,
    units,
    workflows,
)
from fractal_jupyter.server.route import BASE_PATH, Route

ROUTES: tuple[Route, ...] = (
    *server.ROUTES,
    *resources.ROUTES,
    *profiles.ROUTES,
    *checks.ROUTES,
    *task_groups.ROUTES,
    *tasks.ROUTES,
    *activities.ROUTES,
    *datasets.ROUTES,
    *images.ROUTES,
    *workflows.ROUTES,
    *plans.ROUTES,
    *jobs.ROUTES,
    *steps.ROUTES,
    *timelines.ROUTES,
    *units.ROUTES,
    *logs.ROUTES,
)


def handlers() -> list[tuple[str, type[RouteHandler]]]:
    """What Jupyter Server is given: a pattern and a handler for each path."""
    by_pattern = groupby(sorted(ROUTES, key=_pattern), key=_pattern)
    made = [(pattern, make_handler(routes)) for pattern, routes in by_pattern]
    return [*made, (f"{BASE_PATH}(?:/.*)?", UnknownPath)]


def _pattern(route: Route) -> str:
    return route.pattern

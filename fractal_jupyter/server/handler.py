"""From a row of the table of routes to a request handler of Jupyter Server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from http.client import responses
from typing import Any, get_origin

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from pydantic import BaseModel, ValidationError
from tornado import web
from tornado.ioloop import IOLoop

from fractal_jupyter.errors import NotFound
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.problems import BadRequest, plain, problem_document, status_of
from fractal_jupyter.server.route import LARGEST_ID, Body, Query, Request, Route, Text

API_SETTING = "fractal_api"
POOLS_SETTING = "fractal_pools"
ANNOUNCER_SETTING = "fractal_announcer"

# What authorizers are told that a verb does.
_ACTIONS = {"GET": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "write"}
# What Jupyter itself adds to queries.
_JUPYTERS_OWN = {"token", "no_track_activity", "_xsrf"}
_REASONS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
}


class RouteHandler(APIHandler):
    """Answers the requests of one path; `make_handler` makes one with verbs of it."""

    routes: Mapping[str, Route] = {}
    auth_resource: str

    async def answer(self, ids: Mapping[str, str]) -> None:
        """Answer a request in a thread: neither the store nor a host holds up the server."""
        route = self.routes[str(self.request.method)]
        api: Api = self.settings[API_SETTING]
        pools: Mapping[bool, Executor] = self.settings[POOLS_SETTING]
        arguments, body = self.request.query_arguments, self.request.body
        try:
            answer = await IOLoop.current().run_in_executor(
                pools[route.slow], _respond, api, route, ids, arguments, body
            )
        except Exception as error:
            status = status_of(error)
            if status is None:
                raise
            self.set_status(status)
            problem = problem_document(error).model_dump_json(exclude_none=True)
            self.finish(problem)
            return
        # From the first use on; who never uses this does not pay for it.
        self.settings[ANNOUNCER_SETTING].start()
        self.set_status(route.status)
        if answer is None:
            self.finish()
            return
        for name, value in answer.headers.items():
            self.set_header(name, value)
        kind = "text/plain; charset=utf-8" if route.answer is Text else "application/json"
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(answer.data, set_content_type=kind)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell of what went wrong outside of the routes in the words of `ProblemDocument`."""
        error = kwargs.get("exc_info", (None, None))[1]
        told = error.log_message if isinstance(error, web.HTTPError) else None
        message = told or responses.get(status_code, "Unknown error")
        if status_code == 405:
            self.set_header("Allow", ", ".join(sorted(self.routes)))
        reason = _REASONS.get(status_code, "internal_error")
        self.finish(json.dumps(plain(message, reason)))


class UnknownPath(RouteHandler):
    """Answers what is below the path of the API and is none of its paths."""

    auth_resource = "fractal:api"

    async def prepare(self) -> None:  # type: ignore[override]  # as that of APIHandler
        """Refuse who is not logged in; tell all others that there is nothing."""
        await super().prepare()
        if not self.current_user:
            raise web.HTTPError(403)
        raise web.HTTPError(404, "There is no such path; see fractal/api/openapi.json.")


def make_handler(routes: Iterable[Route]) -> type[RouteHandler]:
    """Make the handler of the routes of one path."""
    by_method = {route.method: route for route in routes}
    first = next(iter(by_method.values()))
    verbs = {
        method.lower(): _verb(_ACTIONS[method], route.resource)
        for method, route in by_method.items()
    }
    attributes = {"routes": by_method, "auth_resource": first.resource, **verbs}
    return type(f"{first.name.title().replace('_', '')}Handler", (RouteHandler,), attributes)


def _verb(action: str, resource: str) -> Any:
    """A method of a handler. Both names are given: by default they are those of the first use."""

    async def answer(self: RouteHandler, **ids: str) -> None:
        await self.answer(ids)

    return web.authenticated(authorized(action, resource=resource)(answer))


def _respond(
    api: Api,
    route: Route,
    ids: Mapping[str, str],
    arguments: Mapping[str, list[bytes]],
    body: bytes,
) -> Text | None:
    """Check a request, answer it, and write the answer: all in a thread."""
    numbers = {name: int(text) for name, text in ids.items()}
    for name, number in numbers.items():
        if number > LARGEST_ID:
            raise NotFound(f"There is no {name} {number}.")
    request = Request(numbers, _query(route.query, arguments), _body(route, body))
    answer = route.call(api, request)
    return Text(answer.model_dump_json().encode()) if isinstance(answer, BaseModel) else answer


def _query(model: type[Query], arguments: Mapping[str, list[bytes]]) -> Query:
    """Check a query; of a name that is given several times, all values count only in lists."""
    given: dict[str, Any] = {}
    for name, values in arguments.items():
        if name in _JUPYTERS_OWN or name.isdecimal():  # the time, which keeps caches away
            continue
        texts = [value.decode(errors="replace") for value in values]
        field = model.model_fields.get(name)
        many = field is not None and get_origin(field.annotation) is list
        given[name] = texts if many else texts[-1]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise BadRequest.of(error, model, "query") from None


def _body(route: Route, body: bytes) -> Body | None:
    if route.body is None:
        return None
    try:
        return route.body.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise BadRequest.of(error, route.body, "body") from None

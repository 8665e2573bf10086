"""Who may do what: every verb of every path, walked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.httpclient import HTTPResponse

from fractal_jupyter.server.route import BASE_PATH, Route
from fractal_jupyter.server.routes import ROUTES, handlers

Ask = Callable[..., Awaitable[HTTPResponse]]
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CHANGING = [route for route in ROUTES if route.method != "GET"]


class Recording(Authorizer):
    """Denies what it is told to deny, and remembers what it was asked."""

    denied: str | None = None
    asked: tuple[str, str] | None = None

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        type(self).asked = (action, resource)
        return resource != self.denied


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any]) -> dict[str, Any]:
    server = {**jp_server_config["ServerApp"], "authorizer_class": Recording}
    return {**jp_server_config, "ServerApp": server}


@pytest.fixture
def ask(jp_serverapp: ServerApp, http_server_client: Any, jp_base_url: str) -> Ask:
    """Send a request with no other headers than those that are given."""

    async def fetch(method: str, path: str, **headers: str) -> HTTPResponse:
        response: HTTPResponse = await http_server_client.fetch(
            url_path_join(jp_base_url, path),
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            body=b"{}" if method in ("POST", "PUT", "PATCH") else None,
            follow_redirects=False,
            raise_error=False,
        )
        return response

    return fetch


@pytest.fixture
def token(jp_serverapp: ServerApp) -> str:
    return f"token {jp_serverapp.identity_provider.token}"


def path_of(route: Route) -> str:
    return BASE_PATH + route.path.format(**dict.fromkeys(route.ids, "999"))


async def test_nobody_without_a_token(ask: Ask) -> None:
    for route in ROUTES:
        for verb in VERBS:
            response = await ask(verb, path_of(route))
            assert response.code in (401, 403, 405), (verb, route.path)
            if verb == route.method:
                assert response.code in (401, 403)
                assert b"reason" in response.body
    assert (await ask("GET", f"{BASE_PATH}/nothing")).code == 403


async def test_every_verb_asks_for_its_own_resource(ask: Ask, token: str) -> None:
    for route in ROUTES:
        Recording.denied, Recording.asked = route.resource, None
        response = await ask(route.method, path_of(route), Authorization=token)
        action = "read" if route.method == "GET" else "write"
        assert Recording.asked == (action, route.resource), route.path
        assert response.code == 403, route.path
        Recording.denied = "something else"
        response = await ask(route.method, path_of(route), Authorization=token)
        assert response.code not in (401, 403, 500), (route.path, response.body)
    Recording.denied = None


async def test_cookies_need_the_xsrf_token(ask: Ask, jp_serverapp: ServerApp) -> None:
    login = await ask("GET", f"login?token={jp_serverapp.identity_provider.token}")
    cookies = {
        name: value
        for header in login.headers.get_list("Set-Cookie")
        for name, value in [header.partition(";")[0].split("=", 1)]
    }
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    assert (await ask("GET", f"{BASE_PATH}/jobs", Cookie=cookie)).code == 200
    page = await ask("GET", "tree", Cookie=cookie)
    cookies |= {
        name: value
        for header in page.headers.get_list("Set-Cookie")
        for name, value in [header.partition(";")[0].split("=", 1)]
    }
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    assert "_xsrf" in cookies
    for route in CHANGING:
        assert (await ask(route.method, path_of(route), Cookie=cookie)).code == 403, route.path
        allowed = await ask(
            route.method, path_of(route), Cookie=cookie, X_XSRFToken=cookies["_xsrf"]
        )
        assert allowed.code not in (401, 403, 500), (route.path, allowed.body)


async def test_other_origins_are_refused(ask: Ask, token: str, jp_serverapp: ServerApp) -> None:
    login = await ask("GET", f"login?token={jp_serverapp.identity_provider.token}")
    cookie = "; ".join(h.partition(";")[0] for h in login.headers.get_list("Set-Cookie"))
    for route in ROUTES:
        response = await ask(
            route.method, path_of(route), Cookie=cookie, Origin="https://elsewhere.example"
        )
        assert response.code in (403, 404), route.path


async def test_what_is_no_route(ask: Ask, token: str) -> None:
    response = await ask("GET", f"{BASE_PATH}/jobs/../../etc", Authorization=token)
    assert response.code == 404
    response = await ask("GET", f"{BASE_PATH}/jobs/99999999999", Authorization=token)
    assert response.code == 404
    response = await ask("GET", f"{BASE_PATH}/jobs/9999999999", Authorization=token)
    assert (response.code, b"no job 9999999999" in response.body) == (404, True)
    response = await ask("PATCH", f"{BASE_PATH}/jobs", Authorization=token)
    assert (response.code, response.headers["Allow"]) == (405, "GET, POST")


def test_no_handler_answers_what_is_in_no_row() -> None:
    for _, handler in handlers():
        own = {verb for verb in VERBS if verb.lower() in vars(handler)}
        assert own == set(handler.routes)
        resources = {route.resource for route in handler.routes.values()}
        assert handler.auth_resource in (resources or {"fractal:api"})

"""A real Jupyter server with the extension, on a new store with the toy tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tornado.httpclient import HTTPClientError, HTTPResponse

from fractal_jupyter import Fractal
from fractal_jupyter.server.openapi import openapi_document
from fractal_jupyter.server.route import BASE_PATH
from fractal_jupyter.server.routes import ROUTES
from fractal_jupyter.store.store import STORE_VARIABLE
from tests.toy import toy_fractal

Call = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def fractal(tmp_path: Path) -> Iterator[Fractal]:
    with toy_fractal(tmp_path) as fractal:
        yield fractal


@pytest.fixture
def jp_server_config(fractal: Fractal, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    # The extension sets it for kernels; here it must not outlive the test.
    monkeypatch.setenv(STORE_VARIABLE, "")
    return {
        "ServerApp": {"jpserver_extensions": {"fractal_jupyter": True}},
        "FractalExtension": {"store_url": fractal.url},
    }


@pytest.fixture
def call(jp_fetch: Call) -> Call:
    """Ask the API: `await call("GET", "jobs", status="done")`; errors are answers, too.

    Whatever is answered must fit the OpenAPI document.
    """

    async def ask(
        method: str, path: str, body: Any = None, *, headers: Any = None, **query: Any
    ) -> HTTPResponse:
        sent = None if method in ("GET", "DELETE") else json.dumps(body) if body is not None else ""
        try:
            response = await jp_fetch(
                "fractal/api",
                *path.split("/"),
                method=method,
                body=sent,
                params=query,
                headers=headers or {},
            )
        except HTTPClientError as error:
            if error.response is None:
                raise
            response = error.response
        _check(method, path, response)
        return response

    return ask


def _check(method: str, path: str, response: HTTPResponse) -> None:
    """See that an answer is one that the OpenAPI document tells of."""
    route = next(
        route
        for route in ROUTES
        if route.method == method and re.fullmatch(route.pattern, f"{BASE_PATH}/{path}")
    )
    document = openapi_document()
    operation = document["paths"][route.path][method.lower()]
    content = operation["responses"][str(response.code)].get("content")
    if content is None:
        assert not response.body
        return
    kind = response.headers["Content-Type"].partition(";")[0]
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(json.loads(response.body))
    assert kind in content

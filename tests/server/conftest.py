"""A real Jupyter server with the extension, on a new store with the toy tasks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPResponse

from fractal_jupyter import Fractal
from tests.toy import toy_fractal

pytest_plugins = ["pytest_jupyter.jupyter_server"]

Call = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def fractal(tmp_path: Path) -> Iterator[Fractal]:
    with toy_fractal(tmp_path) as fractal:
        yield fractal


@pytest.fixture
def jp_server_config(fractal: Fractal) -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"fractal_jupyter": True}},
        "FractalExtension": {"store_url": fractal.url},
    }


@pytest.fixture
def call(jp_fetch: Call) -> Call:
    """Ask the API: `await call("GET", "jobs", status="done")`; errors are answers, too."""

    async def ask(
        method: str, path: str, body: Any = None, *, headers: Any = None, **query: Any
    ) -> HTTPResponse:
        sent = None if method in ("GET", "DELETE") else json.dumps(body) if body is not None else ""
        try:
            return await jp_fetch(
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
            return error.response

    return ask

"""The OpenAPI document: it has all routes, and it is true of a running server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import missing_required_header, positive_data_acceptance

from fractal_jupyter.server.openapi import openapi_document
from fractal_jupyter.server.route import BASE_PATH
from fractal_jupyter.server.routes import ROUTES
from tests.server.running import TOKEN, running_server
from tests.toy import make_dataset, toy_fractal

# In one worker, which starts one server for all of them.
pytestmark = pytest.mark.xdist_group("openapi")

ROOT = Path(__file__).parents[2]

# What a body means is checked beyond its schema: names must be there, paths absolute, and so on.
# Jupyter Server answers 403, not 401, to who is not logged in.
NOT_SO_HERE = [positive_data_acceptance, missing_required_header]

# Headers are Jupyter's: with made-up ones, Tornado refuses requests before anything of ours.
CONFIG = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})

schema = schemathesis.openapi.from_dict(openapi_document(), config=CONFIG)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Jupyter server, a process of its own, with a job and what it needs."""
    folder = tmp_path_factory.mktemp("openapi")
    with toy_fractal(folder) as fractal:
        fractal.workflows.create("w", steps=[{"task": "Toy Copy"}])
        fractal.submit("Toy Parallel", make_dataset(fractal, 3)).wait(60)
        with running_server(folder / "server", fractal) as running:
            yield running.url
        assert "Traceback" not in running.log.read_text()


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_true_of_a_running_server(case: schemathesis.Case[Any], server: str) -> None:
    case.call_and_validate(
        base_url=f"{server}{BASE_PATH}",
        headers={"Authorization": f"token {TOKEN}"},
        excluded_checks=NOT_SO_HERE,
    )


def test_has_all_routes() -> None:
    paths = openapi_document()["paths"]
    found = {(path, verb.upper()) for path, verbs in paths.items() for verb in verbs}
    assert found == {(route.path, route.method) for route in ROUTES}
    names = [route.name for route in ROUTES]
    assert len(set(names)) == len(names)


def test_the_page_of_documentation_has_the_same_routes() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| .* \| `(fractal:\w+)` \|$", page, re.MULTILINE)
    assert rows == [(route.method, route.path.lstrip("/"), route.resource) for route in ROUTES]

"""The OpenAPI document: it has all routes, and it is true of a running server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import missing_required_header, positive_data_acceptance

from fractal_jupyter.server.openapi import openapi_document
from fractal_jupyter.server.route import BASE_PATH
from fractal_jupyter.server.routes import ROUTES
from tests.toy import make_dataset, toy_fractal, wait_until

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789"

# What a body means is checked beyond its schema: names must be there, paths absolute, and so on.
# Jupyter Server answers 403, not 401, to who is not logged in.
NOT_SO_HERE = [positive_data_acceptance, missing_required_header]

schema = schemathesis.openapi.from_dict(openapi_document())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Jupyter server, a process of its own, with a job and what it needs."""
    folder = tmp_path_factory.mktemp("openapi")
    with toy_fractal(folder) as fractal:
        dataset = make_dataset(fractal, 3)
        fractal.workflows.create("w", steps=[{"task": "Toy Copy"}])
        fractal.submit("Toy Parallel", dataset).wait(60)
        command = [
            *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"),
            *("--port=0", "--ServerApp.base_url=/hub/"),
            f"--IdentityProvider.token={TOKEN}",
            f"--FractalExtension.store_url={fractal.url}",
            "--ServerApp.jpserver_extensions=fractal_jupyter=True",
        ]
        # No certificates, no settings, nothing running but this.
        environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder), "HOME": str(folder)}
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output
            )
        try:
            wait_until(lambda: list(folder.glob("jpserver-*.json")))
            (about,) = folder.glob("jpserver-*.json")
            url = json.loads(about.read_text())["url"].rstrip("/")
            wait_until(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(30)
        assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


def _answers(url: str) -> bool:
    request = urllib.request.Request(
        f"{url}{BASE_PATH}/server", headers={"Authorization": f"token {TOKEN}"}
    )
    try:
        with urllib.request.urlopen(request) as response:
            return bool(response.status == 200)
    except urllib.error.URLError:
        return False


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_true_of_a_running_server(case: schemathesis.Case, server: str) -> None:
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

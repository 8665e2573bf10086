"""One JupyterLab for all tests of this folder, a browser for each file, a page for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from fractal_jupyter import Fractal
from tests.labextension.lab import CHROMIUM, RunningLab, running_browser, running_lab
from tests.labextension.tasks import add_tasks
from tests.slurm.fixtures import skip_for_machine
from tests.toy import make_dataset, toy_fractal

LINKED = Path(__file__).parents[2] / "labextension" / "dist" / "package.json"


@pytest.fixture
def jp_asyncio_loop() -> None:
    """Nothing: Playwright has an event loop of its own, which others must not close."""


@pytest.fixture
def jp_server_cleanup() -> None:
    """Nothing: the server is a process of its own."""


@pytest.fixture(scope="session")
def fractal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    folder = tmp_path_factory.mktemp("labextension")
    with toy_fractal(folder) as fractal:
        add_tasks(fractal, folder / "tasks")
        make_dataset(fractal, 4)
        yield fractal


@pytest.fixture(scope="session")
def lab(fractal: Fractal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    if CHROMIUM is None:
        skip_for_machine("the JupyterLab extension", "no chromium")
    if not LINKED.exists():
        skip_for_machine("the JupyterLab extension", "it is not built: `make labextension`")
    with running_lab(tmp_path_factory.mktemp("lab"), fractal) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser(lab: RunningLab) -> Iterator[Browser]:
    """A browser, gone when other tests come: Playwright's event loop runs as long as it lives."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, lab: RunningLab, request: pytest.FixtureRequest) -> Iterator[Page]:
    """JupyterLab in a workspace of its own; fails when the page has complained of our code."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    lab.open(page, workspace=re.sub(r"\W+", "-", request.node.name))
    yield page
    page.close()
    assert not complaints

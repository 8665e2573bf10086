"""One store and one Jupyter server for all tests of this folder, a browser for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from fractal_jupyter import Fractal
from tests.labextension.lab import CHROMIUM, running_browser
from tests.labextension.tasks import add_tasks
from tests.slurm.fixtures import skip_for_machine
from tests.toy import make_dataset, toy_fractal
from tests.vscode.vscode import ESBUILD, Server, running_server


@pytest.fixture
def jp_asyncio_loop() -> None:
    """Nothing: Playwright has an event loop of its own, which others must not close."""


@pytest.fixture
def jp_server_cleanup() -> None:
    """Nothing: the server is a process of its own."""


@pytest.fixture(scope="session")
def fractal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    folder = tmp_path_factory.mktemp("vscode-store")
    with toy_fractal(folder) as fractal:
        add_tasks(fractal, folder / "tasks")
        make_dataset(fractal, 4)
        yield fractal


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if CHROMIUM is None:
        skip_for_machine("widgets in VS Code", "no chromium")
    if not ESBUILD.exists():
        skip_for_machine("widgets in VS Code", "its renderer is missing: `make vscode-renderer`")
    with running_server(tmp_path_factory.mktemp("vscode")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    """A browser, gone when other tests come: Playwright's event loop runs as long as it lives."""
    with running_browser() as browser:
        yield browser

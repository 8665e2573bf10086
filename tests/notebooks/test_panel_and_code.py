"""The notebook about the panel and code, run from its first cell to its last, with a server."""

from __future__ import annotations

import io
from pathlib import Path

import nbformat
import pytest

from fractal_jupyter import Fractal
from notebooks.run import Screen, run
from tests.server.running import TOKEN, running_server

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03-panel-and-code.ipynb"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_panel_and_code(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    target = tmp_path / "03-panel-and-code.ipynb"
    fractal = Fractal(store_url)
    with running_server(tmp_path / "server", fractal) as server:
        monkeypatch.setenv("FRACTAL_JUPYTER_SERVER", server.url)
        monkeypatch.setenv("FRACTAL_JUPYTER_SERVER_TOKEN", TOKEN)

        assert run(NOTEBOOK, target, Screen(screen)) == 0, screen.getvalue()

        shown = server.ask("GET", "jobs")["items"]
    assert [job["status"] for job in shown] == ["done"] * 3
    assert "(no panel here)" not in screen.getvalue()
    outputs = {cell.id: cell.get("outputs") for cell in nbformat.read(target, 4).cells}
    (code,) = outputs["code"]
    assert 'args_parallel={"method": "Mean intensity projection"}' in code.data["text/plain"]
    assert len(fractal.workflows.list()) == 1
    fractal.close()

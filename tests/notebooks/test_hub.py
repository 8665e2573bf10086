"""The notebook for administrators of a hub, run from its first cell to its last."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from notebooks.run import Screen, run
from tests.toy import end_everything

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04-hub.ipynb"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the notebook writes; whatever it leaves running is ended."""
    monkeypatch.setenv("FRACTAL_DEMO_FOLDER", str(tmp_path))
    folder = tmp_path / "hub"
    yield folder
    for path in folder.glob("*/store/fractal.db"):
        fractal = Fractal(f"sqlite:///{path}")
        end_everything(fractal._store)
        fractal.close()


@pytest.mark.slow
def test_hub(tmp_path: Path, folder: Path) -> None:
    screen = io.StringIO()

    assert run(NOTEBOOK, tmp_path / "04-hub.ipynb", Screen(screen)) == 0, screen.getvalue()

    shown = screen.getvalue()
    fractal = Fractal(f"sqlite:///{folder}/alice/store/fractal.db")
    (job,) = fractal.jobs.list()
    assert (job.status, len(job.units())) == ("done", 4)
    assert str(job.folder).startswith(f"{folder}/alice/jobs/")
    fractal.close()
    assert "asmith" in shown
    assert f"{folder}/etc/jupyter/fractal/cluster/profiles/me.json" in shown
    assert "jobs_poll_intervall" in shown
    assert "(1, 0)" in shown
    (line,) = (line.strip() for line in shown.splitlines() if "NOPASSWD" in line)
    if visudo := shutil.which("visudo", path="/usr/sbin:/usr/bin"):
        subprocess.run([visudo, "-c", "-f", "-"], input=f"{line}\n", text=True, check=True)

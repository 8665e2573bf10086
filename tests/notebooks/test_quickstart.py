"""The quick-start notebook, run from its first cell to its last as `make demo` runs it."""

from __future__ import annotations

import io
from pathlib import Path

import nbformat
import pytest

from fractal_jupyter import Fractal
from notebooks.run import Screen, run

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01-quickstart.ipynb"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_quickstart(tmp_path: Path, store_url: str) -> None:
    screen = io.StringIO()
    target = tmp_path / "out" / "01-quickstart.ipynb"

    assert run(NOTEBOOK, target, Screen(screen)) == 0, screen.getvalue()

    fractal = Fractal(store_url)
    jobs = {job.id: job for job in fractal.jobs.list()}
    assert [jobs[key].status for key in sorted(jobs)] == ["done"] * 4
    assert [len(jobs[key].units()) for key in sorted(jobs)] == [24, 3 * 24, 1 + 3 * 12, 24]
    fractal.close()
    (sheet,) = (tmp_path / "data").glob("*/contact-sheet.png")
    assert f"Contact sheet: {sheet}" in screen.getvalue()
    notebook = nbformat.read(target, as_version=4)
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
    # the contact sheet is most of it: displays that are brought up to date do not pile up
    assert target.stat().st_size < 3_000_000

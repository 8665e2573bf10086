"""What cells show, in a real JupyterLab: in wide and in narrow cells, in both themes."""

from __future__ import annotations

import json
import urllib.request

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import PICTURES, TOKEN, RunningLab
from tests.labextension.test_looks import AXE, THEMES
from tests.labextension.test_widgets import KERNEL, wait_for_kernel

pytestmark = [pytest.mark.long, pytest.mark.browser]

# One cell, so that all that is shown is in the page.
CELL = """\
from fractal_jupyter import Fractal
fractal = Fractal()
job = fractal.jobs.list()[0]
for shown in (
    fractal,
    job.units(status='failed'),
    fractal.task_groups.list(),
    fractal.tasks.get('Rich'),
    fractal.resources.check('Broken'),
    job.units()[0],
    job.steps[0],
    job.environment(),
    fractal.form('Rich', 'plate'),
):
    display(shown)
"""
NARROW, BETWEEN, WIDE = 420, 700, 1100
# Of each table that folds: how much of it lies outside, and whether what is long is below its row.
TABLES = """() =>
[...document.querySelectorAll('.fj1-measured')].map(box => {
  const row = box.querySelector('tbody tr:has(td.fj1-below:not(:empty))');
  const top = cell => cell.getBoundingClientRect().top;
  const below = top(row.querySelector('td.fj1-below')) > top(row.cells[0]) + 9;
  return {outside: box.scrollWidth - box.clientWidth, below};
})
"""


def open_notebook(page: Page, lab: RunningLab) -> None:
    cells = [new_code_cell(CELL, id="all")]
    content = json.loads(nbformat.writes(new_notebook(cells=cells, metadata=KERNEL)))
    request = urllib.request.Request(
        f"{lab.url}api/contents/outputs.ipynb",
        method="PUT",
        data=json.dumps({"type": "notebook", "format": "json", "content": content}).encode(),
        headers={"Authorization": f"token {TOKEN}"},
    )
    with urllib.request.urlopen(request):
        page.goto(f"{lab.url}lab/workspaces/outputs/tree/outputs.ipynb?token={TOKEN}")
    wait_for_kernel(page)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")


def set_output_width(page: Page, width: int) -> None:
    page.add_style_tag(
        content=f".jp-OutputArea-output > div, .jp-OutputArea-output {{ max-width: {width}px; }}"
    )


def test_outputs_fit_their_cells(browser: Browser, lab: RunningLab, fractal: Fractal) -> None:
    config = {"default_version": "3.12", "versions": {"3.12": "/some-venv/bin/python"}}
    document = {**fractal.resources.get("Local resource").document, "name": "Broken"}
    fractal.resources.add({**document, "tasks_python_config": config})
    fractal.submit("Toy Parallel", "plate", args={"behaviour": "raise"}).wait(60)
    page = browser.new_page(viewport={"width": 1500, "height": 5000})
    open_notebook(page, lab)
    expect(page.get_by_label("Needs").or_(page.get_by_role("button", name="Submit"))).to_be_visible(
        timeout=60_000
    )
    page.add_script_tag(path=str(AXE))
    PICTURES.mkdir(parents=True, exist_ok=True)
    for theme, name in THEMES.items():
        page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")
        for width in (WIDE, BETWEEN, NARROW):
            set_output_width(page, width)
            tables = page.evaluate(TABLES)
            assert len(tables) == 4
            assert [table["below"] for table in tables] == [width != WIDE] * 4
            assert all(table["outside"] <= 0 for table in tables)
            page.locator(".jp-OutputArea").first.screenshot(
                path=PICTURES / f"outputs-{width}-{theme}.png"
            )
        found = page.evaluate("axe.run({include: ['.fj1']})")
        assert [each["id"] for each in found["violations"]] == []
    arrow = page.locator(".fjw .widget-dropdown > select").first
    assert "808080" in arrow.evaluate("select => getComputedStyle(select).backgroundImage")
    page.close()

"""The widgets in a real JupyterLab and in a real Notebook 7, with a real kernel."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Locator, Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import PICTURES, TOKEN, RunningLab
from tests.labextension.tasks import HOSTILE

pytestmark = [pytest.mark.long, pytest.mark.browser]

CELLS = {
    "form": "from fractal_jupyter import Fractal\nfractal = Fractal()\n"
    "fractal.form('Needs File', 'plate')",
    "hostile": f"fractal.form({HOSTILE!r}, 'plate')",
    "resource": "fractal.resources.editor('Local resource')",
    "profile": "fractal.profiles.editor('Local profile')",
    "dataset": "fractal.datasets.get('plate').browser()",
    "monitor": "fractal.jobs.list()[-1].monitor()",
}
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
KERNEL_STATUS = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
PLACES = {"lab": "lab/workspaces/widgets/tree", "notebook": "notebooks"}


@pytest.fixture
def notebook(lab: RunningLab) -> str:
    """The name of a notebook with all widgets."""
    cells = [new_code_cell(source, id=name) for name, source in CELLS.items()]
    content = json.loads(nbformat.writes(new_notebook(cells=cells, metadata=KERNEL)))
    request = urllib.request.Request(
        f"{lab.url}api/contents/widgets.ipynb",
        method="PUT",
        data=json.dumps({"type": "notebook", "format": "json", "content": content}).encode(),
        headers={"Authorization": f"token {TOKEN}"},
    )
    with urllib.request.urlopen(request):
        return "widgets.ipynb"


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[str, Page]]:
    """Where the notebook is opened, and a page for that."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    yield request.param, page
    page.close()


def wait_for_kernel(page: Page) -> None:
    """Wait until the notebook is there, and its kernel has nothing to do."""
    page.wait_for_function(f"{KERNEL_STATUS} === 'idle'", timeout=60_000)


def output(page: Page, name: str) -> Locator:
    """What the cell of that name has shown; cells out of sight are not in the page."""
    position = list(CELLS).index(name)
    page.evaluate(
        "at => jupyterapp.shell.currentWidget.content.scrollToItem(at, 'start')", position
    )
    return page.locator(f'.jp-Cell[data-windowed-list-index="{position}"] .jp-OutputArea')


def test_widgets_work_and_survive_a_reload(
    place: tuple[str, Page], lab: RunningLab, notebook: str, fractal: Fractal, tmp_path: Path
) -> None:
    where, page = place
    fractal.submit("Toy Parallel", "plate", args={"seconds": 0}).wait(60)
    before = fractal.jobs.list()[0].id
    (tmp_path / "there").touch()
    page.goto(f"{lab.url}{PLACES[where]}/{notebook}?token={TOKEN}")
    wait_for_kernel(page)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")

    form = output(page, "form")
    expect(form.get_by_role("button", name="Submit")).to_be_visible(timeout=60_000)
    form.get_by_label("Needs").fill(str(tmp_path / "there"))
    expect(form).to_contain_text("there", timeout=60_000)
    form.get_by_role("button", name="Submit").click()
    expect(form).to_contain_text("4 / 4", timeout=60_000)
    assert fractal.jobs.list()[0].id > before
    assert fractal.jobs.list()[0].wait(60).status == "done"
    pictures(page, where)

    # what Jupyter does by itself, every two minutes
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    wait_for_kernel(page)
    form = output(page, "form")
    expect(form).to_contain_text("4 / 4", timeout=60_000)
    expect(form.get_by_label("Needs")).to_have_value(str(tmp_path / "there"))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def pictures(page: Page, where: str) -> None:
    """Pictures of all widgets, to be looked at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in CELLS:
        shown = output(page, name)
        expect(shown.locator(".jupyter-widgets").first).to_be_visible(timeout=60_000)
        shown.screenshot(path=PICTURES / f"widget-{where}-{name}.png")

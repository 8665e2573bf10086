"""Widgets and HTML where VS Code would show them. This is its renderer, and not VS Code itself.

Widgets are drawn by `@vscode/jupyter-ipywidgets8`, which VS Code's Jupyter extension loads, and all
else as its notebooks do (`page.js`), in Chromium, with the variables of VS Code's themes. What is
ours is how the renderer meets the kernel: VS Code passes messages through processes of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from fractal_jupyter import Fractal
from tests.hostile import FOREIGN_ON_PAGE, LINE, TEXT, make_hostile
from tests.labextension.lab import ROOT
from tests.labextension.tasks import HOSTILE
from tests.slurm.fixtures import skip_for_machine
from tests.toy import toy_fractal
from tests.vscode.vscode import THEMES, Notebook, Server

pytestmark = [pytest.mark.long, pytest.mark.browser]

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = ROOT / "test-output" / "vscode"

OpenPage = Callable[..., Notebook]


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Opens pages; fails when one of them has complained, or has run something of a name."""
    pages: list[Page] = []
    complaints: list[str] = []

    def opened(theme: str = "vscode-dark") -> Notebook:
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
        pages.append(page)
        return server.open(page, theme)

    yield opened
    for page in pages:
        if not page.is_closed():
            assert page.evaluate("window.hacked") is None
            assert page.locator("img[src=x]").count() == 0
            page.close()
    assert not complaints


@pytest.fixture
def notebook(open_page: OpenPage, fractal: Fractal) -> Notebook:
    """A page with a kernel that has the store."""
    notebook = open_page()
    notebook.start()
    begin(notebook, fractal)
    return notebook


def begin(notebook: Notebook, fractal: Fractal) -> None:
    code = f"from fractal_jupyter import Fractal\nfractal = Fractal({fractal.url!r})"
    notebook.run("begin", code)


def fill(box: Locator, text: str) -> None:
    """Type something, and go on to the next field."""
    box.fill(text)
    box.press("Tab")


def test_a_job_is_submitted_and_followed_to_its_end(
    notebook: Notebook, fractal: Fractal, tmp_path: Path
) -> None:
    before = len(fractal.jobs.list())
    notebook.run("form", "form = fractal.form('Needs File', 'plate')\nform")
    form = notebook.output("form")
    fill(form.get_by_label("Needs"), str(tmp_path / "missing"))
    expect(form.locator("pre").first).to_contain_text("missing")
    form.get_by_role("button", name="Submit").click()
    expect(form).to_contain_text("4 units failed", timeout=60_000)
    (tmp_path / "missing").touch()
    form.get_by_role("button", name="Retry").click()
    expect(form.get_by_role("cell", name="done", exact=True)).to_be_visible(timeout=60_000)
    assert len(fractal.jobs.list()) > before
    assert fractal.jobs.list()[0].wait(60).status == "done"


def test_a_monitor_shows_logs_and_cancels(notebook: Notebook, fractal: Fractal) -> None:
    code = "job = fractal.submit('Needs File', 'plate', args={'say': 'hello', 'wait': True})"
    notebook.run("monitor", f"{code}\njob.monitor()")
    monitor = notebook.output("monitor")
    expect(monitor).to_contain_text("running", timeout=60_000)
    monitor.get_by_role("button", name="Cancel the job").click()
    monitor.get_by_role("button", name="Yes").click()
    expect(monitor).to_contain_text("cancelled", timeout=60_000)
    assert fractal.jobs.list()[0].wait(60).status == "cancelled"


def test_editors_save_and_check(notebook: Notebook, fractal: Fractal) -> None:
    notebook.run("resource", "fractal.resources.editor('Local resource')")
    editor = notebook.output("resource")
    interval = editor.get_by_label("jobs poll interval")
    fill(interval, "often")
    expect(editor.get_by_role("button", name="Save")).to_be_disabled()
    fill(interval, "3")
    expect(editor.locator("pre")).to_contain_text('"jobs_poll_interval": 3')
    editor.get_by_role("button", name="Save").click()
    expect(editor.get_by_role("status")).to_contain_text("Local resource")
    assert fractal.resources.get("Local resource").document["jobs_poll_interval"] == 3
    editor.get_by_role("button", name="Check").click()
    expect(editor).to_contain_text("may be used", timeout=60_000)

    notebook.run("profile", "fractal.profiles.editor('Local profile')")
    profile = notebook.output("profile")
    fill(profile.get_by_label("name"), "Of VS Code")
    profile.get_by_role("button", name="Save").click()
    expect(profile.get_by_role("status")).to_contain_text("Of VS Code")
    fill(profile.get_by_label("name"), "Local profile")
    profile.get_by_role("button", name="Save").click()
    expect(profile.get_by_role("status")).to_contain_text("Local profile")


def test_a_browser_filters(notebook: Notebook) -> None:
    notebook.run("browser", "browser = fractal.datasets.get('plate').browser()\nbrowser")
    shown = notebook.output("browser")
    expect(shown).to_contain_text("4 images")
    fill(shown.get_by_label("Path contains"), "-2")
    expect(shown).to_contain_text("1 of 4 images")
    (printed,) = notebook.run("selected", "print(len(browser.selected))")
    assert printed["text/plain"] == "1\n"


def test_another_page_shows_what_the_kernel_has(
    notebook: Notebook, open_page: OpenPage, tmp_path: Path
) -> None:
    kernel = notebook.page.evaluate("notebook.kernel()")
    (bundle,) = notebook.run("form", "fractal.form('Needs File', 'plate')")
    fill(notebook.output("form").get_by_label("say"), "hello")
    expect(notebook.output("form").locator("pre")).to_contain_text("hello")
    notebook.page.close()

    again = open_page()
    again.connect(kernel)
    again.show("form", [bundle])
    form = again.output("form")
    expect(form.get_by_label("say")).to_have_value("hello")
    fill(form.get_by_label("say"), "good bye")
    expect(form.locator("pre")).to_contain_text("good bye")


def test_a_page_without_the_kernel_shows_html(notebook: Notebook, open_page: OpenPage) -> None:
    (bundle,) = notebook.run("form", "fractal.form('Needs File', 'plate')")
    other = open_page()
    other.start()
    other.show("form", [bundle])
    expect(other.output("form")).to_contain_text("fractal.submit")
    assert other.page.locator("input").count() == 0


def test_the_kernel_knows_no_server(notebook: Notebook) -> None:
    code = "import os\nprint([name for name in os.environ if name.startswith(('JUPY', 'JPY'))])"
    (printed,) = notebook.run("variables", code)
    assert printed["text/plain"] == "[]\n"


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Fractal]:
    with toy_fractal(tmp_path) as fractal:
        make_hostile(fractal, tmp_path / "tasks")
        yield fractal


def test_names_and_texts_do_nothing(open_page: OpenPage, hostile: Fractal) -> None:
    notebook = open_page()
    notebook.start()
    begin(notebook, hostile)
    widgets = {
        "form": f"fractal.form({LINE!r}, {TEXT!r}, args={{'say': {TEXT!r}}})",
        "resource": f"fractal.resources.editor({LINE!r})",
        "profile": f"fractal.profiles.editor({LINE!r})",
        "browser": f"fractal.datasets.get({TEXT!r}).browser()",
        "monitor": "fractal.jobs.list()[0].monitor()",
    }
    for name, code in widgets.items():
        notebook.run(name, code)
        expect(notebook.output(name).locator(".jupyter-widgets").first).to_be_visible()
    monitor = notebook.output("monitor")
    monitor.get_by_label("Unit, to see its log").select_option(index=0)
    expect(monitor).to_contain_text("Traceback")
    assert notebook.page.evaluate(FOREIGN_ON_PAGE) == []


SHOWN = {
    "form": f"fractal.form({HOSTILE!r}, 'plate')",
    "rich": "fractal.form('Rich', 'plate')",
    "resource": "fractal.resources.editor('Local resource')",
    "profile": "fractal.profiles.editor('Local profile')",
    "dataset": "fractal.datasets.get('plate').browser()",
    "monitor": "fractal.jobs.list()[0].monitor()",
    "job": "fractal.jobs.list()[0]",
    "jobs": "fractal.jobs.list()",
    "live": "fractal.jobs.list()[0].show()",
    "tasks": "fractal.tasks.list()",
    "task": "fractal.tasks.get('Toy Parallel')",
    "images": "fractal.datasets.get('plate')",
    "resources": "fractal.resources.get('Local resource')",
}


@pytest.mark.parametrize("theme", THEMES)
def test_everything_can_be_read(open_page: OpenPage, fractal: Fractal, theme: str) -> None:
    """In both themes of VS Code; pictures to be looked at are in `test-output/vscode`."""
    if not AXE.exists():
        skip_for_machine("contrast in VS Code", "axe is not there: `make labextension`")
    fractal.submit("Toy Parallel", "plate", args={"behaviour": "raise", "only": "-2.zarr"}).wait(60)
    notebook = open_page(theme)
    notebook.start()
    begin(notebook, fractal)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, code in SHOWN.items():
        notebook.run(name, code)
        output = notebook.output(name)
        expect(output.locator(".fj1, .jupyter-widgets").first).to_be_visible()
        output.first.screenshot(path=PICTURES / f"{theme}-{name}.png")
    expect(notebook.output("monitor")).to_contain_text("Unit 2")
    notebook.page.add_script_tag(path=str(AXE))
    assert faint(notebook.page) == []


def faint(page: Page) -> list[str]:
    """What has a contrast of less than 3 to 1; the white on blue of ipywidgets' buttons has 3.1."""
    found: dict[str, Any] = page.evaluate("axe.run('#container', {runOnly: ['color-contrast']})")
    return [
        f"{node['html'][:150]} ({check['message']})"
        for rule in found["violations"]
        for node in rule["nodes"]
        for check in node["any"]
        if check["data"]["contrastRatio"] < 3
    ]

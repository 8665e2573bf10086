"""What the extension must reach, counted rather than timed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.labextension.conftest import LINKED
from tests.labextension.lab import view
from tests.slurm.fixtures import skip_for_machine

MOST_CLICKS = 6
MOST_BYTES = 300_000

COUNT = """
window.clicks = 0;
document.addEventListener('click', event => (window.clicks += event.isTrusted ? 1 : 0), true);
"""


@pytest.mark.slow
@pytest.mark.browser
def test_few_clicks_from_the_launcher_to_a_running_job(page: Page, fractal: Fractal) -> None:
    page.evaluate(f"() => {{ {COUNT} }}")
    page.locator(".jp-LauncherCard", has_text="Fractal Jobs and Tasks").click()
    page.get_by_role("region", name="Tasks").get_by_role("button", name="Toy Parallel").click()
    # where there are several datasets; Playwright opens no list, a person does: two clicks
    datasets = view(page).get_by_role("combobox", name="Dataset", exact=True)
    plate = datasets.locator("option").filter(has_text="plate").get_attribute("value")
    datasets.select_option(plate)
    before = len(fractal.jobs.list())
    view(page).get_by_role("button", name="Submit").click()
    expect(view(page).get_by_role("table", name="Steps")).to_be_visible()
    assert len(fractal.jobs.list()) == before + 1
    assert 3 <= page.evaluate("window.clicks") + 2 <= MOST_CLICKS
    fractal.jobs.list()[0].wait(60)


def test_the_javascript_is_small() -> None:
    if not LINKED.exists():
        skip_for_machine("the JupyterLab extension", "it is not built: `make labextension`")
    scripts = list((LINKED.parent / "static").rglob("*.js"))
    assert scripts
    assert sum(script.stat().st_size for script in scripts) < MOST_BYTES

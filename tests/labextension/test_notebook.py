"""The extension in Notebook 7, which has one document in its main area, and no launcher."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import PICTURES, TOKEN, RunningLab, view

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def run(page: Page, command: str) -> None:
    page.evaluate("name => { jupyterapp.commands.execute(name); }", command)


def test_jobs_in_notebook_7(browser: Browser, lab: RunningLab, fractal: Fractal) -> None:
    only = {"behaviour": "raise", "only": "2.zarr"}
    job = fractal.submit("Toy Parallel", "plate", args=only).wait(60)
    # a page of its own: Notebook 7 has errors without us
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error} {error.stack}"))
    page.goto(f"{lab.url}tree?token={TOKEN}")
    expect(page.locator(".jp-FileBrowser")).to_be_visible(timeout=60_000)
    page.wait_for_function("window.jupyterapp && jupyterapp.commands.hasCommand('fractal:open')")

    run(page, "fractal:show-panel")
    panel = page.get_by_role("region", name="Fractal", exact=True)
    expect(panel.get_by_role("region", name="Jobs")).to_contain_text(f"#{job.id} ")
    panel.get_by_role("button").filter(has_text="Needs File").first.click()
    expect(view(page).get_by_role("heading", level=1)).to_have_text("Needs File")

    run(page, "fractal:open-latest-job")
    expect(view(page).get_by_role("heading", level=1)).to_have_text("Toy Parallel")
    expect(view(page).get_by_role("status").first).to_have_text("failed")
    view(page).locator(".fj-table-row").first.click()
    expect(view(page).get_by_role("log")).to_contain_text("the toy is broken")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / "notebook.png")
    page.get_by_role("button", name="Close").locator("visible=true").click()
    expect(page.get_by_role("heading", name="Toy Parallel")).to_have_count(0)
    page.close()
    assert not [error for error in errors if "/fractal-jupyter/" in error]

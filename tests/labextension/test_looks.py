"""Every view, in both themes: what axe finds, and pictures in `test-output/labextension`."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import PICTURES, ROOT, show_panel, view

pytestmark = [pytest.mark.slow, pytest.mark.browser]

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


def findings(page: Page, *parts: str) -> list[str]:
    """What axe says of parts of the page; by default, of all of Fractal that is seen."""
    if page.evaluate("typeof axe") == "undefined":
        page.add_script_tag(path=str(AXE))
    shown = list(parts) or [".fj-panel", ".fj-view"]
    result: dict[str, Any] = page.evaluate("shown => axe.run({include: shown})", shown)
    return [
        f"{found['id']}: {node['html'][:200]} ({node['failureSummary']})"
        for found in result["violations"]
        for node in found["nodes"]
    ]


def open_rich_form(page: Page) -> None:
    tasks = show_panel(page).get_by_role("region", name="Tasks")
    tasks.get_by_role("button").filter(has_text="Rich").first.click()
    form = view(page)
    form.get_by_role("button", name="Set: sizes").click()
    form.get_by_role("button", name="Set: names").click()
    form.get_by_label("Name of a new entry of names").fill("first")
    form.get_by_role("button", name="Add: names").click()
    form.get_by_label("Kind of threshold").select_option("fixed")
    form.get_by_role("button", name="New dataset…").click()
    form.get_by_role("button", name="Submit").click()
    expect(form.locator(".fj-wrong").first).to_be_visible()


def open_failed_job(page: Page) -> None:
    show_panel(page).get_by_role("button").filter(has_text="failed").first.click()
    expect(view(page).get_by_role("status")).to_have_text("failed")
    view(page).locator(".fj-table-row").first.click()
    expect(view(page).get_by_role("log")).to_contain_text("Traceback")
    view(page).get_by_text("The cell that submits the same").first.click()
    view(page).get_by_role("button", name="Retry with…").click()
    view(page).get_by_label("cpus per task").fill("2")


def open_collection(page: Page) -> None:
    show_panel(page).get_by_role("button", name="Collect…").click()
    view(page).get_by_label("Package (required)").fill("/nowhere/tasks-1.0-py3-none-any.whl")
    view(page).get_by_role("button", name="Collect", exact=True).click()
    expect(view(page).get_by_role("alert").first).to_be_visible(timeout=60_000)


def open_resource(page: Page) -> None:
    show_panel(page).get_by_text("Resources and profiles").click()
    listed = page.get_by_role("list", name="Resources and profiles", exact=True)
    listed.get_by_role("button").first.click()
    view(page).get_by_role("button", name="Check").click()
    expect(view(page).get_by_role("region", name="Check")).to_contain_text("work", timeout=60_000)
    view(page).get_by_role("textbox", name="name (required)").fill("Changed")


def open_new_profile(page: Page) -> None:
    show_panel(page).get_by_role("button", name="Add profile…").click()
    view(page).get_by_role("button", name="Save").click()
    expect(view(page).locator(".fj-wrong", has_text="Found").first).to_be_visible()


def open_new_workflow(page: Page) -> None:
    show_panel(page).get_by_role("button", name="New workflow…").click()
    view(page).get_by_label("Name (required)").fill("Two steps")
    for task in ("Rich", "Needs File"):
        view(page).get_by_role("combobox", name="Task").select_option(label=task)
        view(page).get_by_role("button", name="Add step").click()
    view(page).get_by_text("Arguments").first.click()
    view(page).get_by_text("Memory, processors, time").last.click()


VIEWS = {
    "form": open_rich_form,
    "job": open_failed_job,
    "collect": open_collection,
    "resource": open_resource,
    "profile": open_new_profile,
    "workflow": open_new_workflow,
}


@pytest.mark.parametrize("theme", THEMES)
def test_anybody_can_read_it(page: Page, fractal: Fractal, theme: str) -> None:
    fractal.submit("Toy Parallel", "plate", args={"behaviour": "raise", "only": "2.zarr"}).wait(60)
    change = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
    page.evaluate(change, THEMES[theme])
    page.locator(f"body[data-jp-theme-name='{THEMES[theme]}']").wait_for(state="attached")
    PICTURES.mkdir(parents=True, exist_ok=True)
    found = []
    for name, show in VIEWS.items():
        show(page)
        page.evaluate("document.activeElement?.blur()")
        page.screenshot(path=PICTURES / f"{name}-{theme}.png")
        found += [f"{name}: {finding}" for finding in findings(page)]
    assert not found

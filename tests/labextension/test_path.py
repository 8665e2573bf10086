"""From the launcher to a finished job, in a real JupyterLab, without typing code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.environments.packages import make_task_wheel
from tests.labextension.lab import show_panel, view, wait_for_lab
from tests.labextension.tasks import HOSTILE

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def open_task(page: Page, name: str) -> None:
    tasks = show_panel(page).get_by_role("region", name="Tasks")
    tasks.get_by_role("button").filter(has_text=name).first.click()
    expect(view(page).get_by_role("heading", level=1)).to_have_text(name)


def log_of_first_unit(page: Page) -> str:
    """The log of the unit that stands first in the table."""
    view(page).locator(".fj-table-row").first.click()
    log = view(page).get_by_role("log")
    expect(log).to_have_attribute("aria-busy", "false")
    return log.text_content() or ""


def test_from_the_launcher_to_a_finished_job(page: Page, fractal: Fractal, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    open_task(page, "Needs File")
    view(page).get_by_label("Needs").fill(str(missing))
    view(page).get_by_role("button", name="Plan").click()
    expect(view(page).get_by_role("status")).to_contain_text("Needs File on 4 images: 4 units")
    view(page).get_by_role("button", name="Submit").click()

    state = view(page).get_by_role("status")
    expect(state).to_have_text("failed", timeout=60_000)
    assert f"there is no {missing}" in log_of_first_unit(page)
    # what has failed is told, and can be opened from there
    notification = page.locator(".Toastify__toast", has_text="Needs File: failed")
    expect(notification.first).to_be_visible()

    missing.touch()
    view(page).get_by_role("button", name="Retry", exact=True).click()
    expect(state).to_have_text("done", timeout=60_000)
    expect(view(page)).to_contain_text("4 of 4 units")
    (job, *_) = fractal.jobs.list()
    assert job.status == "done"

    view(page).get_by_text("The cell that submits the same").first.click()
    code = view(page).locator(".fj-code pre").text_content() or ""
    compile(code, "cell", "exec")
    assert "fractal.submit(" in code
    assert str(missing) in code


def test_a_running_job_is_followed_and_cancelled(page: Page, fractal: Fractal) -> None:
    panel = show_panel(page)
    job = fractal.submit("Needs File", "plate", args={"wait": True, "say": "so far"})
    row = (
        panel.get_by_role("region", name="Jobs")
        .get_by_role("button")
        .filter(has_text=f"#{job.id} ")
    )
    expect(row).to_contain_text("running", timeout=30_000)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Fractal: 1 job, 0 %")
    row.click()
    running = view(page).locator(".fj-table-row", has_text="running").first
    running.click()
    expect(view(page).get_by_role("log")).to_contain_text("so far")
    view(page).get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Let it run")).to_be_focused()
    page.get_by_role("button", name="Cancel the job").click()
    expect(view(page).get_by_role("status")).to_have_text("cancelled", timeout=60_000)
    expect(page.locator("#jp-main-statusbar")).not_to_contain_text("Fractal:")


def test_what_is_filled_in_is_what_the_task_gets(page: Page) -> None:
    open_task(page, "Rich")
    form = view(page)
    form.get_by_label("Label").fill("x")
    form.get_by_role("button", name="Submit").click()
    expect(form.locator(".fj-wrong")).to_contain_text("at least 2 characters")

    form.get_by_label("Label").fill("DAPI")
    form.get_by_label("projection").select_option("mean")
    form.get_by_role("button", name="Set: sizes").click()
    form.get_by_role("button", name="Add: sizes").click()
    form.get_by_role("group", name="sizes").get_by_role("textbox").nth(2).fill("7")
    form.get_by_role("button", name="Remove: sizes 1").click()
    form.get_by_role("button", name="Set: names").click()
    form.get_by_label("Name of a new entry of names").fill("a b")
    form.get_by_role("button", name="Add: names").click()
    form.get_by_label("a b", exact=True).fill("c")
    form.get_by_label("Kind of threshold").select_option("fixed")
    form.get_by_label("level (required)").fill("0.5")
    form.get_by_role("checkbox", name="none").check()
    form.get_by_role("button", name="Submit").click()

    expect(view(page).get_by_role("status")).to_have_text("done", timeout=60_000)
    given = json.loads(log_of_first_unit(page).strip().splitlines()[-1])
    del given["zarr_url"]
    assert given == {
        "channel": {"label": "DAPI"},
        "projection": "mean",
        "sizes": [3, 7],
        "names": {"a b": "c"},
        "threshold": {"method": "fixed", "level": 0.5},
        "level": None,
    }


def test_text_from_outside_is_text(page: Page) -> None:
    open_task(page, HOSTILE)
    view(page).get_by_label("say").fill(f"{HOSTILE} \u202e")
    view(page).get_by_label("Needs").fill(f"/{HOSTILE}")
    view(page).get_by_role("button", name="Submit").click()
    expect(view(page).get_by_role("status")).to_have_text("failed", timeout=60_000)
    assert HOSTILE in log_of_first_unit(page)
    expect(page.locator(".Toastify__toast", has_text="failed").first).to_contain_text(HOSTILE)
    open_task(page, "Rich")
    expect(view(page)).to_contain_text(f"Where to look. {HOSTILE}")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_a_package_is_collected_and_views_survive_a_reload(page: Page, tmp_path: Path) -> None:
    wheel = make_task_wheel(tmp_path, "browsed-tasks", "1.0")
    show_panel(page).get_by_role("button", name="Collect…").click()
    view(page).get_by_label("Package (required)").fill(str(wheel))
    view(page).get_by_role("button", name="Collect", exact=True).click()
    expect(view(page).get_by_role("log")).to_contain_text("Installing")
    expect(view(page).get_by_role("region").get_by_role("status")).to_have_text(
        "done", timeout=120_000
    )
    expect(show_panel(page)).to_contain_text("browsed-tasks 1.0")

    # JupyterLab keeps its layout a moment after it has changed
    with page.expect_response(lambda it: "api/workspaces" in it.url and it.request.method == "PUT"):
        open_task(page, "Needs File")
    page.reload()
    wait_for_lab(page)
    expect(show_panel(page)).to_be_visible()
    expect(view(page).get_by_role("heading", level=1)).to_have_text("Needs File")
    page.get_by_role("tab", name="Collect tasks").click()
    expect(view(page).get_by_role("region").get_by_role("status")).to_have_text("done")


def test_a_dataset_is_made_from_the_form(page: Page, fractal: Fractal, tmp_path: Path) -> None:
    open_task(page, "Needs File")
    view(page).get_by_role("button", name="New dataset…").click()
    view(page).get_by_label("Name (required)").fill("fresh")
    view(page).get_by_label("Folder of the images (required)").fill("nowhere")
    view(page).get_by_role("button", name="Add dataset").click()
    expect(view(page).get_by_role("alert").first).to_be_visible()
    view(page).get_by_label("Folder of the images (required)").fill(str(tmp_path))
    view(page).get_by_role("button", name="Add dataset").click()
    chooser = view(page).get_by_role("combobox", name="Dataset", exact=True)
    expect(chooser).to_contain_text("fresh (0 images)")
    assert fractal.datasets.get("fresh").zarr_dir == str(tmp_path)

"""The view of a job: its timeline, and a retry with other needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import open_job, view, wait_for_lab

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_the_timeline_leads_to_units(page: Page, fractal: Fractal) -> None:
    only = {"behaviour": "raise", "only": "2.zarr"}
    job = fractal.submit("Toy Parallel", "plate", args=only).wait(60)
    open_job(page, job.id)
    legend = view(page).get_by_role("list", name="Colours and patterns")
    expect(legend).to_contain_text("failed (1)")
    expect(legend).to_contain_text("done (3)")
    # by keyboard
    timeline = view(page).get_by_role("slider", name="Units over time")
    timeline.focus()
    page.keyboard.press("ArrowRight")
    words = timeline.get_attribute("aria-valuetext") or ""
    assert words.startswith("Unit 0 · done · Toy Parallel · began after 0 ms · took ")
    page.keyboard.press("Enter")
    expect(view(page).get_by_role("heading", name="Log of unit 0")).to_be_visible()
    selected = view(page).get_by_role("grid").get_by_role("row", selected=True)
    expect(selected).to_contain_text("/data/plate-0.zarr")
    # by mouse
    failed = timeline.locator("path[data-status='failed']")
    failed.hover()
    expect(view(page).locator(".fj-timeline-words")).to_contain_text("Unit 2 · failed")
    failed.click()
    expect(selected).to_contain_text("/data/plate-2.zarr")
    expect(view(page).get_by_role("log")).to_contain_text("the toy is broken")


def test_what_runs_is_counted_on(page: Page, fractal: Fractal) -> None:
    job = fractal.submit("Needs File", "plate", args={"wait": True, "say": "so far"})
    page.set_viewport_size({"width": 1000, "height": 700})
    open_job(page, job.id)
    running = view(page).get_by_role("grid").get_by_role("row").filter(has_text="running").first
    log = view(page).get_by_role("log")
    # JupyterLab keeps its layout a moment after it has changed
    with page.expect_response(lambda it: "api/workspaces" in it.url and it.request.method == "PUT"):
        running.click()
    expect(running).to_be_in_viewport()
    expect(log).to_contain_text("so far")
    expect(log).to_be_in_viewport()
    # what comes with the first unit that is done has its place; errors have one when there are some
    titles = view(page).get_by_role("grid").get_by_role("columnheader")
    expect(titles).to_have_text(["Unit", "Status", "Image", "Time", "Memory", "Node"])

    # nobody tells of anything now; the browser's clock may be wrong
    page.add_init_script("const right = Date.now; Date.now = () => right() + 3_600_000;")
    for again in (False, True):
        if again:
            page.reload()
            wait_for_lab(page)
            expect(log).to_contain_text("so far")
        steps = view(page).get_by_role("table", name="Steps").get_by_role("row")
        for clock in (running.get_by_role("gridcell").nth(3), steps.last.get_by_role("cell").last):
            expect(clock).to_have_text(re.compile(r"^\d+ s$"))
            expect(clock).not_to_have_text(clock.text_content() or "")
    job.cancel()
    expect(view(page).get_by_role("status").first).to_have_text("cancelled", timeout=60_000)


def test_retry_with_other_needs(page: Page, fractal: Fractal, tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    job = fractal.submit("Needs File", "plate", args={"needs": str(needed)}).wait(60)
    assert job.status == "failed"
    needed.touch()
    open_job(page, job.id)
    view(page).get_by_role("button", name="Retry with…").click()
    asked = view(page).get_by_role("region", name="Retry with")
    again = asked.get_by_role("button", name="Retry with these")
    expect(again).to_be_disabled()
    asked.get_by_label("cpus per task").fill("0")
    again.click()
    expect(asked.locator(".fj-wrong")).to_contain_text("Found 0")
    asked.get_by_label("cpus per task").fill("2")
    again.click()
    expect(view(page).get_by_role("status").first).to_have_text("done", timeout=60_000)
    expect(asked).to_have_count(0)
    (step,) = job.steps
    assert step.request["meta_parallel"]["cpus_per_task"] == 2

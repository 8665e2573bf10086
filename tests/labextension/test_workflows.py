"""A workflow is made of tasks, saved, changed, and submitted."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import show_panel, view

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def add_step(page: Page, task: str) -> None:
    view(page).get_by_role("combobox", name="Task").select_option(label=task)
    view(page).get_by_role("button", name="Add step").click()


def test_a_workflow_from_its_first_step_to_its_job(
    page: Page, fractal: Fractal, tmp_path: Path
) -> None:
    needed = tmp_path / "needed"
    show_panel(page).get_by_role("button", name="New workflow…").click()
    form = view(page)
    form.get_by_label("Name (required)").fill("In a row")
    for task in ("Toy Parallel", "Toy Summary", "Needs File"):
        add_step(page, task)
    form.get_by_role("button", name="Move up: step 2, Needs File").click()
    # who goes by keyboard stays where it was
    expect(form.get_by_role("button", name="Move up: step 1, Needs File")).to_be_focused()
    page.keyboard.press("Enter")
    expect(form.get_by_role("listitem").filter(has_text="0: Needs File")).to_be_focused()
    form.get_by_role("button", name="Move down: step 0, Needs File").focus()
    page.keyboard.press("Enter")
    expect(form.get_by_role("button", name="Move down: step 1, Needs File")).to_be_focused()
    form.get_by_role("button", name="Remove: step 2, Toy Summary").click()
    form.get_by_text("Arguments").nth(1).click()
    form.get_by_label("Needs", exact=True).fill(str(needed))
    form.get_by_text("Memory, processors, time").nth(1).click()
    memory = form.get_by_label("mem", exact=True).nth(1)
    memory.fill("200")
    expect(form.get_by_text("Save it first.")).to_be_visible()
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("heading", level=1)).to_have_text("In a row")
    toy, needs = fractal.workflows.get("In a row").steps
    assert toy == {"task": "Toy Parallel", "package": "toy-tasks", "version": "1.0"}
    assert needs["task"] == "Needs File"
    assert needs["args_parallel"] == {"needs": str(needed)}
    assert needs["meta"] == {"mem": 200}
    listed = show_panel(page).get_by_role("region", name="Workflows")
    expect(listed).to_contain_text("Toy Parallel → Needs File")

    # what the server refuses stands at its field
    memory.fill("plenty")
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".fj-wrong").first).to_contain_text("Found 'plenty'")
    memory.fill("200")

    datasets = form.get_by_role("combobox", name="Dataset", exact=True)
    plate = datasets.locator("option").filter(has_text="plate").get_attribute("value")
    datasets.select_option(plate)
    form.get_by_role("button", name="Plan").click()
    plan = form.get_by_role("status", name="Plan")
    expect(plan).to_contain_text("Toy Parallel on 4 images: 4 units")
    needed.touch()
    form.get_by_role("button", name="Submit").click()
    expect(view(page).get_by_role("table", name="Steps")).to_contain_text("1: Needs File")
    expect(view(page).get_by_role("status").first).to_have_text("done", timeout=60_000)
    fractal.workflows.remove("In a row")


def test_a_workflow_of_a_notebook_is_changed(page: Page, fractal: Fractal) -> None:
    args = {"needs": "/one", "say": "a word"}
    fractal.workflows.create("Of code", steps=[{"task": "Needs File", "args": args}])
    show_panel(page).get_by_role("button").filter(has_text="Of code").click()
    form = view(page)
    form.get_by_text("Arguments").first.click()
    expect(form.get_by_label("say", exact=True)).to_have_value("a word")
    form.get_by_label("say", exact=True).fill("another")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Not saved yet.")).to_have_count(0)
    (step,) = fractal.workflows.get("Of code").steps
    assert step == {"task": "Needs File", "args_parallel": {**args, "say": "another"}}

    form.get_by_role("button", name="Remove…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator(".lm-TabBar-tabLabel", has_text="Of code")).to_have_count(0)
    assert "Of code" not in [workflow.name for workflow in fractal.workflows.list()]

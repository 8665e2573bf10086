"""Newer versions of tasks: they are told in workflows, what no longer fits is mended in place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from fractal_jupyter import Fractal
from tests.client.test_updating import IMPORT, add_core
from tests.labextension.lab import PICTURES, show_panel, view
from tests.labextension.test_looks import THEMES, findings

pytestmark = [pytest.mark.slow, pytest.mark.browser]

MINE = {**IMPORT, "args": {"zarr_name": "plate.zarr", "overwrite": True, "grid_y_shape": 3}}


@pytest.fixture(scope="module", autouse=True)
def _two_versions(fractal: Fractal) -> None:
    for version in ("2.0.2", "2.1.0"):
        add_core(fractal, version)


@pytest.fixture
def workflow(fractal: Fractal) -> Iterator[str]:
    name = "Import and project"
    fractal.workflows.create(name, steps=[{"task": "Project Image", "version": "2.1.0"}, MINE])
    yield name
    fractal.workflows.remove(name)


def open_workflow(page: Page, name: str) -> Locator:
    show_panel(page).get_by_role("button").filter(has_text=name).click()
    return view(page)


def use_theme(page: Page, theme: str) -> None:
    change = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
    page.evaluate(change, THEMES[theme])
    page.locator(f"body[data-jp-theme-name='{THEMES[theme]}']").wait_for(state="attached")


def update_of(form: Locator) -> Locator:
    return form.get_by_role("region", name="Newer version: step 1, Import OME-Zarr")


def test_a_step_is_updated_and_mended(page: Page, fractal: Fractal, workflow: str) -> None:
    form = open_workflow(page, workflow)
    newer = update_of(form)
    expect(newer).to_contain_text(
        "Version 2.1.0 is collected. 2 things in this step would not fit."
    )
    newer.get_by_role("button", name="Update to 2.1.0: step 1").click()
    told = newer.get_by_role("list", name="What no longer fits")
    expect(told.get_by_role("listitem")).to_have_count(2)
    expect(told).to_contain_text("it belongs in `advanced_options.grid_roi_table.grid_y_shape`")
    # what fits is there already, and what it has said elsewhere can be said again
    expect(newer.get_by_label("Zarr Name (required)")).to_have_value("plate.zarr")
    update = newer.get_by_role("button", name="Update to 2.1.0", exact=True)
    expect(update).to_be_enabled()
    newer.get_by_label("Zarr Name (required)").fill("")
    expect(newer.get_by_text("1 thing left to change.")).to_be_visible()
    expect(newer.locator(".fj-wrong")).to_contain_text("required")
    expect(update).to_be_disabled()
    newer.get_by_label("Zarr Name (required)").fill("other.zarr")
    newer.get_by_role("button", name="Set: advanced_options").click()
    newer.get_by_label("Overwrite").select_option("true")
    update.click()
    expect(newer).to_have_count(0)
    step = fractal.workflows.get(workflow).steps[1]
    assert step["version"] == "2.1.0"
    assert step["args_non_parallel"]["zarr_name"] == "other.zarr"
    assert step["args_non_parallel"]["advanced_options"]["overwrite"] is True
    expect(form).to_contain_text("1: Import OME-Zarr fractal-tasks-core 2.1.0")
    expect(form.get_by_text("Not saved yet.")).to_have_count(0)


@pytest.mark.parametrize("theme", THEMES)
def test_an_older_version_is_chosen(page: Page, fractal: Fractal, theme: str) -> None:
    use_theme(page, theme)
    name = f"Import newly, {theme}"
    arguments = {"zarr_name": "plate.zarr", "advanced_options": {"overwrite": True}}
    step = {"task": "Import OME-Zarr", "version": "2.1.0", "args": arguments}
    fractal.workflows.create(name, steps=[step])
    form = open_workflow(page, name)
    others = form.get_by_role("region", name="Other versions: step 0, Import OME-Zarr")
    choice = others.get_by_label("Other version")
    expect(choice.locator("option")).to_have_text(["choose …", "2.0.2"])
    choice.select_option("2.0.2")
    expect(others).to_contain_text("1 thing in this step would not fit.")
    told = others.get_by_role("list", name="What no longer fits")
    expect(told).to_contain_text("advanced_options")
    update = others.get_by_role("button", name="Update to 2.0.2", exact=True)
    expect(update).to_be_enabled()
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"update-other-{theme}.png")
    assert not findings(page)
    assert fractal.workflows.get(name).steps[0] == step
    update.click()
    newer = form.get_by_role("region", name="Newer version: step 0, Import OME-Zarr")
    expect(newer).to_contain_text("Version 2.1.0 is collected.")
    expect(others).to_have_count(0)
    now = fractal.workflows.get(name).steps[0]
    assert (now["version"], now["args_non_parallel"]) == ("2.0.2", {"zarr_name": "plate.zarr"})
    fractal.workflows.remove(name)


def test_what_is_not_saved_comes_first(page: Page, fractal: Fractal, workflow: str) -> None:
    form = open_workflow(page, workflow)
    update = update_of(form).get_by_role("button", name="Update to 2.1.0: step 1")
    expect(update).to_be_enabled()
    form.get_by_role("button", name="Remove: step 0, Project Image").click()
    expect(form.get_by_role("button", name="Update to 2.1.0")).to_be_disabled()


def test_others_have_changed_the_step(page: Page, fractal: Fractal, workflow: str) -> None:
    form = open_workflow(page, workflow)
    newer = update_of(form)
    newer.get_by_role("button", name="Update to 2.1.0: step 1").click()
    fractal.workflows.get(workflow).update_task(1, version="2.1.0", args={"zarr_name": "theirs"})
    # what they have made of it is shown by itself
    expect(newer).to_have_count(0)
    expect(form).to_contain_text("1: Import OME-Zarr fractal-tasks-core 2.1.0")


def test_tasks_are_found_by_words(page: Page) -> None:
    tasks = show_panel(page).get_by_role("region", name="Tasks")
    tasks.get_by_label("Find a task").fill("IMAGE proj")
    found = tasks.get_by_role("list", name="Tasks that were found").get_by_role("button")
    expect(found.first).to_contain_text("Project Image")
    expect(found.first).to_contain_text("fractal-tasks-core 2.1.0")
    tasks.get_by_label("Find a task").fill("nothing of the kind")
    expect(tasks.get_by_text("No task has all these words.")).to_be_visible()
    tasks.get_by_label("Find a task").fill("import ome zarr")
    expect(found).to_have_count(2)
    found.first.click()
    about = view(page).get_by_label("About this task")
    expect(about).to_contain_text("converter non parallel")
    expect(about).to_contain_text("2D, 3D")
    about.get_by_role("button", name="2.0.2").click()
    expect(view(page).get_by_role("button", name="2.1.0")).to_be_visible()
    expect(view(page)).to_contain_text("fractal-tasks-core · 2.0.2")
    tasks.get_by_label("Find a task").fill("")
    expect(tasks.get_by_role("list", name="Tasks of fractal-tasks-core 2.1.0")).to_be_visible()


@pytest.mark.parametrize("theme", THEMES)
def test_anybody_can_read_it(page: Page, workflow: str, theme: str) -> None:
    use_theme(page, theme)
    PICTURES.mkdir(parents=True, exist_ok=True)
    form = open_workflow(page, workflow)
    update_of(form).get_by_role("button", name="Update to 2.1.0: step 1").click()
    update_of(form).get_by_label("Zarr Name (required)").fill("")
    expect(update_of(form).locator(".fj-wrong").first).to_be_visible()
    page.screenshot(path=PICTURES / f"update-{theme}.png")
    found = findings(page)
    show_panel(page).get_by_label("Find a task").fill("import ome")
    listed = show_panel(page).get_by_role("list", name="Tasks that were found")
    listed.get_by_role("button").first.click()
    expect(view(page).get_by_label("About this task")).to_be_visible()
    page.screenshot(path=PICTURES / f"task-{theme}.png")
    assert not [*found, *findings(page)]

"""Forms: datasets beside them, what appears below them, and where they are narrow."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Locator, Page, expect

from fractal_jupyter import Fractal
from fractal_jupyter.environments.lock import Distribution, Lock
from fractal_jupyter.store.tables import task_groups, tasks
from tests.labextension.lab import TOKEN, RunningLab, show_panel, view, wait_for_lab
from tests.labextension.tasks import PLAIN
from tests.labextension.test_looks import findings
from tests.toy import add_task_group
from tests.worker.ome_zarr import image_metadata, write_array, write_group

pytestmark = [pytest.mark.slow, pytest.mark.browser]

LONG = "Says all of what it does to images of every kind, and of what comes out of them then"


@pytest.fixture(scope="module")
def long_task(fractal: Fractal) -> int:
    """The id of a task with a long name, in a task group with a long name and many packages."""
    package = "tasks-with-a-long-name-of-a-package"
    entry = {
        "name": LONG,
        "type": "parallel",
        "executable_parallel": "task.py",
        "docs_info": "Writes `zarr_url`, **at most** once.",
        "tags": ["segmentation", "registration", "everything"],
        "args_schema_parallel": PLAIN,
    }
    for version in ("1.0", "2.0"):
        folder = f"/nowhere/{version}"
        add_task_group(fractal._store, [entry], package=package, folder=folder, version=version)
    installed = tuple(Distribution(f"package-{i:02}", f"1.{i}") for i in range(90))
    lock = Lock("3.11.7", "linux", installed).to_document()
    ours = task_groups.c.package == package
    with fractal._store.database.write() as connection:
        connection.execute(sa.update(task_groups).where(ours).values(lock=lock))
        key = (
            connection.execute(sa.select(tasks.c.id).where(tasks.c.name == LONG)).scalars().first()
        )
    assert isinstance(key, int)
    return key


def go(page: Page, kind: str, key: int | None = None) -> Locator:
    page.evaluate(
        "view => { jupyterapp.commands.execute('fractal:open', view); }",
        {"view": kind} if key is None else {"view": kind, "id": key},
    )
    expect(view(page).get_by_role("heading", level=1)).to_be_visible(timeout=30_000)
    return view(page)


def open_task(page: Page, name: str) -> Locator:
    region = show_panel(page).get_by_role("region", name="Tasks")
    region.get_by_role("button").filter(has_text=name).first.click()
    expect(view(page).get_by_role("heading", level=1)).to_have_text(name)
    return view(page)


def fits(page: Page) -> bool:
    """Whether nothing of the view in front stands beyond its right edge."""
    return bool(
        page.evaluate(
            "() => [...document.querySelectorAll('.fj-view')].filter(it => it.offsetParent)"
            ".every(it => it.parentElement.scrollWidth <= it.parentElement.clientWidth)"
        )
    )


def test_a_dataset_whose_folder_was_wrong_is_mended(
    page: Page, fractal: Fractal, tmp_path: Path
) -> None:
    form = open_task(page, "Needs File")
    folder = tmp_path / "later"
    form.get_by_role("button", name="New dataset…").click()
    form.get_by_label("Name (required)").fill("mended")
    path = form.get_by_label("Folder of the images (required)")
    path.fill("nowhere")
    form.get_by_role("button", name="Add dataset").click()
    # what is wrong is said at its field
    field = form.locator(".fj-field", has=page.get_by_label("Folder of the images (required)"))
    expect(field.get_by_role("alert")).to_contain_text("absolute path")
    expect(form.get_by_role("alert")).to_have_count(1)
    path.fill(str(folder))
    form.get_by_role("button", name="Add dataset").click()
    looked = form.get_by_role("region", name="Images in the folder")
    expect(looked.get_by_role("alert")).to_contain_text(f"Cannot scan {folder}", timeout=30_000)
    expect(looked.get_by_role("status")).to_have_text("No images were added.")
    assert not findings(page)

    write_group(folder / "one.zarr", image_metadata())
    write_array(folder / "one.zarr" / "0", (1, 1, 8, 8))
    form.get_by_role("button", name="Look again").click()
    expect(looked.get_by_role("status")).to_have_text("1 image found, 1 added.", timeout=30_000)
    chooser = form.get_by_role("combobox", name="Dataset", exact=True)
    expect(chooser).to_contain_text("mended (1 image)")
    form.get_by_role("button", name="Look again").click()
    expect(looked.get_by_role("status")).to_have_text("1 image found, none added.", timeout=30_000)

    form.get_by_role("button", name="Remove dataset…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    form.get_by_role("button", name="Remove dataset…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(chooser).not_to_contain_text("mended")
    assert "mended" not in [dataset.name for dataset in fractal.datasets.list()]
    assert (folder / "one.zarr").exists()


def test_a_dataset_that_jobs_need_stays_and_says_so(page: Page, fractal: Fractal) -> None:
    fractal.submit("Toy Parallel", "plate", args={"seconds": 0}).wait(60)
    form = open_task(page, "Needs File")
    chooser = form.get_by_role("combobox", name="Dataset", exact=True)
    plate = chooser.locator("option").filter(has_text="plate").get_attribute("value")
    chooser.select_option(plate)
    form.get_by_role("button", name="Remove dataset…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(form.get_by_role("alert")).to_contain_text("job")
    expect(chooser).to_have_value(str(plate))


def test_what_appears_below_is_brought_into_sight(page: Page, fractal: Fractal) -> None:
    page.set_viewport_size({"width": 1000, "height": 500})
    form = open_task(page, "Needs File")
    chooser = form.get_by_role("combobox", name="Dataset", exact=True)
    plate = chooser.locator("option").filter(has_text="plate").get_attribute("value")
    chooser.select_option(plate)
    button = form.get_by_role("button", name="Plan")
    button.focus()
    page.keyboard.press("Enter")
    expect(form.get_by_role("status", name="Plan")).to_be_in_viewport(ratio=1)
    expect(button).to_be_focused()


def test_nothing_is_cut_where_it_is_narrow(
    page: Page, browser: Browser, lab: RunningLab, fractal: Fractal, long_task: int
) -> None:
    def check(where: Page) -> None:
        form = go(where, "task", long_task)
        expect(form.locator(".fj-head code")).to_have_text("zarr_url")
        chooser = form.get_by_role("combobox", name="Dataset", exact=True)
        chooser.select_option(index=1)
        assert fits(where)
        form = go(where, "workflow")
        expect(form.get_by_role("combobox", name="Task")).to_contain_text("name-of-a-package 2.0")
        chosen = f"{LONG} (tasks-with-a-long-name-of-a-package 2.0)"
        form.get_by_role("combobox", name="Task").select_option(label=chosen)
        form.get_by_role("button", name="Add step").click()
        assert fits(where)
        # labels are words, not letters
        assert all(
            label.bounding_box()["height"] < 80  # type: ignore[index]
            for label in form.locator(".fj-choice").all()
        )
        go(where, "collect")
        assert fits(where)

    page.set_viewport_size({"width": 1000, "height": 700})
    check(page)
    # a page of its own: Notebook 7 has errors without us
    other = browser.new_page(viewport={"width": 1400, "height": 900})
    other.goto(f"{lab.url}tree?token={TOKEN}")
    other.wait_for_function("window.jupyterapp && jupyterapp.commands.hasCommand('fractal:open')")
    check(other)
    other.close()


def test_all_that_is_installed_can_be_reached(page: Page, fractal: Fractal, long_task: int) -> None:
    group = fractal.task_groups.list()[-1]
    shown = go(page, "task_group", group.id)
    box = shown.locator(".fj-freeze")
    expect(box.get_by_role("listitem")).to_have_count(90)
    assert box.evaluate("it => it.scrollWidth <= it.clientWidth")
    box.get_by_text("package-89==1.89").scroll_into_view_if_needed()
    expect(box.get_by_text("package-89==1.89")).to_be_in_viewport()
    assert not findings(page)
    fractal._store.task_groups.deactivate(group.id)
    expect(shown.get_by_role("region", name="What was installed")).to_be_visible(timeout=10_000)
    about = shown.get_by_label("About this task group")
    expect(about).to_contain_text("Was in the folder")
    assert not findings(page)


def test_save_stays_where_it_is(page: Page, fractal: Fractal) -> None:
    show_panel(page)
    form = go(page, "workflow")
    form.get_by_label("Name (required)").fill("Stays there")
    form.get_by_role("combobox", name="Task").select_option(label="Toy Parallel")
    form.get_by_role("button", name="Add step").click()
    save = form.get_by_role("button", name="Save")
    before = save.bounding_box()
    save.click()
    expect(form.get_by_role("button", name="Remove…")).to_be_visible()
    assert save.bounding_box() == before
    fractal.workflows.remove("Stays there")


def test_what_is_collected_is_there_after_a_reload(page: Page) -> None:
    show_panel(page).get_by_role("button", name="Collect…").click()
    form = view(page)
    # JupyterLab keeps its layout a moment after it has changed
    with page.expect_response(lambda it: "api/workspaces" in it.url and it.request.method == "PUT"):
        form.get_by_label("Kind").select_option(label="Wheel file")
        form.get_by_label("Wheel (required)").fill("/nowhere/tasks-1.0-py3-none-any.whl")
    page.reload()
    wait_for_lab(page)
    expect(view(page).get_by_label("Wheel (required)")).to_have_value(
        "/nowhere/tasks-1.0-py3-none-any.whl"
    )

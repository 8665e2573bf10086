"""Task groups through their whole life, where people look and click."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Download, Locator, Page, expect

from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from tests.environments.packages import MANIFEST, make_task_wheel
from tests.environments.test_pixi import Bench
from tests.labextension.lab import PICTURES, show_panel, view
from tests.labextension.test_looks import THEMES, findings
from tests.toy import add_task_group

pytestmark = [pytest.mark.long, pytest.mark.browser]

SLOW_BACKEND = """
import pathlib, time

def get_requires_for_build_editable(config_settings=None):
    print("waiting for the gate", flush=True)
    gate = pathlib.Path(__file__).with_name("gate")
    while not gate.exists():
        time.sleep(0.05)
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    raise SystemExit("this source cannot be built")
"""


@pytest.fixture
def group(fractal: Fractal, tmp_path: Path) -> Iterator[TaskGroup]:
    """A task group that was collected from a wheel."""
    name = "lively-tasks"
    group = fractal.collect(make_task_wheel(tmp_path / "wheels", name, "1.0"))
    yield group
    for left in fractal.task_groups.list():
        if left.package == name:
            left.delete()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source folder whose installation takes until its gate is there, and then fails."""
    root = tmp_path / "source"
    (root / "stuck_tasks").mkdir(parents=True)
    (root / "stuck_tasks" / "__init__.py").touch()
    (root / "stuck_tasks" / MANIFEST).write_text('{"manifest_version": "2", "task_list": []}')
    (root / "backend.py").write_text(SLOW_BACKEND)
    (root / "pyproject.toml").write_text(
        '[project]\nname = "stuck-tasks"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return root


def row_of(page: Page, name: str) -> Locator:
    groups = show_panel(page).get_by_role("list", name="Task groups", exact=True)
    return groups.locator(".fj-package", has_text=name)


def choose(page: Page, name: str, action: str) -> None:
    """Choose from the menu of a task group in the panel."""
    row_of(page, name).get_by_role("button", name=f"More: {name}").click()
    page.get_by_role("menu").get_by_text(action, exact=True).click()


def open_group(page: Page, group: TaskGroup) -> Locator:
    choose(page, f"{group.package} {group.version}", "Open")
    expect(view(page).get_by_role("heading", level=1)).to_have_text("lively-tasks 1.0")
    return view(page)


def open_form(page: Page, kind: str) -> Locator:
    show_panel(page).get_by_role("button", name="Collect…").click()
    view(page).get_by_label("Kind").select_option(label=kind)
    return view(page)


def test_a_whole_life_in_the_panel(page: Page, fractal: Fractal, group: TaskGroup) -> None:
    name = "lively-tasks 1.0"
    row = row_of(page, name)
    expect(row).to_contain_text(f"Python {group.python_version} · wheel · ")
    expect(row.get_by_role("button", name="Do it")).to_be_visible()
    choose(page, name, "Deactivate")
    expect(row.get_by_text("deactivated", exact=True)).to_be_visible(timeout=60_000)
    expect(row.get_by_role("button", name="Do it")).to_have_count(0)
    assert not Path(group.folder).exists()

    # by keyboard
    row.get_by_role("button", name=f"More: {name}").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(row.get_by_role("button", name="Do it")).to_be_visible(timeout=60_000)
    assert group.active
    row.get_by_role("button", name=f"More: {name}").click()
    page.keyboard.press("Escape")
    expect(row.get_by_role("button", name=f"More: {name}")).to_be_focused()

    # who uses it is said where it is
    fractal.workflows.create("keeps it", steps=[{"task": "Do it", "package": "lively-tasks"}])
    choose(page, name, "Delete…")
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("of the disk")
    asked.get_by_role("button", name="Delete").click()
    expect(row.get_by_role("alert")).to_contain_text("is used by the workflow 'keeps it'")
    fractal.workflows.remove("keeps it")

    downloads: list[Download] = []
    page.on("download", lambda download: downloads.append(download))
    with page.expect_event("download", lambda _: len(downloads) == 2):
        choose(page, name, "Export lock file")
    lock, wheel = downloads
    assert lock.suggested_filename == "lively-tasks-1.0.lock"
    assert f"# wheel: {wheel.suggested_filename} " in lock.path().read_text()
    assert zipfile.is_zipfile(wheel.path())

    row.locator("summary").click(button="right")
    page.get_by_role("menu").get_by_text("Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0, timeout=60_000)
    assert "lively-tasks" not in [each.package for each in fractal.task_groups.list()]


def test_the_view_of_a_task_group(page: Page, fractal: Fractal, group: TaskGroup) -> None:
    shown = open_group(page, group)
    about = shown.get_by_label("About this task group")
    for text in (group.folder, "wheel", "by no job yet", str(group.python), "Local resource"):
        expect(about).to_contain_text(text)
    installed = shown.get_by_role("region", name="What is installed")
    expect(installed.get_by_role("list")).to_contain_text("lively-tasks")
    installed.get_by_label("Find an installed package").fill("nothing of the kind")
    expect(installed.get_by_role("status")).to_have_text(re.compile(r"^0 of \d packages$"))
    done = shown.get_by_role("region", name="What was done to it")
    done.get_by_text("Collect").first.click()
    expect(done.get_by_role("log")).to_contain_text("Installing")

    # what others do is seen at once
    group.deactivate()
    status = shown.locator(".fj-head").get_by_role("status")
    expect(status).to_have_text("deactivated", timeout=10_000)
    expect(shown).to_contain_text("Reactivate builds exactly that again")
    shown.get_by_role("button", name="Reactivate").click()
    expect(status).to_have_text("active", timeout=60_000)
    expect(done.locator("details")).to_have_count(3)
    tasks = shown.get_by_role("region", name="Tasks of this task group")
    tasks.get_by_role("button", name="Do it").click()
    view(page).get_by_role("button", name="lively-tasks 1.0", exact=True).click()
    group.delete()
    expect(view(page).get_by_role("alert").first).to_contain_text("task group", timeout=10_000)


def test_what_cannot_be_built_again_says_why(
    page: Page, fractal: Fractal, group: TaskGroup
) -> None:
    shown = open_group(page, group)
    group.deactivate()
    kept = Path(fractal.url.removeprefix("sqlite:///")).parent / "packages"
    moved = kept.rename(kept.with_name("elsewhere"))
    shown.get_by_role("button", name="Reactivate").click()
    expect(shown.locator(".fj-head").get_by_role("alert")).to_contain_text(
        "is not there any more", timeout=60_000
    )
    expect(shown.locator(".fj-head").get_by_role("status")).to_have_text("deactivated")
    moved.rename(kept)


def test_a_collection_is_cancelled(page: Page, fractal: Fractal, source: Path) -> None:
    form = open_form(page, "Source folder (editable)")
    form.get_by_label("Source folder (required)").fill(f" {source} ")
    form.get_by_role("button", name="Collect", exact=True).click()
    going = show_panel(page).get_by_role("list", name="Going on")
    going.get_by_role("button", name=f"Collect {source}").click()
    expect(view(page).get_by_role("heading", level=1)).to_have_text(f"Collect {source}")
    status = view(page).get_by_role("region").get_by_role("status")
    expect(status).to_have_text("going on", timeout=30_000)
    view(page).get_by_role("button", name="Cancel").click()
    expect(status).to_have_text("cancelled", timeout=60_000)
    expect(view(page).get_by_role("button", name="Cancel")).to_have_count(0)
    expect(going).to_have_count(0)
    assert "stuck-tasks" not in [each.package for each in fractal.task_groups.list()]


def test_files_are_uploaded(page: Page, fractal: Fractal, group: TaskGroup, tmp_path: Path) -> None:
    lock = fractal.task_groups.export(group, tmp_path / "locks" / "lively.lock")
    (wheel,) = lock.parent.glob("*.whl")
    other = make_task_wheel(tmp_path / "more", "sent-tasks", "1.0")
    form = open_form(page, "Wheel file")
    form.get_by_label("Or upload it").set_input_files(other)
    expect(form.get_by_text(f"{other.name}: uploaded.")).to_be_visible()
    other.unlink()
    page.set_viewport_size({"width": 1000, "height": 600})
    form.get_by_role("button", name="Collect", exact=True).click()
    expect(form.get_by_role("region").get_by_role("status")).to_have_text("done", timeout=120_000)
    expect(form.get_by_role("log")).to_be_in_viewport(ratio=0.5)
    expect(form.get_by_role("list", name="Collected tasks")).to_contain_text("Do it")
    fractal.task_groups.get("sent-tasks").delete()

    form.get_by_label("Kind").select_option(label="Lock file")
    expect(form.get_by_label("Python version")).to_have_count(0)
    form.get_by_label("Or upload it").set_input_files([lock, wheel])
    expect(form.get_by_text("uploaded.")).to_be_visible()
    lock.unlink()
    wheel.unlink()
    form.get_by_role("button", name="Collect", exact=True).click()
    collected = form.get_by_role("region", name="lively.lock")
    expect(collected.get_by_role("status")).to_have_text("done", timeout=120_000)
    locked = [each for each in fractal.task_groups.list() if each.package == "lively-tasks"]
    assert [each.lock for each in locked] == [group.lock, group.lock]


def test_each_kind_asks_for_what_it_needs(page: Page, fractal: Fractal) -> None:
    form = open_form(page, "Existing environment")
    assert "pixi project" not in form.get_by_label("Kind").inner_text()
    collect = form.get_by_role("button", name="Collect", exact=True)
    form.get_by_label("Package (required)").fill("my-tasks")
    expect(collect).to_be_disabled()
    form.get_by_label("Interpreter (required)").fill("bin/python")
    collect.click()
    expect(form.get_by_role("alert")).to_contain_text("not an absolute path")
    resource = fractal.resources.get("Local resource")
    folders = {version: f"/opt/pixi/{version}" for version in ("0.47.0", "0.50.2")}
    pixi = {"default_version": "0.50.2", "versions": folders}
    fractal.resources.update(resource.name, {**resource.document, "tasks_pixi_config": pixi})
    form.get_by_label("Kind").locator("option", has_text="pixi project").wait_for(state="attached")
    form.get_by_label("Kind").select_option(label="pixi project")
    expect(form.get_by_label("Version of pixi")).to_contain_text("0.50.2")
    form.get_by_label("Project archive (required)").fill("/nowhere/x-1.0.tar.gz")
    collect.click()
    expect(form.get_by_role("alert")).to_contain_text("x-1.0.tar.gz")
    fractal.resources.update(resource.name, resource.document)


def test_a_pixi_project_and_an_existing_environment_are_collected(
    page: Page, fractal: Fractal, group: TaskGroup, tmp_path: Path
) -> None:
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench")
    make_task_wheel(bench.channel)
    before = fractal.resources.get("Local resource").document
    pixi = bench.config.model_dump(exclude={"SLURM_CONFIG"})
    fractal.resources.update("Local resource", tasks_pixi_config=pixi)
    form = open_form(page, "Existing environment")
    PICTURES.mkdir(parents=True, exist_ok=True)

    def collect(subject: str) -> None:
        form.get_by_role("button", name="Collect", exact=True).click()
        done = form.get_by_role("region", name=re.compile(subject))
        expect(done.get_by_role("status")).to_have_text("done", timeout=120_000)
        expect(form.get_by_role("list", name="Collected tasks")).to_contain_text("Do it")

    form.get_by_label("Package (required)").fill("lively-tasks")
    form.get_by_label("Interpreter (required)").fill(f" {group.python} ")
    collect("lively-tasks")
    page.screenshot(path=PICTURES / "collected-custom-light.png")
    form.get_by_label("Kind").locator("option", has_text="pixi project").wait_for(state="attached")
    form.get_by_label("Kind").select_option(label="pixi project")
    form.get_by_label("Version of pixi").select_option(label="0.50.1")
    form.get_by_label("Or upload it").set_input_files(bench.archive)
    expect(form.get_by_text("uploaded.")).to_be_visible()
    collect("^Collect my-tasks-1.0.tar.gz$")
    page.screenshot(path=PICTURES / "collected-pixi-light.png")
    assert not findings(page)
    (custom, made) = [
        each for each in fractal.task_groups.list() if each.origin in ("custom", "pixi")
    ]
    assert (custom.package, custom.python, custom.origin) == (
        "lively-tasks",
        group.python,
        "custom",
    )
    assert (made.package, made.version, made.origin) == ("my-tasks", "1.0", "pixi")
    assert bench.calls("0.50.1")
    made.delete()
    fractal.resources.update("Local resource", before)


def open_clean(page: Page, days: str) -> Locator:
    show_panel(page).get_by_role("button", name="Clean up…").click()
    shown = view(page)
    expect(shown.get_by_role("status").first).not_to_have_text("Looking …", timeout=60_000)
    shown.get_by_label("Task groups that were not used for").fill(days)
    shown.get_by_role("button", name="Look").click()
    return shown


def test_what_nothing_uses_is_removed(page: Page, fractal: Fractal, group: TaskGroup) -> None:
    shown = open_clean(page, "0")
    table = shown.get_by_role("table", name="What nothing uses")
    expect(table.get_by_role("button", name="lively-tasks 1.0")).to_be_visible(timeout=60_000)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / "clean-light.png")
    assert not findings(page)
    shown.get_by_role("button", name="Remove…").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text(re.compile(r"[1-9] task groups? will be deactivated"))
    asked.get_by_role("button", name="Remove").click()
    done = shown.get_by_role("region", name="Clean ").first
    expect(done.get_by_role("status")).to_have_text("done", timeout=120_000)
    expect(table.get_by_role("button", name="lively-tasks 1.0")).to_have_count(0)
    assert not group.active


@pytest.mark.parametrize("theme", THEMES)
def test_anybody_can_read_it(
    page: Page, fractal: Fractal, group: TaskGroup, source: Path, theme: str
) -> None:
    change = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
    page.evaluate(change, THEMES[theme])
    page.locator(f"body[data-jp-theme-name='{THEMES[theme]}']").wait_for(state="attached")
    PICTURES.mkdir(parents=True, exist_ok=True)
    found: list[str] = []

    def look(name: str) -> None:
        page.evaluate("document.activeElement?.blur()")
        page.screenshot(path=PICTURES / f"{name}-{theme}.png")
        found.extend(f"{name}: {finding}" for finding in findings(page))

    shown = open_group(page, group)
    shown.get_by_text("What was done to it").wait_for()
    shown.locator(".fj-activity summary").first.click()
    look("task-group")
    shown.get_by_role("button", name="Deactivate").click()
    expect(shown.get_by_text("no job can use it")).to_be_visible(timeout=60_000)
    fractal.workflows.create(f"keeps {theme}", steps=[{"task": "Do it", "package": "lively-tasks"}])
    shown.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(shown.locator(".fj-head").get_by_role("alert")).to_be_visible()
    fractal.workflows.remove(f"keeps {theme}")
    row_of(page, "lively-tasks 1.0").scroll_into_view_if_needed()
    look("task-group-deactivated")
    row_of(page, "lively-tasks 1.0").get_by_role("button", name="More").click()
    page.screenshot(path=PICTURES / f"task-group-menu-{theme}.png")
    page.keyboard.press("Escape")
    status = open_clean(page, "0").get_by_role("status").first
    expect(status).to_contain_text("remov", ignore_case=True, timeout=60_000)
    look("clean")
    form = open_form(page, "Wheel file")
    form.get_by_text("Extras, versions").click()
    look("collect-wheel")
    form.get_by_label("Kind").select_option(label="Source folder (editable)")
    form.get_by_label("Source folder (required)").fill(str(source))
    form.get_by_role("button", name="Collect", exact=True).click()
    expect(show_panel(page).get_by_role("list", name="Going on")).to_be_visible()
    show_panel(page).get_by_role("list", name="Going on").get_by_role("button").click()
    expect(view(page).get_by_role("status").first).to_have_text("going on", timeout=30_000)
    look("activity")
    view(page).get_by_role("button", name="Cancel").click()
    expect(view(page).get_by_role("status").first).to_have_text("cancelled", timeout=60_000)
    assert not found


def test_names_from_outside_are_text(page: Page, fractal: Fractal) -> None:
    hostile = "<img src=x onerror=window.hacked=1>"
    add_task_group(
        fractal._store,
        [{"name": "T", "type": "parallel", "executable_parallel": "t.py"}],
        package=hostile,
        folder=f"/{hostile}",
    )
    choose(page, f"{hostile} 1.0", "Open")
    expect(view(page).get_by_role("heading", level=1)).to_have_text(f"{hostile} 1.0")
    view(page).get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("dialog")).to_contain_text(hostile)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    key = fractal.task_groups.get(hostile).id
    fractal._store.task_groups.deactivate(key)
    fractal._store.task_groups.remove(key)

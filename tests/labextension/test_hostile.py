"""The panel and its views, in a store in which all names and texts are hostile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from fractal_jupyter import Fractal
from tests.hostile import FOREIGN_ON_PAGE, make_hostile
from tests.labextension.lab import PICTURES, RunningLab, running_lab, show_panel, view
from tests.toy import toy_fractal

pytestmark = [pytest.mark.long, pytest.mark.browser]


@pytest.fixture(scope="module")
def fractal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    folder = tmp_path_factory.mktemp("hostile")
    with toy_fractal(folder) as fractal:
        make_hostile(fractal, folder / "tasks")
        yield fractal


@pytest.fixture(scope="module")
def lab(fractal: Fractal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab"), fractal) as lab:
        yield lab


def panel(page: Page) -> Locator:
    """The panel, with the hostile profile."""
    panel = show_panel(page)
    panel.get_by_role("combobox", name="Profile").select_option(index=1)
    return panel


def in_panel(page: Page, region: str) -> Locator:
    """The first hostile thing in a part of the panel."""
    part = panel(page).get_by_role("region", name=region, exact=True)
    return part.get_by_role("button").filter(has_text="hacked").first


def open_job(page: Page) -> None:
    in_panel(page, "Jobs").click()
    expect(view(page).get_by_role("status")).to_have_text("failed")
    view(page).locator(".fj-table-row").first.click()
    expect(view(page).get_by_role("log")).to_contain_text("Traceback")
    view(page).get_by_text("The cell that submits the same").first.click()
    view(page).get_by_role("button", name="Retry with…").click()


def open_task(page: Page) -> None:
    in_panel(page, "Tasks").click()
    view(page).get_by_role("button", name="Plan").click()
    expect(view(page)).to_contain_text("hacked")


def open_workflow(page: Page) -> None:
    in_panel(page, "Workflows").click()
    view(page).get_by_text("Arguments").first.click()
    expect(view(page)).to_contain_text("hacked")


def open_resource(page: Page) -> None:
    panel(page).get_by_text("Resources and profiles").click()
    listed = page.get_by_role("list", name="Resources and profiles", exact=True)
    listed.get_by_role("button").filter(has_text="hacked").first.click()
    view(page).get_by_role("button", name="Check").click()
    expect(view(page).get_by_role("region", name="Check")).to_contain_text("work", timeout=60_000)


def open_task_group(page: Page) -> None:
    panel(page).get_by_role("button", name="More: \"'").click()
    page.get_by_role("menu").get_by_text("Open", exact=True).click()
    expect(view(page)).to_contain_text("hacked")
    view(page).get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("dialog")).to_contain_text("hacked")


VIEWS = {
    "job": open_job,
    "task": open_task,
    "workflow": open_workflow,
    "resource": open_resource,
    "task group": open_task_group,
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_a_view_shows_is_text(page: Page, name: str) -> None:
    VIEWS[name](page)
    page.screenshot(path=PICTURES / f"hostile-{name}.png")
    assert page.evaluate(FOREIGN_ON_PAGE) == []

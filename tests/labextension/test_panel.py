"""The panel: where the focus goes, and how its sections share their room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.labextension.lab import show_panel
from tests.toy import make_dataset

NAME = "what came of the microscope on Monday"

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def height(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["height"]


@pytest.fixture
def job(fractal: Fractal) -> Iterator[Job]:
    """A job on a dataset with a long name, both gone afterwards: other tests share the store."""
    make_dataset(fractal, 4, NAME)
    job = fractal.submit("Toy Parallel", NAME).wait(60)
    yield job
    fractal.jobs.remove(job.id)
    fractal.datasets.remove(NAME)


def test_the_panel_has_the_focus_and_shares_its_room(page: Page, job: Job) -> None:
    page.set_viewport_size({"width": 1000, "height": 700})
    panel = show_panel(page)
    profile = panel.get_by_role("combobox", name="Profile")
    expect(profile).to_be_focused()
    expect(profile).to_have_attribute("title", "Local profile (Local resource)")
    expect(profile.locator("option:checked")).to_have_text("Local profile")

    # of what stands beside numbers, names are cut off, not the numbers
    row = panel.get_by_role("button").filter(has_text=f"#{job.id} ")
    numbers = row.get_by_text(f"#{job.id} · 4 of 4 units", exact=True)
    assert numbers.evaluate("it => it.scrollWidth <= it.clientWidth || !it.clientWidth")
    expect(row.get_by_text(f"· {NAME}", exact=True)).to_have_attribute("title", NAME)
    kind = panel.get_by_role("button", name="Toy Converter").locator(".fj-name").first
    assert kind.evaluate("it => it.scrollWidth <= it.clientWidth")

    # where there is little room, there is some for tasks, and more when jobs are folded
    page.set_viewport_size({"width": 1000, "height": 480})
    tasks = panel.get_by_role("list", name="Task groups").locator("..")
    before = height(tasks)
    assert 60 < before < tasks.evaluate("it => it.scrollHeight")
    jobs = panel.get_by_role("button", name="Jobs", exact=True)
    jobs.focus()
    page.keyboard.press("Enter")
    expect(jobs).to_have_attribute("aria-expanded", "false")
    expect(panel.get_by_role("list", name="Jobs, the newest first")).to_be_hidden()
    assert height(tasks) > before
    page.reload()
    show_panel(page)
    expect(jobs).to_have_attribute("aria-expanded", "false")
    jobs.focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_role("list", name="Jobs, the newest first")).to_be_visible()

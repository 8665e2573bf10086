"""What the panel shows when it could not hear the server for a while; and notifications."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import TOKEN, RunningLab, show_panel
from tests.labextension.test_looks import findings

pytestmark = [pytest.mark.slow, pytest.mark.browser]

EVENTS = "**/api/events/subscribe**"


def test_what_was_missed_is_read_when_the_server_is_heard_again(
    browser: Browser, lab: RunningLab, fractal: Fractal
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    deaf: list[WebSocketRoute] = []
    # nothing is ever told here: only that the connection is there again
    page.route_web_socket(EVENTS, lambda socket: deaf.append(socket))
    lab.open(page, workspace="deaf")
    jobs = show_panel(page).get_by_role("region", name="Jobs")
    expect(jobs.get_by_role("combobox")).to_be_visible()
    job = fractal.submit("Toy Parallel", "plate").wait(60)
    row = jobs.get_by_role("button").filter(has_text=f"#{job.id} ")
    expect(row).to_have_count(0)
    for socket in deaf:
        socket.close()
    # much sooner than all is read anyway
    expect(row).to_contain_text("done", timeout=20_000)
    page.close()
    fractal.jobs.remove(job.id)


@pytest.fixture
def _silent(lab: RunningLab) -> Iterator[None]:
    """Switch notifications off, as the settings editor does, and on again."""
    save_setting(lab, {"notify": False})
    yield
    save_setting(lab, {})


def save_setting(lab: RunningLab, setting: dict[str, bool]) -> None:
    request = urllib.request.Request(
        f"{lab.url}lab/api/settings/fractal-jupyter:plugin",
        method="PUT",
        data=json.dumps({"raw": json.dumps(setting)}).encode(),
        headers={"Authorization": f"token {TOKEN}"},
    )
    with urllib.request.urlopen(request):
        pass


@pytest.mark.long
@pytest.mark.usefixtures("_silent")
def test_notifications_can_be_switched_off(
    browser: Browser, lab: RunningLab, fractal: Fractal
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    lab.open(page, workspace="silent")
    panel = show_panel(page)
    first = fractal.submit("Needs File", "plate", args={"wait": True}, name="quietly")
    status = page.locator("#jp-main-statusbar").get_by_role("button", name="Fractal: ")
    expect(status).to_have_text("Fractal: 1 job, 0 %", timeout=30_000)
    assert not findings(page, ".fj-status-item")
    first.cancel()
    first.wait(60)
    expect(panel.get_by_role("button").filter(has_text=f"#{first.id} ")).to_contain_text(
        "cancelled"
    )
    expect(status).to_have_count(0)
    # ends are told one after the other: once this one is seen to run, the first has been told
    second = fractal.submit("Needs File", "plate", args={"wait": True})
    expect(status).to_have_count(1, timeout=30_000)
    expect(page.locator(".Toastify__toast", has_text="quietly")).to_have_count(0)
    page.close()
    second.cancel()
    for job in (first, second):
        job.wait(60)
        fractal.jobs.remove(job.id)


def test_menus_and_dialogs_can_be_read(page: Page) -> None:
    panel = show_panel(page)
    panel.get_by_role("button", name="More: form-tasks 1.0").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert not findings(page, ".lm-Menu")
    page.get_by_role("menu").get_by_text("Delete…").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Jobs keep their record")
    assert not findings(page, ".jp-Dialog-content")
    asked.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_role("button", name="More: form-tasks 1.0")).to_be_visible()

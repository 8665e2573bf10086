"""Fractal in JupyterLab as users of a hub see it, from the page where they log in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.hub.hub import SECONDS, Hub, User
from tests.hub.work import IMAGES, Gate, make_dataset
from tests.labextension.lab import (
    CHROMIUM,
    PICTURES,
    running_browser,
    show_panel,
    view,
    wait_for_lab,
)
from tests.labextension.test_looks import THEMES, findings
from tests.slurm.fixtures import skip_for_machine

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Much sooner than the panel reads everything anyway, whether or not it was told of a change.
TOLD_MS = 20_000


@pytest.fixture
def jp_asyncio_loop() -> None:
    """Nothing: Playwright has an event loop of its own, which others must not close."""


@pytest.fixture
def browser(hub: Hub) -> Iterator[Browser]:
    """A browser; the hub is there first, and Playwright's event loop gone when others come."""
    if CHROMIUM is None:
        skip_for_machine("the JupyterLab extension on a hub", "no chromium")
    if not hub.has_labextension:
        skip_for_machine(
            "the JupyterLab extension on a hub", "it is not built: `make labextension`"
        )
    with running_browser() as browser:
        yield browser


@contextmanager
def logged_in(browser: Browser, user: User) -> Iterator[Page]:
    """JupyterLab in a browser of the user's own, who has logged in on the hub's page."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{user.hub.url}/")
    page.get_by_label("Username").fill(user.name)
    page.get_by_label("Password").fill("anything")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{user.server}/lab**", timeout=SECONDS * 1000)
    wait_for_lab(page)
    yield page
    context.close()
    assert not complaints


def quiet(user: User) -> None:
    """Keep JupyterLab from asking about its news, which would cover what is looked at."""
    choose(user, "notification", {"fetchNews": "false", "checkForUpdates": False})


def choose(user: User, kind: str, settings: dict[str, Any]) -> None:
    """Save settings of JupyterLab, as its editor does."""
    path = f"lab/api/settings/@jupyterlab/apputils-extension:{kind}"
    user.ask_server("PUT", path, {"raw": json.dumps(settings)})


def test_a_user_submits_and_watches_a_job_that_nobody_else_sees(
    browser: Browser, ann: User, bob: User
) -> None:
    for user in (ann, bob):
        quiet(user)
    name = "in the browser"
    make_dataset(ann, name, ann.home / name)
    gate = Gate(ann.home, "browser")
    ann.stop()
    with logged_in(browser, ann) as page:
        panel = show_panel(page)
        panel.get_by_role("combobox", name="Profile").select_option(label="Here")
        tasks = panel.get_by_role("region", name="Tasks")
        tasks.get_by_role("button").filter(has_text="Toy Parallel").first.click()
        form = view(page)
        form.get_by_role("combobox", name="Dataset", exact=True).select_option(
            label=f"{name} ({IMAGES} images)"
        )
        form.get_by_role("textbox", name="gate").fill(str(gate.path))
        form.get_by_role("button", name="Submit").click()
        expect(view(page).get_by_role("status").first).to_have_text("running", timeout=TOLD_MS)
        gate.wait_for(IMAGES)
        gate.open()
        expect(view(page).get_by_role("status").first).to_have_text("done", timeout=TOLD_MS)
        row = panel.get_by_role("region", name="Jobs").get_by_role("button")
        expect(row.filter(has_text=name).first).to_contain_text("done", timeout=TOLD_MS)
        with logged_in(browser, bob) as other:
            jobs = show_panel(other).get_by_role("region", name="Jobs")
            expect(jobs.get_by_role("combobox")).to_be_visible()
            expect(jobs.get_by_role("button").filter(has_text=name)).to_have_count(0)
            other.goto(page.url)
            expect(other.locator("body")).to_contain_text("403")
        log_out(page)
        page.goto(f"{ann.server}/lab")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("theme", THEMES)
def test_what_the_administrator_has_set_up_is_shown_and_cannot_be_changed(
    browser: Browser, ann: User, theme: str
) -> None:
    quiet(ann)
    choose(ann, "themes", {"theme": THEMES[theme]})
    PICTURES.mkdir(parents=True, exist_ok=True)
    found = []
    with logged_in(browser, ann) as page:
        page.locator(f"body[data-jp-theme-name='{THEMES[theme]}']").wait_for(state="attached")
        show_panel(page).get_by_text("Resources and profiles").click()
        listed = page.get_by_role("list", name="Resources and profiles", exact=True)
        # a resource, and below it its profile of the same name
        rows = listed.get_by_role("button").filter(has_text="Institute")
        expect(rows).to_have_count(2)
        for row, noun in ((rows.first, "resource"), (rows.last, "profile")):
            row.click()
            shown = view(page)
            expect(shown).to_contain_text("An administrator has set this up, in /")
            expect(shown.get_by_role("textbox").first).to_have_value("Institute")
            for button in ("Save", "Remove…"):
                expect(shown.get_by_role("button", name=button, exact=True)).to_have_count(0)
            for field in shown.get_by_role("textbox").all():
                expect(field).to_be_editable(editable=False)
            page.screenshot(path=PICTURES / f"hub-{noun}-{theme}.png")
            found += [f"{noun}: {finding}" for finding in findings(page)]
    assert not found


def log_out(page: Page) -> None:
    """Log out as users do, in the menu of JupyterLab."""
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="Log Out").click()
    page.wait_for_url("**/hub/log*")

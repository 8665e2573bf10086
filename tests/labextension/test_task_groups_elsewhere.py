"""Task groups in the panel, through their whole life as another user: through sudo, and SSH."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from fractal_jupyter import Fractal
from tests.environments.conftest import index, login, system_python
from tests.environments.packages import make_task_wheel
from tests.labextension.conftest import LINKED
from tests.labextension.lab import CHROMIUM, RunningLab, running_browser, running_lab, view
from tests.labextension.test_looks import findings
from tests.labextension.test_task_groups import choose, open_clean, open_form, row_of
from tests.slurm.fixtures import skip_for_machine
from tests.slurm.test_collect import fractal, remote, sudo
from tests.slurm.test_task_groups_elsewhere import elsewhere

__all__ = ["elsewhere", "fractal", "index", "login", "remote", "sudo", "system_python"]

pytestmark = [pytest.mark.long, pytest.mark.browser]

NAME = "lively-tasks 1.0"


@pytest.fixture
def page(elsewhere: Fractal, tmp_path: Path) -> Iterator[Page]:
    """JupyterLab on the store of the client; fails when the page has complained of our code."""
    if CHROMIUM is None:
        skip_for_machine("the JupyterLab extension", "no chromium")
    if not LINKED.exists():
        skip_for_machine("the JupyterLab extension", "it is not built: `make labextension`")
    home = tmp_path / "lab"
    home.mkdir()
    settings = tmp_path / ".ssh"
    if settings.exists():
        shutil.copytree(settings, home / ".ssh")
    complaints: list[str] = []
    with running_lab(home, elsewhere) as lab, running_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        open_lab(lab, page, elsewhere)
        yield page
    assert not complaints


def open_lab(lab: RunningLab, page: Page, fractal: Fractal) -> None:
    """Open JupyterLab, and choose the profile that the client uses."""
    lab.open(page, workspace="elsewhere")
    page.locator(".jp-LauncherCard", has_text="Fractal Jobs and Tasks").click()
    assert fractal.profile is not None
    chooser = page.get_by_role("region", name="Fractal", exact=True).get_by_label("Profile")
    (label,) = [
        text for text in chooser.locator("option").all_inner_texts() if fractal.profile in text
    ]
    chooser.select_option(label=label)


def test_a_whole_life_in_the_panel(elsewhere: Fractal, page: Page, tmp_path: Path) -> None:
    wheel = make_task_wheel(tmp_path / "wheels", "lively-tasks", "1.0")
    form = open_form(page, "Wheel file")
    form.get_by_label("Wheel (required)").fill(str(wheel))
    form.get_by_role("button", name="Collect", exact=True).click()
    expect(form.get_by_role("region").get_by_role("status")).to_have_text("done", timeout=120_000)
    expect(form.get_by_role("list", name="Collected tasks")).to_contain_text("Do it")
    group = elsewhere.task_groups.get("lively-tasks")
    folder, lock = Path(group.folder), group.lock
    assert folder.is_dir()

    row = row_of(page, NAME)
    choose(page, NAME, "Deactivate")
    expect(row.get_by_text("deactivated", exact=True)).to_be_visible(timeout=60_000)
    assert not folder.exists()
    choose(page, NAME, "Reactivate")
    expect(row.get_by_role("button", name="Do it")).to_be_visible(timeout=60_000)
    assert (group.active, group.lock) == (True, lock)

    downloads: list[Download] = []
    page.on("download", lambda download: downloads.append(download))
    with page.expect_event("download", lambda _: len(downloads) == 2):
        choose(page, NAME, "Export lock file")
    assert f"# wheel: {wheel.name} " in downloads[0].path().read_text()
    assert zipfile.is_zipfile(downloads[1].path())

    shown = open_clean(page, "0")
    table = shown.get_by_role("table", name="What nothing uses")
    expect(table.get_by_role("button", name=NAME)).to_be_visible(timeout=60_000)
    expect(table).to_contain_text(f"{folder} on cluster")
    assert not findings(page)

    choose(page, NAME, "Open")
    expect(view(page).get_by_label("About this task group")).to_contain_text(str(folder))
    view(page).get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0, timeout=60_000)
    assert [each.package for each in elsewhere.task_groups.list()] == []
    assert not folder.exists()
    assert [(each.action, each.status) for each in elsewhere.activities.list()] == [
        (action, "OK") for action in ("delete", "reactivate", "deactivate", "collect")
    ]

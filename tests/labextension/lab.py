"""A real JupyterLab with the extension, and a real browser that shows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from fractal_jupyter import Fractal
from tests.toy import wait_until

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "test-output" / "labextension"
TOKEN = "0123456789"
CHROMIUM = shutil.which("chromium")
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@dataclass
class RunningLab:
    """A JupyterLab server; `home` is the home directory that it sees."""

    url: str
    home: Path

    def open(self, page: Page, *, workspace: str) -> None:
        """Go to JupyterLab, and wait until it is there."""
        page.goto(f"{self.url}lab/workspaces/{workspace}?token={TOKEN}")
        wait_for_lab(page)


@contextmanager
def running_lab(folder: Path, fractal: Fractal) -> Iterator[RunningLab]:
    """Start JupyterLab on the store of `fractal`."""
    for name in ("runtime", "workspaces", "files"):
        (folder / name).mkdir(parents=True)
    # JupyterLab's own question would cover what is looked at.
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"),
        f"--IdentityProvider.token={TOKEN}",
        "--ServerApp.base_url=/user/ann/",  # as on a hub
        f"--ServerApp.root_dir={folder / 'files'}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
        f"--FractalExtension.store_url={fractal.url}",
    ]
    environment = {
        **os.environ,
        "HOME": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder / "files", env=environment, stdout=log, stderr=log
        )
    try:
        about = folder / "runtime" / f"jpserver-{process.pid}.json"
        wait_until(lambda: about.exists() and about.read_text().endswith("}"))
        yield RunningLab(json.loads(about.read_text())["url"], folder)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield browser
        browser.close()


def wait_for_lab(page: Page) -> None:
    """Wait until JupyterLab is there."""
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=60_000)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=60_000)


def show_panel(page: Page) -> Locator:
    """Open the panel from the launcher, if it is not open."""
    panel = page.get_by_role("region", name="Fractal", exact=True)
    if not panel.is_visible():
        page.locator(".jp-LauncherCard", has_text="Fractal Jobs and Tasks").click()
    expect(panel).to_be_visible()
    return panel


def view(page: Page) -> Locator:
    """The view of Fractal that is in front."""
    return page.locator(".fj-view:visible")


def open_job(page: Page, key: int) -> None:
    """Open the view of a job from the panel."""
    jobs = show_panel(page).get_by_role("region", name="Jobs")
    jobs.get_by_role("button").filter(has_text=f"#{key} ").click()
    expect(view(page).get_by_role("heading", level=1)).to_be_visible()

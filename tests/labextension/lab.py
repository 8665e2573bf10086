"""A real JupyterLab with the extension, and a real browser that shows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from fractal_jupyter import Fractal
from tests.toy import wait_until

TOKEN = "0123456789"
CHROMIUM = shutil.which("chromium")
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def running_lab(folder: Path, fractal: Fractal) -> Iterator[str]:
    """Start JupyterLab on the store of `fractal`; gives its URL, with the token."""
    for name in ("runtime", "settings", "workspaces", "files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"),
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder / 'files'}",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
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
        url = json.loads(about.read_text())["url"]
        yield f"{url}lab?token={TOKEN}"
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


def open_lab(page: Page, url: str) -> None:
    """Go to JupyterLab, and wait until it is there."""
    page.goto(url)
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=60_000)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=60_000)


def show_panel(page: Page) -> None:
    """Open the panel of Fractal, if it is not open."""
    panel = page.get_by_role("region", name="Fractal")
    if not panel.is_visible():
        page.get_by_role("tab", name="Fractal").click()
    expect(panel).to_be_visible()

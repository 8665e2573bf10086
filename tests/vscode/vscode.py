"""A page that shows outputs as a notebook of VS Code does, a Jupyter server for it, and themes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.labextension.lab import TOKEN
from tests.toy import wait_until

HERE = Path(__file__).parent
ESBUILD = HERE / "node_modules" / ".bin" / "esbuild"
KERNEL = "bare"

# What VS Code's own themes set, of what a notebook's outputs use.
THEMES: Mapping[str, Mapping[str, str]] = {
    "vscode-light": {
        "editor-background": "#ffffff",
        "editor-foreground": "#3b3b3b",
        "foreground": "#3b3b3b",
        "descriptionForeground": "#3b3b3b",
        "textLink-foreground": "#005fb8",
        "textPreformat-foreground": "#3b3b3b",
        "focusBorder": "#005fb8",
        "panel-border": "#e5e5e5",
        "charts-green": "#388a34",
        "charts-red": "#e51400",
        "charts-blue": "#1a85ff",
        "charts-orange": "#d18616",
        "font-family": "system-ui, sans-serif",
        "editor-font-family": "monospace",
    },
    "vscode-dark": {
        "editor-background": "#1f1f1f",
        "editor-foreground": "#cccccc",
        "foreground": "#cccccc",
        "descriptionForeground": "#9d9d9d",
        "textLink-foreground": "#4daafc",
        "textPreformat-foreground": "#d0d0d0",
        "focusBorder": "#0078d4",
        "panel-border": "#2b2b2b",
        "charts-green": "#89d185",
        "charts-red": "#f14c4c",
        "charts-blue": "#3794ff",
        "charts-orange": "#d18616",
        "font-family": "system-ui, sans-serif",
        "editor-font-family": "monospace",
    },
}


@dataclass(frozen=True)
class Server:
    """A Jupyter server that has the page and starts kernels."""

    url: str

    def open(self, page: Page, theme: str) -> Notebook:
        """Open the page, in the colours of a theme."""
        base = urlsplit(self.url).path
        page.goto(f"{self.url}static/index.html?base={base}&token={TOKEN}")
        page.wait_for_function("window.notebook !== undefined")
        page.evaluate("([kind, colors]) => notebook.dress(kind, colors)", [theme, THEMES[theme]])
        return Notebook(page)


@dataclass(frozen=True)
class Notebook:
    """The page."""

    page: Page

    def start(self) -> str:
        """Start a kernel; returns its id."""
        key: str = self.page.evaluate("name => notebook.start(name)", KERNEL)
        return key

    def connect(self, kernel: str) -> None:
        """Go on with a kernel that another page has started."""
        self.page.evaluate("key => notebook.connect(key)", kernel)

    def run(self, name: str, code: str) -> list[dict[str, Any]]:
        """Execute a cell, whose output gets that name."""
        outputs: list[dict[str, Any]] = self.page.evaluate(
            "([name, code]) => notebook.run(name, code)", [name, code]
        )
        return outputs

    def show(self, name: str, outputs: list[dict[str, Any]]) -> None:
        """Show the outputs of a cell that has been executed in another page."""
        self.page.evaluate("([name, outputs]) => notebook.show(name, outputs)", [name, outputs])

    def output(self, name: str) -> Locator:
        """What the cell of that name shows."""
        found = self.page.locator(f".output#{name}")
        expect(found.first).to_be_visible()
        return found


def build(folder: Path) -> None:
    """Bundle the page."""
    shutil.copy(HERE / "index.html", folder)
    bundle = f"--outfile={folder / 'bundle.js'}"
    command = [str(ESBUILD), "page.js", "--bundle", "--format=esm", "--log-level=error", bundle]
    subprocess.run(command, cwd=HERE, check=True)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Start a Jupyter server whose kernels know nothing of it, as those that VS Code starts."""
    pages, files = folder / "pages", folder / "files"
    kernels = folder / "share" / "kernels" / KERNEL
    for made in (pages, files, kernels):
        made.mkdir(parents=True)
    build(pages)
    bare = ["env", "-i", f"PATH={os.environ['PATH']}", f"HOME={folder}"]
    python = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": [*bare, *python], "display_name": "Bare", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    command = [
        *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", "--port=0"),
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={files}",
        f"--ServerApp.extra_static_paths={pages}",
    ]
    environment = {
        **os.environ,
        "JUPYTER_PATH": str(folder / "share"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=files, env=environment, stdout=log, stderr=log)
    try:
        about = folder / "runtime" / f"jpserver-{process.pid}.json"
        wait_until(lambda: about.exists() and about.read_text().endswith("}"))
        yield Server(json.loads(about.read_text())["url"])
    finally:
        process.terminate()
        process.wait(30)

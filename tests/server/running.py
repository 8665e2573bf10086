"""Jupyter servers that are processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fractal_jupyter import Fractal
from fractal_jupyter.server.route import BASE_PATH
from tests.toy import wait_until

TOKEN = "0123456789"


@dataclass
class Server:
    """A server that answers at a URL."""

    url: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the API answers, as JSON."""
        request = urllib.request.Request(
            f"{self.url}{BASE_PATH}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {TOKEN}"},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "server"))
        except urllib.error.URLError:
            return False


@dataclass
class RunningServer(Server):
    """A server that is a process of ours, and where it logs."""

    log: Path
    process: subprocess.Popen[bytes]


def server_command(url: str) -> list[str]:
    """What starts a server with the extension on the store at `url`."""
    return [
        *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"),
        *("--port=0", "--ServerApp.base_url=/hub/"),
        f"--IdentityProvider.token={TOKEN}",
        f"--FractalExtension.store_url={url}",
        "--ServerApp.jpserver_extensions=fractal_jupyter=True",
    ]


@contextmanager
def running_server(folder: Path, fractal: Fractal) -> Iterator[RunningServer]:
    """Start a server with the extension on the store of `fractal`, and stop it afterwards."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            server_command(fractal.url), cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        yield RunningServer(started_in(folder).url, log, process)
    finally:
        process.terminate()
        process.wait(30)


def started_in(folder: Path) -> Server:
    """The one server whose runtime files are in a folder, once it answers."""

    def about() -> dict[str, Any] | None:
        text = "".join(path.read_text() for path in folder.glob("jpserver-*.json"))
        return dict(json.loads(text)) if text.endswith("}") else None

    wait_until(about)
    server = Server((about() or {})["url"].rstrip("/"))
    wait_until(server.answers)
    return server

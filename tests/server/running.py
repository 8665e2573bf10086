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
class RunningServer:
    """A server, its URL, and where it logs."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

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


@contextmanager
def running_server(folder: Path, fractal: Fractal) -> Iterator[RunningServer]:
    """Start a server with the extension on the store of `fractal`, and stop it afterwards."""
    folder.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"),
        *("--port=0", "--ServerApp.base_url=/hub/"),
        f"--IdentityProvider.token={TOKEN}",
        f"--FractalExtension.store_url={fractal.url}",
        "--ServerApp.jpserver_extensions=fractal_jupyter=True",
    ]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        about = folder / f"jpserver-{process.pid}.json"
        wait_until(lambda: about.exists() and about.read_text().endswith("}"))
        server = RunningServer(process, json.loads(about.read_text())["url"].rstrip("/"), log)
        wait_until(server.answers)
        yield server
    finally:
        process.terminate()
        process.wait(30)

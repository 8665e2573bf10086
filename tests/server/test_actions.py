"""Activities end with the server that does them, and say so."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.server.running import running_server


@pytest.fixture
def hanging(fractal: Fractal, tmp_path: Path) -> Path:
    """Give the resource a Python that does nothing, but says that it is asked."""
    asked, python = tmp_path / "asked", tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntouch {asked}\nexec sleep 20\n")
    python.chmod(0o755)
    config = {"default_version": "3.11", "versions": {"3.11": str(python)}}
    fractal.resources.update("Local resource", tasks_python_config=config)
    return asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"), [(signal.SIGTERM, "server was stopped"), (signal.SIGKILL, "has ended")]
)
def test_nobody_waits_for_what_nobody_does(
    fractal: Fractal, hanging: Path, tmp_path: Path, how: signal.Signals, words: str
) -> None:
    with running_server(tmp_path / "one", fractal) as server:
        activity = server.ask("POST", "resources/1/check", {})
        assert activity["status"] == "ongoing"
        server.process.send_signal(how)
        server.process.wait(15)
    with running_server(tmp_path / "two", fractal) as server:
        (seen,) = server.ask("GET", "activities")["items"]
    assert (seen["id"], seen["status"]) == (activity["id"], "failed")
    assert words in seen["error"]

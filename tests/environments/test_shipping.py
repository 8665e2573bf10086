from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fractal_jupyter.environments.on_host as package
from fractal_jupyter.environments.shipping import MODULES, program

FOLDER = Path(package.__path__[0])


def test_every_module_is_shipped() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(MODULES)


def test_runs_as_text_on_an_interpreter_that_knows_nothing_of_us(tmp_path: Path) -> None:
    argv, stdin = program(
        sys.executable, "inspection", {"package": "no-such-package", "extras": []}
    )
    done = subprocess.run(argv, input=stdin, capture_output=True, cwd=tmp_path, env={})
    assert done.stderr == b""
    assert json.loads(done.stdout) == {
        "failed": {"reason": "not-installed", "output": "no-such-package"}
    }
    assert done.returncode == 1


def test_nothing_of_the_request_is_on_the_command_line() -> None:
    argv, stdin = program("/python", "inspection", {"package": "confidential"})
    assert "confidential" not in " ".join(argv)
    assert b"confidential" in stdin

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter.environments.uv import find_uv


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_comes_with_the_package() -> None:
    path = find_uv()
    assert path
    assert subprocess.check_output([path, "--version"]).startswith(b"uv ")


def test_an_explicit_path_comes_first(tmp_path: Path) -> None:
    mine = program(tmp_path / "my uv")
    assert find_uv(str(mine)) == str(mine)


def test_what_cannot_be_run_is_passed_over(tmp_path: Path) -> None:
    mine = program(tmp_path / "uv")
    mine.chmod(0o644)
    assert find_uv(str(mine)) == find_uv(str(tmp_path)) == find_uv()


def test_the_path_is_searched_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_uv() is None
    assert find_uv("/nowhere/uv") is None
    theirs = program(tmp_path / "uv")
    assert find_uv() == str(theirs)

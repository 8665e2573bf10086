"""What the machine lacks is said; two sessions do not share the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.machine import SCRIPT
from tests.users import why_no_user

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run_pytest(folder: Path, text: str) -> str:
    """What a session with just this test file says, in two workers."""
    (folder / "test_it.py").write_text(text)
    plugins = ["-p", "no:cacheprovider", "-p", "xdist", "-p", "tests.slurm.fixtures"]
    options = ["-c", "/dev/null", "-n", "2", "--dist=loadgroup"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_what_is_not_tested_is_named_at_the_end(tmp_path: Path) -> None:
    text = """
from tests.slurm.fixtures import skip_for_machine, unless
def test_one(): skip_for_machine("SLURM", "needs root")
def test_two(): skip_for_machine("SLURM", "needs root")
@unless("sshd", "no sshd")
def test_three(): ...
@unless("sshd", None)
def test_four(): ...
"""
    output = run_pytest(tmp_path, text)
    assert "1 passed, 3 skipped" in output
    end = output.partition("NOT TESTED, because of this machine")[2]
    assert "SLURM (needs root): 2 tests skipped" in end
    assert "sshd (no sshd): 1 test skipped" in end


def test_nothing_is_named_when_all_was_tested(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, "def test_one(): pass\n")
    assert "1 passed" in output
    assert "NOT TESTED" not in output


def test_tests_of_the_cluster_run_in_one_worker(tmp_path: Path) -> None:
    text = """
import os, pathlib, pytest
@pytest.fixture
def slurm_machine(): ...
@pytest.mark.parametrize("number", range(6))
def test_it(slurm_machine, number):
    with pathlib.Path(__file__).with_name("workers").open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + " ")
"""
    assert "6 passed" in run_pytest(tmp_path, text)
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == 6
    assert len(set(workers)) == 1


def test_nobody_but_root_changes_the_cluster() -> None:
    script = SCRIPT.read_text()
    words = ["bash", "-s", "up"]
    if why_no_user() is None:
        words = ["runuser", "-u", "nobody", "--", *words]
    done = subprocess.run(words, input=script, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "cluster: needs root\n"

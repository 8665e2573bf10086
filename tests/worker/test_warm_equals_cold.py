"""A unit cannot tell whether it was forked: the same programs, warm and cold, do the same."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.batches import PROBES, Result, pythons, write_batch

PROBE = PROBES / "cases.py"


def case_names() -> list[str]:
    """The cases of the probe, read from its source, which may be for another Python."""
    tree = ast.parse(PROBE.read_text())
    names = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == "case" for d in node.decorator_list)
    ]
    (exits,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXITS"
    )
    assert isinstance(exits, ast.Dict)
    names += ["exit_" + ast.literal_eval(key) for key in exits.keys if key is not None]
    loops = [node for node in tree.body if isinstance(node, ast.For)]
    names += ["killed_by_" + name for name in ast.literal_eval(loops[-1].iter)]
    names.remove("chance")
    return names


NAMES = case_names()
Runs = Callable[[str], dict[bool, Result]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run all cases with a Python, warm and cold, once."""
    found: dict[str, dict[bool, Result]] = {}

    def run(python: str) -> dict[bool, Result]:
        if python not in found:
            units = [{"case": name} for name in NAMES] + [{"case": "chance"}] * 3
            found[python] = {}
            for warm in (True, False):
                folder = tmp_path_factory.mktemp("warm" if warm else "cold")
                batch = write_batch(
                    folder, [python, PROBE], units, warm=warm, common_args={"folder": str(folder)}
                )
                found[python][warm] = batch.run()
        return found[python]

    return run


def normal(text: str) -> str:
    """Text without what differs from run to run."""
    text = re.sub(r"[^\s'\"]*/attempt-1/slots/\d+", "SLOT", text)
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    return re.sub(r"(?<=Thread-)\d+|(?<=pid=)\d+|(?<=kept-)\w+", "N", text)


def facts(result: Result, unit: int) -> dict[str, Any]:
    end = result.ends[unit]
    output = normal(repr(end["output"]))
    kept = {name: end[name] for name in ("status", "exit_code", "signal", "problem")}
    log = normal(result.log(unit).decode())
    return {**kept, "message": normal(end["message"]), "output": output, "log": log}


def python_name(python: str) -> str:
    return "this" if python == sys.executable else Path(python).resolve().name


# In one worker, where the cases of a Python are run once.
each_python = pytest.mark.parametrize(
    "python",
    [
        pytest.param(
            python,
            id=python_name(python),
            marks=[pytest.mark.slow, pytest.mark.xdist_group(f"warm-{python_name(python)}")],
        )
        for python in pythons()
    ],
)


@each_python
def test_all_cases(python: str, runs: Runs) -> None:
    both = runs(python)
    assert both[True].warm, both[True].mode
    assert not both[False].warm
    for unit, name in enumerate(NAMES):
        assert facts(both[True], unit) == facts(both[False], unit), name


@each_python
def test_files_that_nobody_closed_are_whole(python: str, runs: Runs) -> None:
    for result in runs(python).values():
        assert (result.batch.folder / "plain").read_text() == "text"
        assert (result.batch.folder / "kept").read_bytes() == b"bytes"


@each_python
def test_chance_differs_from_unit_to_unit(python: str, runs: Runs) -> None:
    for result in runs(python).values():
        drawn = [result.ends[len(NAMES) + number]["output"] for number in range(3)]
        for values in zip(*drawn, strict=True):
            assert len(set(values)) == 3

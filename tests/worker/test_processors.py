"""Units keep to their share of the processors, and the last ones get what others have left."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker.batches import Result, write_batch, write_script

both = pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
two_processors = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two processors that a process can choose from",
)

BODY = """
import threading

def mine():
    return sorted(os.sched_getaffinity(0))

first = mine()
released = threading.Event()
seen = []

def look():
    released.wait()
    seen.append(mine())

thread = threading.Thread(target=look)
thread.start()
while args["patient"] and len(mine()) < args["patient"]:
    time.sleep(0.01)
released.set()
thread.join()
finish([first, mine(), *seen])
"""


def run(folder: Path, units: int, concurrency: int, *, warm: bool, **of_the_first: Any) -> Result:
    script = write_script(folder / "script.py", BODY)
    arguments = [{"patient": 0, **(of_the_first if not n else {})} for n in range(units)]
    return write_batch(
        folder / "batch", [sys.executable, script], arguments, concurrency=concurrency, warm=warm
    ).run()


def processors(result: Result) -> list[list[list[int]]]:
    """Of each unit: those at its start, at its end, and those of its thread."""
    return [end["output"] for _, end in sorted(result.ends.items())]


@two_processors
@both
def test_units_side_by_side_have_a_share_each(tmp_path: Path, warm: bool) -> None:
    everything = sorted(os.sched_getaffinity(0))
    half = len(everything) // 2
    result = run(tmp_path, 12, 2, warm=warm)
    shares = {tuple(first) for first, *_ in processors(result)}
    shares.discard(tuple(everything))  # that of the last one, if it began late
    assert shares == {tuple(everything[:half]), tuple(everything[half:])}


@two_processors
@both
def test_the_last_unit_gets_what_the_others_have_left(tmp_path: Path, warm: bool) -> None:
    everything = sorted(os.sched_getaffinity(0))
    result = run(tmp_path, 4, 2, warm=warm, patient=len(everything))
    first, last, of_its_thread = processors(result)[0]
    assert len(first) < len(everything)
    assert last == of_its_thread == everything


@two_processors
@both
def test_what_is_imported_finds_a_share(tmp_path: Path, warm: bool) -> None:
    for name in ("early", "late"):  # the second is learned from the first unit
        (tmp_path / f"{name}.py").write_text("import os\nCOUNT = len(os.sched_getaffinity(0))\n")
    script = write_script(
        tmp_path / "script.py",
        "import late\nfinish([early.COUNT, late.COUNT])",
        imports="import early",
    )
    result = write_batch(
        tmp_path / "batch", [sys.executable, script], 12, concurrency=2, warm=warm
    ).run()
    assert result.warm is warm
    total = len(os.sched_getaffinity(0))
    found = [max(end["output"]) for end in result.ends.values()]
    # (the last two may find what the others have left)
    assert len([count for count in found if count < total]) >= 10


@two_processors
@pytest.mark.parametrize(("units", "more"), [(1, 0), (400, 1)])
def test_there_are_no_shares_of_less_than_a_processor(
    tmp_path: Path, units: int, more: int
) -> None:
    everything = sorted(os.sched_getaffinity(0))
    concurrency = len(everything) + more
    result = run(tmp_path, min(units, 3 * concurrency), concurrency, warm=False)
    assert all(first == everything for first, *_ in processors(result))

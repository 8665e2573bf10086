"""That the benchmarks run; what they measure is not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import Row
from benchmarks.run import BENCHMARKS, ROOT, main, run_one

SMALL = {
    "noop_units": (("--units", "20", "--repetitions", "1"), 1),
    "latency": (("--repetitions", "1"), 4),
    "supervisor_load": (("--units", "20", "--seconds", "1"), 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_by_itself(name: str, tmp_path: Path) -> None:
    options, count = SMALL[name]
    written = tmp_path / "rows.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--json", str(written)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [Row.from_document(row) for row in json.loads(written.read_text())]
    assert len(rows) == count
    assert all(row.ours >= 0 for row in rows)
    assert all(row.what in result.stdout for row in rows)


def test_all_that_run_by_name_are_there() -> None:
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} > set(BENCHMARKS)


def test_a_benchmark_that_fails_is_told_apart(tmp_path: Path) -> None:
    assert run_one("no_such_benchmark", tmp_path) is None


def test_names_are_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "lattency"])
    with pytest.raises(SystemExit):
        main()
    assert "no such benchmark: lattency" in capsys.readouterr().err

"""Many units leave nothing behind: no descriptor, memory, process or file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.worker.batches import descendants, is_alive, wait_until, write_batch

SCRIPT = """
import argparse
import json

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--args-json")
    parser.add_argument("--out-json")
    options = parser.parse_args()
    with open(options.args_json) as file:
        args = json.load(file)
    print("unit", args)
    with open(options.out_json, "w") as file:
        json.dump(args, file)
"""


def footprint(pid: int) -> tuple[int, int]:
    """Open descriptors and resident bytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = int(status.split("VmRSS:")[1].split()[0]) * 1024
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), resident


def is_forker(pid: int, worker: int) -> bool:
    """Whether a process, which may end at any moment, is the one that a worker forks from."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"forker" in command and f"\nPPid:\t{worker}\n" in status


@pytest.mark.long
@pytest.mark.timeout(900)
def test_thousands_of_units_leave_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    count = 10_000
    batch = write_batch(tmp_path / "batch", [sys.executable, script], count)
    process = batch.start()

    def ends() -> int:
        paths = batch.attempt().glob("results-*")
        return sum(path.read_bytes().count(b'"event":"end"') for path in paths)

    wait_until(lambda: ends() >= 500, "the first units", deadline=200)
    (forker,) = [pid for pid in descendants(process.pid) if is_forker(pid, process.pid)]
    early = {pid: footprint(pid) for pid in (process.pid, forker)}
    wait_until(lambda: ends() >= count - 500, "the last units", deadline=600)
    for pid, (descriptors, resident) in early.items():
        later_descriptors, later_resident = footprint(pid)
        assert abs(later_descriptors - descriptors) <= 3  # those of a moment
        assert later_resident - resident < 700_000
    assert len(descendants(process.pid)) <= 3
    result = batch.end(process)
    assert len(result.ends) == count
    assert {end["status"] for end in result.ends.values()} == {"done"}
    assert not is_alive(forker)
    assert len(list(batch.attempt().rglob("*"))) < 10
    for unit in (0, 5_000, 9_999):
        assert result.log(unit).decode() == f"unit {{'zarr_url': '/data/{unit}.zarr'}}\n"

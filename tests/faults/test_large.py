"""Ten thousand units: what the supervisor takes for them."""

import sys
from pathlib import Path

import psutil
import pytest

from fractal_jupyter import Fractal
from tests.faults.helpers import assert_consistent, other_supervisor, wait_for_leader
from tests.toy import make_dataset

MOST_MEMORY = 150_000_000


def peak_memory(pid: int) -> int:
    """The most memory, in bytes, that a process has had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_supervisor_of_ten_thousand_units_stays_small(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 10_000)
    swift = Path(__file__).with_name("swift_worker.py")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {swift} "$@"\n')
    script.chmod(0o700)
    with other_supervisor(fractal._store, settings={"sys:executable": str(script)}) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(200)
        peak = peak_memory(process.pid)
        spent = psutil.Process(process.pid).cpu_times()
    assert (job.status, job.error) == ("done", None)
    print(f"at most {peak / 1e6:.0f} MB, {spent.user + spent.system:.1f} s of a processor")
    assert peak < MOST_MEMORY
    images = fractal.datasets.get("plate").images
    assert images[9_999].attributes["well"] == "B03"
    assert_consistent(fractal, job, before=[f"/data/plate-{i}.zarr" for i in range(10_000)])

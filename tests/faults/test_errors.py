"""Errors where nobody expects one: the job says so, nothing runs on, and retry goes on."""

import os
import signal
import sys
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import NotAllowed
from fractal_jupyter.runner.users import current_user
from tests.faults.helpers import (
    assert_consistent,
    leader,
    other_supervisor,
    starts,
    wait_for_leader,
)
from tests.toy import make_dataset, supervisor_pid, wait_until, worker_pids

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]


POINTS = pytest.mark.parametrize("point", ["UnitChanges._end", "UnitChanges._start"])
SETTINGS = {"fractal_jupyter.runner.supervisor:LONGEST_BACK_OFF_SECONDS": 0.1}


@POINTS
def test_after_an_internal_error_the_job_goes_on(fractal: Fractal, point: str) -> None:
    make_dataset(fractal, 4)
    with other_supervisor(
        fractal._store, f"runner.units:{point}", call=2, error="builtins:RuntimeError"
    ) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(60)
    assert (job.status, job.error) == ("done", None)
    assert set(starts(fractal._store, job).values()) == {1}
    assert_consistent(fractal, job, before=FOUR)


@POINTS
def test_internal_errors_without_end_end_the_job_and_what_runs_of_it(
    fractal: Fractal, tmp_path: Path, point: str
) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    gate = tmp_path / "gate"
    with other_supervisor(
        store,
        f"runner.units:{point}",
        call=0,
        error="builtins:RuntimeError",
        settings=SETTINGS,
    ) as process:
        wait_for_leader(store, process)
        job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate), "only": "-3.zarr"})
        job.wait(60)
        assert job.status == "failed"
        assert "Internal error: RuntimeError: made up by a test" in (job.error or "")
        assert "supervisor.log" in (job.error or "")
        wait_until(lambda: not worker_pids(store))
        assert [step.status for step in job.steps] == ["failed"]
        assert {unit.status for unit in job.units()} == {"interrupted"}
    gate.touch()
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert [step.done for step in job.steps] == [4]


def test_results_that_cannot_be_read_for_a_while(fractal: Fractal) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    options = {"call": 2, "error": "fractal_jupyter.errors:HostError"}
    with other_supervisor(store, "hosts.local:LocalHost.read", **options) as process:  # type: ignore[arg-type]
        wait_for_leader(store, process)
        job = fractal.submit("Toy Parallel", "plate")
        wait_until(lambda: job.waiting_for)
        assert "will try again: made up by a test" in (job.waiting_for or "")
        job.wait(60)
    assert (job.status, job.error, job.waiting_for) == ("done", None, None)
    assert set(starts(store, job).values()) == {1}
    assert_consistent(fractal, job, before=FOUR)


def test_a_supervisor_that_is_told_to_end_leaves_its_jobs_to_the_next_one(
    fractal: Fractal, tmp_path: Path
) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(tmp_path / "gate")})
    wait_until(lambda: job.steps[0].running == 2)
    os.kill(supervisor_pid(store), signal.SIGTERM)
    wait_until(lambda: leader(store) is None)
    lease = store.leases.get(current_user())
    assert lease is not None
    assert lease.released
    assert job.status == "running"
    (tmp_path / "gate").touch()
    job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert set(starts(store, job).values()) == {1}
    assert_consistent(fractal, job, before=FOUR)


DAMAGING_WORKER = """
import json, pathlib, sys
from fractal_jupyter.worker.records import encode
folder = pathlib.Path(sys.argv[-1])
attempt = folder / "attempt-1"
if attempt.exists():
    sys.exit(9)
attempt.mkdir()
end = {"event": "end", "status": "done", "output": None, "log": [0, 0, 0], "started": 1.0}
lines = [encode({"event": "start", "unit": n, "slot": 0, "time": 1.0}) for n in range(2)]
lines += [encode({**end, "unit": 0}).replace(b"done", b"dune"), encode({**end, "unit": 1})]
(attempt / "results-0000").write_bytes(b"".join(lines))
"""


def test_a_result_that_was_damaged_is_no_result(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 2)
    (tmp_path / "worker.py").write_text(DAMAGING_WORKER)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/worker.py "$@"\n')
    script.chmod(0o700)
    with other_supervisor(fractal._store, settings={"sys:executable": str(script)}) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(60)
    assert [unit.status for unit in job.units()] == ["interrupted", "done"]
    assert "is damaged" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR[:2])
    assert job.retry().wait(60).status == "done"
    assert starts(fractal._store, job) == {0: 2, 1: 1}


def test_a_job_is_not_removed_while_it_runs(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 2)
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running == 2)
    with pytest.raises(NotAllowed, match="cancel it before"):
        fractal.jobs.remove(job.id)
    gate.touch()
    job.wait(60)
    folder = Path(job.folder or "")
    assert folder.is_dir()
    fractal.jobs.remove(job.id)
    assert not folder.exists()


def test_internal_errors_before_anything_runs(fractal: Fractal) -> None:
    make_dataset(fractal, 4)
    with other_supervisor(
        fractal._store,
        "runner.driver:Backends.get",
        call=0,
        error="builtins:RuntimeError",
        settings=SETTINGS,
    ) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(60)
        assert "Internal error" in (job.error or "")
        assert_consistent(fractal, job, before=FOUR)
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)

"""`cancel` ends a job wherever it is, and says what became of its units."""

import os
import signal
from pathlib import Path
from typing import Any

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.faults.helpers import (
    Control,
    assert_consistent,
    other_supervisor,
    starts,
    urls,
    wait_for_leader,
    wait_until_stopped,
)
from tests.toy import make_dataset, supervisor_pid, wait_until

RUNNING = "store.running:Running"
FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]


def assert_cancelled(fractal: Fractal, job: Job) -> None:
    assert job.status == "cancelled"
    assert "cancelled" in (job.error or "").lower()
    assert_consistent(fractal, job, before=FOUR)


def cancel_while_stopped_at(
    fractal: Fractal, job_task: str, point: str, moment: str, call: int = 1
) -> Job:
    """Cancel a job while the supervisor has stopped at `point`; it goes on afterwards."""
    make_dataset(fractal, 4)
    options = {"call": call, "by": signal.SIGSTOP}
    with other_supervisor(fractal._store, point, moment, **options) as process:  # type: ignore[arg-type]
        wait_for_leader(fractal._store, process)
        job = fractal.submit(job_task, "plate")
        wait_until_stopped(process)
        job.cancel()
        process.send_signal(signal.SIGCONT)
        return job.wait(60)


def test_before_it_is_planned(fractal: Fractal) -> None:
    job = cancel_while_stopped_at(fractal, "Toy Parallel", f"{RUNNING}.start_job", "before")
    assert_cancelled(fractal, job)
    assert not starts(fractal._store, job)


def test_while_it_is_planned(fractal: Fractal) -> None:
    job = cancel_while_stopped_at(fractal, "Toy Parallel", f"{RUNNING}.add_units", "after")
    assert_cancelled(fractal, job)
    assert [unit.status for unit in job.units()] == ["cancelled"] * 4
    assert not starts(fractal._store, job)


def test_between_the_two_parts_of_a_compound_task(fractal: Fractal) -> None:
    job = cancel_while_stopped_at(fractal, "Toy Compound", f"{RUNNING}.add_units", "after", 2)
    assert_cancelled(fractal, job)
    assert [unit.status for unit in job.units()] == ["done", *["cancelled"] * 4]
    assert starts(fractal._store, job).keys() == {0}
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)


def test_after_its_last_unit(fractal: Fractal) -> None:
    """Nothing is left to cancel: the job is done, with all it has done to the image list."""
    job = cancel_while_stopped_at(fractal, "Toy Copy", "runner.step:StepRun.merge", "before")
    assert (job.status, job.error) == ("done", None)
    assert len(urls(fractal)) == 8
    assert_consistent(fractal, job, before=FOUR)


def test_while_units_run(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 4)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(tmp_path / "gate")})
    wait_until(lambda: job.steps[0].running)
    assert_cancelled(fractal, job.cancel().wait(60))


def test_while_it_is_retried(fractal: Fractal, control: Control, tmp_path: Path) -> None:
    make_dataset(fractal, 4)
    control.units("assert not zarr_url.endswith('-2.zarr')")
    job = fractal.submit("Scripted", "plate", **control.arguments).wait(60)
    control.units("import time; time.sleep(100)")
    job.retry()
    wait_until(lambda: job.steps[0].running)
    assert_cancelled(fractal, job.cancel().wait(60))
    assert [unit.status for unit in job.units()] == ["done", "done", "cancelled", "done"]
    control.units("")
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)


def test_while_the_supervisor_is_dead(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 4)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(tmp_path / "gate")})
    wait_until(lambda: job.steps[0].running)
    os.kill(supervisor_pid(fractal._store), signal.SIGKILL)
    assert_cancelled(fractal, job.cancel().wait(60))


def test_while_the_supervisor_is_dead_and_the_next_steps_wait(
    fractal: Fractal, tmp_path: Path
) -> None:
    make_dataset(fractal, 4)
    gate = tmp_path / "gate"
    first: dict[str, Any] = {"task": "Toy Parallel", "args": {"gate": str(gate)}}
    job = fractal.submit(
        fractal.workflows.create("w", steps=[first, {"task": "Toy Copy"}]), "plate"
    )
    wait_until(lambda: job.steps[0].running)
    os.kill(supervisor_pid(fractal._store), signal.SIGKILL)
    # Its units end before anybody knows that the job was cancelled: what is done is done.
    gate.touch()
    assert_cancelled(fractal, job.cancel().wait(60))
    assert [step.status for step in job.steps][1] == "cancelled"

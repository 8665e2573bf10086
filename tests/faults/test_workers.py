"""Workers, and what they start, are killed, stopped and kept from starting."""

import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.schedulers.processes import alive, identity
from tests.faults.helpers import (
    Control,
    assert_consistent,
    other_supervisor,
    records_of,
    starts,
    wait_for_leader,
)
from tests.toy import make_dataset, wait_until, worker_pids

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]
UNKNOWN = "had done until then is not known"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def submit_gated(fractal: Fractal, gate: Path, **options: object) -> Job:
    """Submit four units, and return when two of them wait at the gate."""
    make_dataset(fractal, 4)
    fractal.resources.update("Local resource", jobs_runner_config={"parallel_tasks_per_job": 2})
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)}, **options)  # type: ignore[arg-type]
    wait_until(lambda: job.steps[0].running == 2)
    wait_until(lambda: len(waiting(gate)) == 2)
    return job


def signal_worker(fractal: Fractal, number: signal.Signals) -> None:
    (worker,) = worker_pids(fractal._store)
    os.kill(worker, number)


def waiting(gate: Path) -> list[int]:
    """The units (processes) that have come to the gate."""
    return [int(path.suffixes[-2][1:]) for path in gate.parent.glob(f"{gate.name}.*.waiting")]


def statuses(job: Job) -> list[str]:
    return [unit.status for unit in job.units()]


def test_a_unit_is_killed(fractal: Fractal, gate: Path) -> None:
    job = submit_gated(fractal, gate)
    os.kill(waiting(gate)[0], signal.SIGKILL)
    gate.touch()
    job.wait(60)
    (bad,) = job.units(status="failed")
    assert bad.signal == signal.SIGKILL
    assert "killed by SIGKILL" in (bad.error or "")
    assert bad.error is not None
    assert bad.error in (job.error or "")
    assert_consistent(fractal, job, before=FOUR)
    job.retry().wait(60)
    assert job.status == "done"
    assert starts(fractal._store, job).total() == 5
    assert_consistent(fractal, job, before=FOUR)


def test_the_process_that_units_are_forked_from_is_killed(fractal: Fractal, gate: Path) -> None:
    job = submit_gated(fractal, gate)
    (worker,) = worker_pids(fractal._store)
    (forker,) = psutil.Process(worker).children()
    assert {child.pid for child in forker.children()} == set(waiting(gate))
    forker.kill()
    gate.touch()
    job.wait(60)
    assert statuses(job) == ["interrupted", "interrupted", "done", "done"]
    assert "killed by SIGKILL" in (job.units()[0].error or "")
    assert UNKNOWN in (job.units()[0].error or "")
    assert_consistent(fractal, job, before=FOUR)
    job.retry().wait(60)
    assert job.status == "done"
    assert starts(fractal._store, job) == {0: 2, 1: 2, 2: 1, 3: 1}
    assert_consistent(fractal, job, before=FOUR)


def test_a_worker_is_killed(fractal: Fractal, gate: Path) -> None:
    job = submit_gated(fractal, gate)
    units = [psutil.Process(pid) for pid in waiting(gate)]
    signal_worker(fractal, signal.SIGKILL)
    psutil.wait_procs(units, timeout=30)
    assert not any(unit.is_running() for unit in units)
    gate.touch()
    job.wait(60)
    assert statuses(job) == ["interrupted", "interrupted", "done", "done"]
    first = job.units()[0]
    assert "was running when its worker was killed by SIGKILL (9)" in (first.error or "")
    assert UNKNOWN in (first.error or "")
    assert first.started is not None
    assert_consistent(fractal, job, before=FOUR)


def test_what_a_unit_wrote_before_its_worker_was_killed_can_be_read(
    fractal: Fractal, control: Control, tmp_path: Path
) -> None:
    make_dataset(fractal, 1)
    control.units(
        "import pathlib, time\n"
        "print('half way through', flush=True)\n"
        f"pathlib.Path('{tmp_path}/reached').touch()\n"
        "time.sleep(100)"
    )
    job = fractal.submit("Scripted", "plate", **control.arguments)
    wait_until((tmp_path / "reached").exists)
    wait_until(lambda: job.steps[0].running)
    signal_worker(fractal, signal.SIGKILL)
    job.wait(60)
    assert statuses(job) == ["interrupted"]
    assert job.log(0) == "half way through\n"


def test_a_worker_is_killed_when_nothing_waits_to_be_started(fractal: Fractal, gate: Path) -> None:
    make_dataset(fractal, 2)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running == 2)
    signal_worker(fractal, signal.SIGKILL)
    job.wait(60)
    assert statuses(job) == ["interrupted", "interrupted"]
    assert "The unit was running when its worker was killed by SIGKILL (9)" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR[:2])


def test_what_a_unit_has_started_does_not_outlive_its_worker(
    fractal: Fractal, control: Control, tmp_path: Path
) -> None:
    """A retry would find it at work on the same image."""
    make_dataset(fractal, 1)
    control.units(
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        f"pathlib.Path('{tmp_path}/child').write_text(str(child.pid) + ';')\n"
        "time.sleep(1000)"
    )
    job = fractal.submit("Scripted", "plate", **control.arguments)
    wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text()[-1:])
    child = identity(int((tmp_path / "child").read_text()[:-1]))
    wait_until(lambda: job.steps[0].running)
    signal_worker(fractal, signal.SIGKILL)
    job.wait(60)
    assert statuses(job) == ["interrupted"]
    assert alive(child) is False
    assert_consistent(fractal, job, before=FOUR[:1])


def test_units_that_were_cut_off_are_run_again_if_that_is_wanted(
    fractal: Fractal, gate: Path
) -> None:
    job = submit_gated(fractal, gate, rerun_interrupted=True)
    signal_worker(fractal, signal.SIGKILL)
    gate.touch()
    job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(fractal._store, job) == {0: 2, 1: 2, 2: 1, 3: 1}
    assert_consistent(fractal, job, before=FOUR)


def test_the_last_units_are_run_again_too(fractal: Fractal, gate: Path) -> None:
    make_dataset(fractal, 2)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)}, rerun_interrupted=True)
    wait_until(lambda: job.steps[0].running == 2)
    signal_worker(fractal, signal.SIGKILL)
    gate.touch()
    job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert_consistent(fractal, job, before=FOUR[:2])


def test_a_worker_is_told_to_end_by_somebody_else(fractal: Fractal, gate: Path) -> None:
    """As when the machine goes down: nobody has cancelled the job, so it is not cancelled."""
    job = submit_gated(fractal, gate)
    units = [psutil.Process(pid) for pid in waiting(gate)]
    signal_worker(fractal, signal.SIGTERM)
    psutil.wait_procs(units, timeout=30)
    gate.touch()
    job.wait(60)
    assert job.status == "failed"
    assert statuses(job) == ["interrupted", "interrupted", "done", "done"]
    assert "its worker was told to end" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR)
    assert job.retry().wait(60).status == "done"


def test_a_worker_is_replaced_by_a_supervisor_that_dies_before_it_can_say_so(
    fractal: Fractal, gate: Path
) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    point = "schedulers.direct:DirectScheduler.submit"
    with other_supervisor(store, point, "after", call=2) as process:
        wait_for_leader(store, process)
        job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
        wait_until(lambda: job.steps[0].running == 2)
        signal_worker(fractal, signal.SIGKILL)
        wait_until(lambda: process.poll() is not None)
    gate.touch()
    job.wait(60)
    assert statuses(job) == ["interrupted", "interrupted", "done", "done"]
    assert {attempt for _, attempt, _ in records_of(store, job)} == {"attempt-1", "attempt-2"}
    assert_consistent(fractal, job, before=FOUR)


def wrapped_python(folder: Path, *, deaths: int) -> str:
    """A Python that is killed before it does anything, the first times that it is started."""
    script = folder / "python"
    script.write_text(
        "#!/bin/sh\n"
        f"echo started >> {folder}/starts\n"
        f"[ $(wc -l < {folder}/starts) -gt {deaths} ] || kill -KILL $$\n"
        f'exec {sys.executable} "$@"\n'
    )
    script.chmod(0o700)
    return str(script)


def test_a_worker_is_killed_before_it_has_written_anything(
    fractal: Fractal, tmp_path: Path
) -> None:
    make_dataset(fractal, 4)
    settings = {"sys:executable": wrapped_python(tmp_path, deaths=2)}
    with other_supervisor(fractal._store, settings=settings) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(60)
    assert (job.status, job.error) == ("done", None)
    assert_consistent(fractal, job, before=FOUR)


def test_a_worker_is_always_killed_before_it_has_written_anything(
    fractal: Fractal, tmp_path: Path
) -> None:
    make_dataset(fractal, 4)
    settings = {"sys:executable": wrapped_python(tmp_path, deaths=99)}
    with other_supervisor(fractal._store, settings=settings) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(60)
        assert job.status == "failed"
        assert "It never started: its worker was killed by SIGKILL (9)" in (job.error or "")
        assert len((tmp_path / "starts").read_text().splitlines()) == 3
        assert_consistent(fractal, job, before=FOUR)
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)


def test_the_interpreter_of_the_worker_is_missing(fractal: Fractal) -> None:
    make_dataset(fractal, 4)
    settings = {"sys:executable": "/nowhere/python"}
    with other_supervisor(fractal._store, settings=settings) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit("Toy Parallel", "plate").wait(60)
        assert job.status == "failed"
        assert "/nowhere/python: No such file or directory" in (job.error or "")
        assert_consistent(fractal, job, before=FOUR)
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)


def test_the_folder_of_the_job_cannot_be_made(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 4)
    (tmp_path / "file").write_text("no folder")
    fractal.resources.update("Local resource", jobs_local_dir=f"{tmp_path}/file/jobs")
    job = fractal.submit("Toy Parallel", "plate").wait(60)
    assert job.status == "failed"
    assert f"{tmp_path}/file" in (job.error or "")
    assert "Not a directory" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR)
    (tmp_path / "file").unlink()
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)


def test_the_folder_of_the_job_is_removed_while_it_runs(fractal: Fractal, gate: Path) -> None:
    job = submit_gated(fractal, gate)
    assert job.folder is not None
    shutil.rmtree(job.folder, ignore_errors=True)  # the worker may make another file meanwhile
    job.wait(60)
    assert statuses(job) == ["interrupted", "interrupted", "failed", "failed"]
    assert "was removed" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR)
    gate.touch()
    assert job.retry().wait(60).status == "done"
    assert_consistent(fractal, job, before=FOUR)


def test_a_worker_that_does_nothing_any_more_can_be_cancelled(fractal: Fractal, gate: Path) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    settings = {"fractal_jupyter.runner.phase:CANCEL_PATIENCE_SECONDS": 0.5}
    with other_supervisor(store, settings=settings) as process:
        wait_for_leader(store, process)
        job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
        wait_until(lambda: job.steps[0].running == 2)
        signal_worker(fractal, signal.SIGSTOP)
        job.cancel().wait(60)
    assert statuses(job) == ["cancelled"] * 4
    assert_consistent(fractal, job, before=FOUR)


@pytest.mark.slow
def test_a_unit_does_not_end_when_it_is_told_to(fractal: Fractal, control: Control) -> None:
    make_dataset(fractal, 1)
    control.units("import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()")
    job = fractal.submit("Scripted", "plate", **control.arguments)
    wait_until(lambda: job.steps[0].running == 1)
    job.cancel().wait(60)
    assert statuses(job) == ["cancelled"]
    assert_consistent(fractal, job, before=FOUR[:1])

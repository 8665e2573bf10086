"""Supervisors that compete, stop, come back, or cannot start: one drives, and only one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.errors import SupervisorFailed
from fractal_jupyter.runner import launch
from fractal_jupyter.runner.users import current_user
from tests.faults.helpers import (
    IMPATIENT,
    assert_consistent,
    leader,
    other_supervisor,
    starts,
    wait_for_leader,
    wait_until_stopped,
)
from tests.toy import make_dataset, supervisor_pid, wait_until, worker_pids

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]


def assert_done_once(fractal: Fractal, job: Job) -> None:
    assert (job.status, job.error) == ("done", None)
    assert set(starts(fractal._store, job).values()) == {1}
    assert_consistent(fractal, job, before=FOUR)


def test_two_that_start_at_once(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    with (
        other_supervisor(store, settings=IMPATIENT) as one,
        other_supervisor(store, settings=IMPATIENT) as two,
    ):
        wait_until(lambda: leader(store))
        job = fractal.submit("Toy Parallel", "plate", args={"gate": str(tmp_path / "gate")})
        wait_until(lambda: one.poll() is not None or two.poll() is not None)
        assert {one.poll(), two.poll()} == {0, None}
        assert leader(store) in (one.pid, two.pid)
        (tmp_path / "gate").touch()
        assert_done_once(fractal, job.wait(60))
        lease = store.leases.get(current_user())
        assert lease is not None
        assert lease.epoch == 1


@pytest.mark.parametrize(
    ("point", "moment"),
    [
        ("store.running:Running.add_units", "before"),
        ("store.running:Running.add_batches", "after"),
        ("schedulers.direct:DirectScheduler.submit", "after"),
        ("store.running:Running.record_results", "before"),
        ("runner.step:StepRun.merge", "before"),
        ("store.running:Running.end_job", "before"),
    ],
)
def test_one_that_was_stopped_and_replaced_does_nothing_when_it_goes_on(
    fractal: Fractal, point: str, moment: str
) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    with other_supervisor(store, point, moment, by=signal.SIGSTOP, settings=IMPATIENT) as stopped:
        wait_for_leader(store, stopped)
        job = fractal.submit("Toy Parallel", "plate")
        wait_until_stopped(stopped)
        with other_supervisor(store, settings=IMPATIENT) as next_one:
            wait_for_leader(store, next_one)
            assert_done_once(fractal, job.wait(60))
            before = (store.jobs.get(job.id), store.jobs.steps(job.id), store.jobs.units(job.id))
            stopped.send_signal(signal.SIGCONT)
            assert stopped.wait(30) == 0
            assert leader(store) == next_one.pid
            after = (store.jobs.get(job.id), store.jobs.steps(job.id), store.jobs.units(job.id))
            assert after == before
    assert_done_once(fractal, job)


def test_one_that_goes_on_while_its_successor_works(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    gate = tmp_path / "gate"
    with other_supervisor(store, settings=IMPATIENT) as stopped:
        wait_for_leader(store, stopped)
        job = fractal.submit("Toy Parallel", "plate", args={"gate": str(gate)})
        wait_until(lambda: job.steps[0].running == 2)
        stopped.send_signal(signal.SIGSTOP)
        wait_until_stopped(stopped)
        with other_supervisor(store, settings=IMPATIENT) as next_one:
            wait_for_leader(store, next_one)
            # Both look at the same results, which stream in now.
            stopped.send_signal(signal.SIGCONT)
            gate.touch()
            assert stopped.wait(30) == 0
            assert_done_once(fractal, job.wait(60))


def test_the_lease_changes_hands_again_and_again_while_results_stream_in(
    fractal: Fractal, tmp_path: Path
) -> None:
    store = fractal._store
    make_dataset(fractal, 200)
    # The last unit waits, so that there is something to be recorded until the end.
    args = {"gate": str(tmp_path / "gate"), "only": "-199.zarr"}
    for moment in ("after", "before", "after"):
        with other_supervisor(store, "store.running:Running.record_results", moment) as process:
            if moment == "after" and not fractal.jobs.list():
                wait_for_leader(store, process)
                fractal.submit("Toy Parallel", "plate", args=args)
            wait_until(lambda p=process: p.poll() == -signal.SIGKILL)  # type: ignore[misc]
    (job,) = fractal.jobs.list()
    assert 0 < job.steps[0].done < 200
    (tmp_path / "gate").touch()
    job.wait(60)
    lease = store.leases.get(current_user())
    assert lease is not None
    assert lease.epoch == 4
    assert (job.status, job.error) == ("done", None)
    assert set(starts(store, job).values()) == {1}
    assert_consistent(fractal, job, before=[f"/data/plate-{i}.zarr" for i in range(200)])


def test_a_job_submitted_while_ones_own_supervisor_is_about_to_end(fractal: Fractal) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    with other_supervisor(
        store,
        "store.leases:Leases.release_if_idle",
        "after",
        by=signal.SIGSTOP,
        idle_seconds=0.1,
    ) as ending:
        wait_until_stopped(ending)
        launch._started[store.url] = ending
        job = fractal.submit("Toy Parallel", "plate")
        # Nobody waits for the job: whoever was started must find it.
        wait_until(lambda: job.status == "done")
        launch._dismissed.remove(ending)
    assert_done_once(fractal, job)


def test_everything_is_killed_at_once_and_found_again(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    gate = tmp_path / "gate"
    client = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys; from fractal_jupyter import Fractal\n"
            f"fractal = Fractal({store.url!r})\n"
            f"fractal.submit('Toy Parallel', 'plate', args={{'gate': {str(gate)!r}}}).wait()",
        ],
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: len(fractal.jobs.list()))
    job = fractal.jobs.list()[0]
    wait_until(lambda: job.steps[0].running == 2)
    victims = [client.pid, supervisor_pid(store), *worker_pids(store)]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    client.wait()
    gate.touch()
    found = Fractal(store.url)
    job = found.jobs.get(job.id).wait(60)
    assert job.status == "failed"
    assert [unit.status for unit in job.units()] == ["interrupted", "interrupted", "done", "done"]
    assert "had done until then is not known" in (job.units()[0].error or "")
    assert_consistent(found, job, before=FOUR)
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(store, job) == {0: 2, 1: 2, 2: 1, 3: 1}
    assert_consistent(found, job, before=FOUR)
    found.close()


def test_a_client_that_is_killed_takes_nothing_with_it(fractal: Fractal, tmp_path: Path) -> None:
    store = fractal._store
    make_dataset(fractal, 4)
    gate = tmp_path / "gate"
    client = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "from fractal_jupyter import Fractal\n"
            f"fractal = Fractal({store.url!r})\n"
            f"fractal.submit('Toy Parallel', 'plate', args={{'gate': {str(gate)!r}}}).wait()",
        ],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(fractal.jobs.list()))
    job = fractal.jobs.list()[0]
    wait_until(lambda: job.steps[0].running == 2)
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()
    gate.touch()
    wait_until(lambda: job.status == "done")
    assert_done_once(fractal, job)


def test_a_supervisor_that_cannot_start_is_said_to_who_waits(
    fractal: Fractal, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(fractal, 4)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        job = fractal.submit("Toy Parallel", "plate")
        with pytest.raises(SupervisorFailed, match=r"exit status 1.*supervisor\.log"):
            job.wait(60)
    assert job.status == "submitted"
    assert_done_once(fractal, job.wait(60))


def test_no_process_can_be_started_at_all(
    fractal: Fractal, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(fractal, 4)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(SupervisorFailed, match=r"/nowhere/python.*jobs\.list\(\)"):
            fractal.submit("Toy Parallel", "plate")
    (job,) = fractal.jobs.list()
    assert job.status == "submitted"
    assert_done_once(fractal, job.wait(60))


def test_who_only_looks_at_a_job_has_it_driven_on(fractal: Fractal, tmp_path: Path) -> None:
    make_dataset(fractal, 2)
    job = fractal.submit("Toy Parallel", "plate", args={"gate": str(tmp_path / "gate")})
    wait_until(lambda: leader(fractal._store) and job.units(status="running"))
    dead = supervisor_pid(fractal._store)
    os.kill(dead, signal.SIGKILL)
    (tmp_path / "gate").touch()
    wait_until(lambda: job.status == "done")

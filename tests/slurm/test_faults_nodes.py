"""Nodes die, jobs are queued again, pushed aside or cancelled: what has ended is not run again."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.runner.users import current_user
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import Diary, assert_survived
from tests.slurm.machine import Cluster, run
from tests.slurm.test_own import states, statuses
from tests.slurm.ways import images
from tests.toy import wait_until

# Of each of the two batches, this unit is in its middle when something happens.
HELD = ("plate-2.zarr", "plate-6.zarr")
DONE_BUT_ONE = ["done", "done", "interrupted", "done", "done", "done", "done", "done"]


@pytest.fixture
def fractal(own_fractal: MakeFractal) -> Fractal:
    return own_fractal()


def submit_held(
    fractal: Fractal, folder: Path, diary: Diary, *, held: tuple[str, ...] = HELD, **options: object
) -> Job:
    """A job of two batches of four units, of which all have ended but those that are held."""
    diary.hold(*held)
    job = fractal.submit(
        "Scripted",
        images(fractal, folder, 8),
        meta={"tasks_per_job": 4, "parallel_tasks_per_job": 2},
        **diary.arguments,
        **options,  # type: ignore[arg-type]
    )
    wait_until(
        lambda: (job.steps[0].done, job.steps[0].running) == (8 - len(held), len(held)), seconds=60
    )
    return job


def element(job: Job, batch: int) -> str:
    """What SLURM calls a batch."""
    handle = job._store.jobs.batches(job.id)[batch].handle
    assert handle is not None
    return f"{handle['job']}_{handle['element']}"


def node_of(job: Job, cluster: Cluster, batch: int) -> str:
    return cluster.job(element(job, batch)).node


def let_start_again(cluster: Cluster, job: Job, batch: int) -> None:
    """Wait until a batch is queued again, and let it start."""
    cluster.wait_for(element(job, batch), "PENDING")
    cluster.start_now(element(job, batch))


def assert_first_was_interrupted(
    fractal: Fractal, job: Job, cluster: Cluster, diary: Diary, words: str
) -> None:
    """Check that only the unit that was held in the first batch was cut off; run it again."""
    # Before anything is let go: it must be cut off in its middle, however long that takes.
    wait_until(lambda: statuses(job)[2] == "interrupted", seconds=120)
    diary.let_go()
    job.wait(120)
    assert statuses(job) == DONE_BUT_ONE, job.error
    assert re.search(words, job.units()[2].error or "")
    assert_survived(fractal, job, cluster, diary)
    job.retry().wait(120)
    assert job.status == "done", job.error
    assert_survived(fractal, job, cluster, diary)
    assert diary.times("start")["plate-2.zarr"] == 2
    assert diary.times("start").total() == 9


def assert_first_was_run_again(fractal: Fractal, job: Job, cluster: Cluster, diary: Diary) -> None:
    diary.let_go()
    job.wait(120)
    assert job.status == "done", job.error
    assert_survived(fractal, job, cluster, diary)
    assert diary.times("start")["plate-2.zarr"] == 2
    assert diary.times("start").total() == 9


def test_a_job_is_queued_again(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    run("scontrol", "requeue", element(job, 0))
    assert_first_was_interrupted(fractal, job, cluster, diary, "put back into the queue")


def test_what_a_job_that_is_queued_again_was_doing_is_done_again_if_that_is_wanted(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary, rerun_interrupted=True)
    run("scontrol", "requeue", element(job, 0))
    let_start_again(cluster, job, 0)
    assert_first_was_run_again(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
@pytest.mark.parametrize("rerun", [False, True])
def test_a_node_crashes(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary, rerun: bool
) -> None:
    job = submit_held(fractal, shared_folder, diary, held=HELD[:1], rerun_interrupted=rerun)
    node = node_of(job, cluster, 0)
    cluster.crash_node(node)
    cluster.lose_node(node)
    let_start_again(cluster, job, 0)
    if rerun:
        assert_first_was_run_again(fractal, job, cluster, diary)
    else:
        assert_first_was_interrupted(fractal, job, cluster, diary, "not known")


@pytest.mark.slurm_faults
def test_the_daemon_of_a_node_dies_and_the_job_is_started_beside_the_one_that_runs(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary, held=HELD[:1])
    node = node_of(job, cluster, 0)
    cluster.kill_node(node)
    cluster.lose_node(node)
    let_start_again(cluster, job, 0)
    assert_first_was_interrupted(fractal, job, cluster, diary, "")


@pytest.mark.slurm_faults
def test_units_end_while_the_daemon_of_their_node_is_dead(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    for node in {node_of(job, cluster, 0), node_of(job, cluster, 1)}:
        cluster.kill_node(node)
    diary.let_go()
    job.wait(120)
    assert job.status == "done"
    for node in ("node1", "node2"):
        cluster.start_node(node)
    assert_survived(fractal, job, cluster, diary)
    assert set(diary.times("start").values()) == {1}


@pytest.mark.slurm_faults
@pytest.mark.parametrize("rerun", [False, True])
def test_a_job_is_pushed_aside(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary, rerun: bool
) -> None:
    fractal = own_fractal(options={"partition": "preemptible"})
    job = submit_held(fractal, shared_folder, diary, held=HELD[:1], rerun_interrupted=rerun)
    urgent = cluster.submit("sleep 1000", "--partition=main", "--nodes=2", "--exclusive")
    cluster.wait_for(urgent, "RUNNING", seconds=60)
    run("scancel", urgent)
    if rerun:
        let_start_again(cluster, job, 0)
        assert_first_was_run_again(fractal, job, cluster, diary)
    else:
        assert_first_was_interrupted(fractal, job, cluster, diary, "had to make room")


@pytest.mark.slurm_faults
@pytest.mark.parametrize(
    "accounting",
    [False, pytest.param(True, marks=pytest.mark.cluster_options(accounting=True))],
)
def test_a_job_is_told_some_time_before_it_is_pushed_aside(
    own_fractal: MakeFractal,
    cluster: Cluster,
    shared_folder: Path,
    diary: Diary,
    accounting: bool,
) -> None:
    """Which is not the same as that somebody has told it to end."""
    fractal = own_fractal(options={"partition": "graceful"})
    job = submit_held(fractal, shared_folder, diary, held=HELD[:1])
    urgent = cluster.submit("sleep 1000", "--partition=main", "--nodes=2", "--exclusive")
    cluster.wait_for(urgent, "RUNNING", seconds=60)
    run("scancel", urgent)
    job.wait(120)
    assert statuses(job) == DONE_BUT_ONE, job.error
    cut_off = job.units()[2]
    assert cut_off.problem == "preempted", (accounting, cut_off.error)
    assert "had to make room" in (cut_off.error or "")


@pytest.mark.slurm_faults
@pytest.mark.parametrize("how", ["preempted", "requeued"])
def test_a_job_with_nothing_left_to_run_does_not_wait_to_be_started_again(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, how: str
) -> None:
    fractal = own_fractal(options={"partition": "preemptible"})
    dataset = images(fractal, shared_folder, 1)
    job = fractal.submit("Toy Parallel", dataset, args={"behaviour": "forever"})
    wait_until(lambda: job.steps[0].running == 1)
    if how == "requeued":
        run("scontrol", "requeue", element(job, 0))
    else:
        cluster.submit("sleep 1000", "--partition=main", "--nodes=2", "--exclusive")
    begun = time.monotonic()
    job.wait(120)
    assert time.monotonic() - begun < 60
    (unit,) = job.units()
    assert (unit.status, unit.problem) == ("interrupted", how)
    assert states(job, cluster) <= {"CANCELLED", "COMPLETING"}


def test_somebody_cancels_an_element_that_runs(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    run("scancel", element(job, 0))
    wait_until(lambda: statuses(job)[2] != "running", seconds=60)
    assert statuses(job)[6] == "running"
    assert_first_was_interrupted(fractal, job, cluster, diary, "cancelled")


@pytest.mark.slurm_faults
@pytest.mark.parametrize(
    "user",
    [
        pytest.param("", id="without-accounting"),
        pytest.param(
            f" by {current_user()}",
            id="with-accounting",
            marks=pytest.mark.cluster_options(accounting=True),
        ),
    ],
)
def test_somebody_cancels_elements_before_they_begin(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary, user: str
) -> None:
    fractal = own_fractal(options={"partition": "down"})
    job = fractal.submit(
        "Scripted",
        images(fractal, shared_folder, 6),
        meta={"tasks_per_job": 2, "parallel_tasks_per_job": 2},
        **diary.arguments,
    )
    wait_until(
        lambda: "its partition, which is down" in (fractal.jobs.get(job.id).waiting_for or ""),
        seconds=60,
    )
    # SLURM says nothing of an element that is cancelled while others of its array wait,
    run("scancel", element(job, 1))
    wait_until(lambda: statuses(job) == ["pending"] * 2 + ["failed"] * 2 + ["pending"] * 2)
    # but of the array when nothing of it is left, and accounting knows by whom.
    run("scancel", element(job, 0).partition("_")[0])
    job.wait(20)
    assert statuses(job) == ["failed"] * 6
    assert {unit.problem for unit in job.units()} == {"cancelled_from_outside"}
    errors = [unit.error or "" for unit in job.units()]
    assert all("was cancelled" in error and "before it began" in error for error in errors)
    assert f"was cancelled{user} before it began" in errors[5]
    assert not diary.times("start")
    assert_survived(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
@pytest.mark.cluster_options(cgroups=False)
def test_slurm_itself_ends_a_job_for_its_memory(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path
) -> None:
    assert not cluster.has_cgroups
    fractal = own_fractal()
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, shared_folder, 1),
        args={"behaviour": "memory"},
    ).wait(120)
    (unit,) = job.units()
    assert (unit.status, unit.problem) == ("failed", "out_of_memory"), unit.error
    assert "ran out of memory" in (unit.error or "")
    assert "`mem`" in (unit.error or "")


@pytest.mark.slurm_faults
def test_without_accounting_a_missing_interpreter_is_told(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path
) -> None:
    del cluster
    fractal = own_fractal(python="/nowhere/python3.11")
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 1)).wait(60)
    (unit,) = job.units()
    assert (unit.status, unit.problem) == ("failed", "worker_could_not_start")
    assert "the interpreter of the worker is not there" in (unit.error or "")
    assert "/nowhere/python3.11" in (unit.error or "")

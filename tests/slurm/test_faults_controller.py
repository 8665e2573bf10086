"""SLURM's controller hangs, dies, or says odd things: who does not answer ends no job."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import (
    Commands,
    Diary,
    arrays_in_queue,
    assert_done_once,
    assert_survived,
    queue,
)
from tests.slurm.machine import Cluster
from tests.slurm.ways import IN_ALL_WAYS, images
from tests.toy import wait_until


@pytest.fixture
def fractal(fractal_of_way: MakeFractal) -> Fractal:
    return fractal_of_way()


def submit_held(fractal: Fractal, folder: Path, diary: Diary, count: int = 4) -> Job:
    """A job of four units side by side, of which all are in their middle."""
    diary.hold()
    job = fractal.submit("Scripted", images(fractal, folder, count), **diary.arguments)
    wait_until(lambda: job.steps[0].running == count)
    return job


def waits(fractal: Fractal, job: Job) -> str:
    return fractal.jobs.get(job.id).waiting_for or ""


@pytest.mark.slurm_faults
def test_units_end_and_are_seen_while_the_controller_hangs_for_a_minute(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    with cluster.paused():
        began = time.monotonic()
        wait_until(lambda: "SLURM" in waits(fractal, job), seconds=60)
        diary.let_go(but=["plate-3.zarr"])
        wait_until(lambda: job.steps[0].done == 3)
        wait_until(lambda: time.monotonic() - began > 60, seconds=90)
        assert (job.status, job.steps[0].running) == ("running", 1)
    wait_until(lambda: not waits(fractal, job))
    assert job.status == "running"
    diary.let_go()
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


def test_a_job_ends_while_the_controller_hangs(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    """A result of a unit outranks whatever SLURM says of its job."""
    job = submit_held(fractal, shared_folder, diary)
    with cluster.paused():
        diary.let_go()
        job.wait(60)
        assert job.status == "done"
    assert_done_once(fractal, job, cluster, diary)


@IN_ALL_WAYS
def test_the_controller_is_killed_and_started_again(
    fractal: Fractal, cluster: Cluster, folder_of_way: Path, diary: Diary
) -> None:
    job = submit_held(fractal, folder_of_way, diary)
    (array,) = arrays_in_queue(job)
    cluster.wait_until_saved(array)
    cluster.kill_controller()
    try:
        wait_until(lambda: "SLURM" in waits(fractal, job))
        assert (job.status, job.steps[0].running) == ("running", 4)
    finally:
        cluster.start_controller()
    diary.let_go()
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
def test_a_controller_that_has_forgotten_the_job(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    """Killed before it saved it: the heartbeats of the workers say that they live."""
    with cluster.forgetting():
        job = submit_held(fractal, shared_folder, diary)
    try:
        wait_until(lambda: not waits(fractal, job), seconds=60)
        assert not arrays_in_queue(job)
        diary.let_go()
        job.wait(120)
        assert_survived(fractal, job, cluster, diary)
        assert set(diary.times("start").values()) == {1}
    finally:
        cluster.restart_nodes()


@pytest.mark.slurm_faults
def test_a_job_is_cancelled_while_the_controller_hangs(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    with cluster.paused():
        job.cancel()
        wait_until(lambda: "SLURM" in waits(fractal, job), seconds=120)
        assert job.status == "running"
        assert job.steps[0].running == 4
    job.wait(180)
    assert job.status == "cancelled"
    assert {unit.status for unit in job.units()} == {"cancelled"}
    assert_survived(fractal, job, cluster, diary)


RECORDED = [
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
    "slurm_load_jobs error: Socket timed out on send/recv operation\n",
    "squeue: error: _parse_next_key: Parsing error at unrecognized key: Foo\n",
]


@pytest.mark.parametrize("words", RECORDED, ids=["cannot connect", "timed out", "misconfigured"])
def test_squeue_fails_and_says_that_all_is_well(
    fractal: Fractal,
    cluster: Cluster,
    commands: Commands,
    shared_folder: Path,
    diary: Diary,
    words: str,
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    commands.says("squeue", stderr=words)
    wait_until(lambda: words.strip()[-20:] in waits(fractal, job))
    diary.let_go(but=["plate-3.zarr"])
    wait_until(lambda: job.steps[0].done == 3)
    assert job.steps[0].running == 1
    commands.restore("squeue")
    wait_until(lambda: not waits(fractal, job))
    diary.let_go()
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


def test_the_answer_of_squeue_is_cut(
    fractal: Fractal, cluster: Cluster, commands: Commands, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    (array,) = arrays_in_queue(job)
    commands.says("squeue", stdout=f"{array}_0|COMPLETED|None|2026-11")
    wait_until(lambda: "SLURM" in waits(fractal, job))
    assert job.steps[0].running == 4
    commands.restore("squeue")
    diary.let_go()
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
def test_no_more_than_two_commands_per_interval_for_twenty_jobs(
    own_fractal: MakeFractal,
    cluster: Cluster,
    commands: Commands,
    shared_folder: Path,
    diary: Diary,
) -> None:
    interval = 2
    fractal = own_fractal(options={"partition": "down"}, poll_seconds=interval)
    jobs = []
    for number in range(20):
        dataset = images(fractal, shared_folder, 1, name=f"plate{number}")
        jobs.append(fractal.submit("Scripted", dataset, **diary.arguments))
    wait_until(lambda: all(waits(fractal, job) for job in jobs), seconds=60)
    assert len({array for job in jobs for array in arrays_in_queue(job)}) == 20
    before, began = commands.calls("squeue", "sacct", "scontrol"), time.monotonic()
    wait_until(lambda: time.monotonic() - began > 5 * interval)
    asked = commands.calls("squeue", "sacct", "scontrol") - before
    assert 2 <= asked <= 2 * math.ceil(5 + 1)
    for job in jobs:
        job.cancel()
    for job in jobs:
        assert job.wait(60).status == "cancelled"
        assert not queue(cluster, job)

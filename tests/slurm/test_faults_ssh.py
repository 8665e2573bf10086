"""The connection to the cluster is cut, freezes, or takes two sessions only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import Commands, Diary, arrays_in_queue, assert_done_once
from tests.slurm.machine import Cluster
from tests.slurm.ways import images
from tests.sshd import Sshd
from tests.toy import wait_until


@pytest.fixture
def sshd_options(shared_folder: Path) -> Mapping[str, str]:
    path = f"{shared_folder}/commands:/usr/local/bin:/usr/bin:/bin"
    return {"MaxSessions": "2", "SetEnv": f"PATH={path}"}


@pytest.fixture
def commands(shared_folder: Path) -> Commands:
    """Commands as they are found behind SSH."""
    return Commands(shared_folder / "commands")


@pytest.fixture
def fractal(remote_fractal: MakeFractal) -> Fractal:
    return remote_fractal()


def submit(fractal: Fractal, folder: Path, diary: Diary, count: int = 4) -> Job:
    return fractal.submit("Scripted", images(fractal, folder, count), **diary.arguments)


@pytest.mark.slurm_faults
def test_a_connection_is_cut_in_the_middle_of_a_submission(
    fractal: Fractal,
    sshd: Sshd,
    cluster: Cluster,
    commands: Commands,
    user_folder: Path,
    diary: Diary,
) -> None:
    """Half a script has arrived: nothing is submitted before all of it has."""
    commands.first_until_let_go("cat", "head -c 1000")
    job = submit(fractal, user_folder, diary)
    wait_until(lambda: commands.waits)
    sshd.cut()
    commands.let_go()
    job.wait(120)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


@pytest.mark.slurm_faults
def test_a_connection_is_cut_when_a_submission_was_accepted(
    fractal: Fractal,
    sshd: Sshd,
    cluster: Cluster,
    commands: Commands,
    user_folder: Path,
    diary: Diary,
) -> None:
    commands.first_until_let_go("sbatch", '"$real" "$@"', "exit 0")
    job = submit(fractal, user_folder, diary)
    wait_until(lambda: commands.waits)
    sshd.cut()
    commands.let_go()
    job.wait(120)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


@pytest.mark.slurm_faults
def test_a_connection_freezes_while_units_run(
    fractal: Fractal, sshd: Sshd, cluster: Cluster, user_folder: Path, diary: Diary
) -> None:
    diary.hold()
    job = submit(fractal, user_folder, diary)
    wait_until(lambda: job.steps[0].running == 4)
    frozen = set(sshd.connections())
    sshd.freeze()
    diary.let_go()
    job.wait(180)
    assert_done_once(fractal, job, cluster, diary)
    assert not frozen & set(sshd.connections())


def test_several_jobs_at_once_on_a_server_that_takes_two_sessions(
    fractal: Fractal, cluster: Cluster, user_folder: Path, diary: Diary
) -> None:
    diary.hold()
    jobs = []
    for number in range(4):
        dataset = images(fractal, user_folder, 2, name=f"plate{number}")
        jobs.append(fractal.submit("Scripted", dataset, **diary.arguments))
    wait_until(lambda: all(job.steps[0].running == 2 for job in jobs), seconds=90)
    diary.let_go()
    for job in jobs:
        assert job.wait(60).status == "done", job.error
        assert len(arrays_in_queue(job)) == 1
    assert not diary.times("met")
    assert set(diary.times("start").values()) == {1}

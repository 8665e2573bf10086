"""All of our processes are gone while the cluster goes on; and the cluster takes only so much."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.runner.users import current_user
from tests.faults.helpers import leader
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import (
    Diary,
    arrays_in_queue,
    assert_done_once,
    assert_survived,
    queue,
)
from tests.slurm.machine import Cluster, run
from tests.slurm.test_own import arrays, statuses
from tests.slurm.ways import IN_ALL_WAYS, images
from tests.toy import supervisor_pid, wait_until

# Batches of one unit, as many as there are units.
ONE_BY_ONE = {"tasks_per_job": 1, "parallel_tasks_per_job": 1}


@pytest.fixture
def fractal(fractal_of_way: MakeFractal) -> Fractal:
    return fractal_of_way()


def submit_held(fractal: Fractal, folder: Path, diary: Diary) -> Job:
    diary.hold()
    job = fractal.submit("Scripted", images(fractal, folder, 4), **diary.arguments)
    wait_until(lambda: job.steps[0].running == 4)
    return job


def end_all_of_ours(fractal: Fractal) -> None:
    """End the supervisor at once, as a reboot would, and leave nobody to start another one."""
    os.kill(supervisor_pid(fractal._store), signal.SIGKILL)
    wait_until(lambda: leader(fractal._store) is None)


@IN_ALL_WAYS
def test_the_machine_reboots_while_units_run(
    fractal: Fractal, cluster: Cluster, folder_of_way: Path, diary: Diary
) -> None:
    job = submit_held(fractal, folder_of_way, diary)
    end_all_of_ours(fractal)
    diary.let_go(but=["plate-3.zarr"])
    wait_until(lambda: diary.times("end").total() == 3)
    with closing(Fractal(fractal._store.url)) as later:
        again = later.jobs.get(job.id)
        assert again.steps[0].running == 4
        diary.let_go()
        again.wait(60)
        assert_done_once(later, again, cluster, diary)


@IN_ALL_WAYS
def test_a_worker_dies_while_nobody_looks(
    fractal: Fractal, cluster: Cluster, folder_of_way: Path, diary: Diary
) -> None:
    """What it has recorded was read by the supervisor before: it had started, nobody forgets."""
    job = submit_held(fractal, folder_of_way, diary)
    end_all_of_ours(fractal)
    run("scancel", "--full", "--signal=KILL", *arrays(job))
    wait_until(lambda: not queue(cluster, job))
    with closing(Fractal(fractal._store.url)) as later:
        again = later.jobs.get(job.id).wait(120)
        assert statuses(again) == ["interrupted"] * 4
        assert "was running when" in (again.units()[0].error or "")
        assert "before its worker ran" not in (again.error or "")
        assert_survived(later, again, cluster, diary)
        diary.let_go()
        assert again.retry().wait(60).status == "done"


@IN_ALL_WAYS
@pytest.mark.cluster_options(settings={"MinJobAge": 2})
def test_the_machine_reboots_and_the_cluster_has_finished_and_forgotten(
    fractal: Fractal, cluster: Cluster, folder_of_way: Path, diary: Diary
) -> None:
    job = submit_held(fractal, folder_of_way, diary)
    end_all_of_ours(fractal)
    diary.let_go()
    wait_until(lambda: not arrays_in_queue(job))
    with closing(Fractal(fractal._store.url)) as later:
        again = later.jobs.get(job.id).wait(60)
        assert_done_once(later, again, cluster, diary)


@pytest.mark.cluster_options(accounting=True)
def test_batches_beyond_the_limit_wait_for_their_turn(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    fractal = own_fractal(batching={"target_num_jobs": 10, "max_num_jobs": 10})
    diary.hold()
    with cluster.limited(current_user(), MaxSubmitJobs=3):
        job = fractal.submit(
            "Scripted", images(fractal, shared_folder, 8), meta=ONE_BY_ONE, **diary.arguments
        )
        wait_until(lambda: job.steps[0].running >= 2)
        assert len(queue(cluster, job)) <= 3
        assert job.folder is not None
        # Nothing is left of the arrays that were too large.
        scripts = [*Path(job.folder).rglob("job-*.sh")]
        assert len(scripts) == len(arrays_in_queue(job))
        diary.let_go()
        job.wait(180)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.cluster_options(settings={"MaxArraySize": 11})
def test_more_batches_than_an_array_may_have_are_several_arrays(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    fractal = own_fractal(batching={"target_num_jobs": 30, "max_num_jobs": 30})
    job = fractal.submit(
        "Scripted", images(fractal, shared_folder, 25), meta=ONE_BY_ONE, **diary.arguments
    )
    job.wait(120)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 3

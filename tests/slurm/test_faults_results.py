"""Results that appear late, empty or cut; disks that are full; jobs of which SLURM forgets."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.runner.phase import SILENCE_SECONDS
from fractal_jupyter.runner.users import current_user
from tests.faults.test_storage import SmallDisk
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import Diary, assert_done_once, assert_survived, queue
from tests.slurm.fixtures import skip_for_machine
from tests.slurm.machine import Cluster, run
from tests.slurm.test_own import arrays, statuses
from tests.slurm.ways import images
from tests.toy import wait_until


@pytest.fixture
def fractal(own_fractal: MakeFractal) -> Fractal:
    return own_fractal()


def submit_held(fractal: Fractal, folder: Path, diary: Diary, count: int = 2) -> Job:
    diary.hold()
    job = fractal.submit("Scripted", images(fractal, folder, count), **diary.arguments)
    wait_until(lambda: job.steps[0].running == count)
    return job


def results_file(job: Job) -> Path:
    (batch,) = job._store.jobs.batches(job.id)
    return Path(batch.folder) / "attempt-1" / "results-0000"


@pytest.mark.parametrize("decoy", [None, 0, 700], ids=["late", "empty", "cut"])
def test_results_appear_after_the_job_has_ended(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary, decoy: int | None
) -> None:
    """As on a network file system: the worker writes on, and the reader sees something older."""
    job = submit_held(fractal, shared_folder, diary)
    seen = results_file(job)
    real = seen.with_name("elsewhere")
    seen.rename(real)
    if decoy is not None:
        seen.write_bytes(real.read_bytes()[:decoy])
    diary.let_go()
    wait_until(lambda: not queue(cluster, job))
    wait_until(lambda: b'"finished"' in real.read_bytes())
    assert (job.status, job.steps[0].running) == ("running", 2)
    real.replace(seen)
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


@pytest.fixture
def disk(shared_folder: Path) -> Iterator[SmallDisk]:
    """A small disk below the folder of jobs."""
    folder = shared_folder / "jobs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0755", "small-disk", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        skip_for_machine("full disks", "no file system can be mounted")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_disk_is_full_when_a_job_starts(
    disk: SmallDisk, fractal: Fractal, shared_folder: Path, diary: Diary
) -> None:
    disk.fill()
    job = fractal.submit("Scripted", images(fractal, shared_folder, 2), **diary.arguments)
    job.wait(120)
    assert statuses(job) == ["failed", "failed"]
    assert "No space left on device" in (job.error or "")
    disk.free()
    job.retry().wait(60)
    assert job.status == "done", job.error


def test_the_disk_is_full_while_units_run(
    disk: SmallDisk, fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    job = submit_held(fractal, shared_folder, diary)
    disk.fill()
    diary.let_go()
    job.wait(120)
    assert job.status == "failed"
    assert re.search("No space left on device|disk .* full", job.error or "")
    assert_survived(fractal, job, cluster, diary)
    disk.free()
    job.retry().wait(60)
    assert job.status == "done", job.error
    assert not diary.times("met")


@pytest.mark.slurm_faults
@pytest.mark.cluster_options(settings={"MinJobAge": 2})
def test_a_job_that_was_cancelled_leaves_squeue_and_nobody_knows_of_it(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    """Between two looks at the queue, which are far apart here."""
    fractal = own_fractal(poll_seconds=15)
    job = submit_held(fractal, shared_folder, diary)
    run("scancel", *arrays(job))
    wait_until(lambda: not any(j.id.split("_")[0] in arrays(job) for j in cluster.jobs()))
    job.wait(180)
    assert statuses(job) == ["interrupted", "interrupted"]
    assert_survived(fractal, job, cluster, diary)
    diary.let_go()
    job.retry().wait(120)
    assert job.status == "done", job.error


@pytest.mark.cluster_options(settings={"MinJobAge": 2}, accounting=True)
def test_a_job_that_was_cancelled_leaves_squeue_and_accounting_tells_why(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    fractal = own_fractal(poll_seconds=8)
    job = submit_held(fractal, shared_folder, diary)
    run("scancel", *arrays(job))
    wait_until(lambda: not any(j.id.split("_")[0] in arrays(job) for j in cluster.jobs()))
    job.wait(120)
    assert {unit.problem for unit in job.units()} == {"cancelled_from_outside"}
    assert "cancelled by" in (job.units()[0].error or "")
    assert_survived(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
@pytest.mark.cluster_options(settings={"MinJobAge": 2}, accounting=True)
def test_a_job_leaves_squeue_before_accounting_knows_of_it(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    """What only accounting knows is waited for: here, that somebody has cancelled it, and who."""
    # Asked so rarely that the queue never says that it has ended.
    fractal = own_fractal(poll_seconds=30)
    job = submit_held(fractal, shared_folder, diary)
    with cluster.without_accounting(hangs=True):
        run("scancel", *arrays(job))
        wait_until(lambda: not any(j.id.split("_")[0] in arrays(job) for j in cluster.jobs()))
        wait_until(
            lambda: "accounting" in (fractal.jobs.get(job.id).waiting_for or ""), seconds=120
        )
        gone = time.monotonic()
        wait_until(lambda: time.monotonic() - gone > SILENCE_SECONDS + 5, seconds=60)
        # The worker has said that it was told to end; by whom, nobody has said yet.
        assert (job.status, statuses(job)) == ("running", ["interrupted", "interrupted"])
    job.wait(120)
    assert statuses(job) == ["interrupted", "interrupted"], job.error
    assert {unit.problem for unit in job.units()} == {"cancelled_from_outside"}
    assert f"cancelled by {current_user()}" in (job.units()[0].error or "")
    assert_survived(fractal, job, cluster, diary)


@pytest.mark.cluster_options(settings={"MinJobAge": 2})
def test_jobs_are_forgotten_as_soon_as_they_have_ended(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    fractal = own_fractal(poll_seconds=4)
    job = fractal.submit("Scripted", images(fractal, shared_folder, 8), **diary.arguments)
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)

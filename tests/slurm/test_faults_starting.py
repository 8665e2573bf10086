"""Jobs that SLURM does not start, or not yet: what they wait for, or why they never began."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import Diary, assert_done_once
from tests.slurm.machine import Cluster, run
from tests.slurm.test_own import arrays, statuses
from tests.slurm.ways import images
from tests.toy import wait_until

# In a test that is run without, SLURM's own memory of jobs is all there is.
ACCOUNTING = [
    pytest.param(False, id="without-accounting"),
    pytest.param(True, id="with-accounting", marks=pytest.mark.cluster_options(accounting=True)),
]


@pytest.fixture
def fractal(own_fractal: MakeFractal) -> Fractal:
    """A client whose steps of four units are two batches."""
    return own_fractal()


def submit(fractal: Fractal, folder: Path, diary: Diary, *lines: str, **meta: str) -> Job:
    return fractal.submit(
        "Scripted",
        images(fractal, folder, 4),
        meta={"extra_lines": [f"#SBATCH {line}" for line in lines], **meta},
        **diary.arguments,
    )


def wait_for_words(fractal: Fractal, job: Job, words: str) -> str:
    """Wait until a job says that it waits for this; what it says in full."""
    wait_until(lambda: words in (fractal.jobs.get(job.id).waiting_for or ""), seconds=60)
    return fractal.jobs.get(job.id).waiting_for or ""


def assert_never_started(job: Job, diary: Diary, *words: str) -> None:
    assert statuses(job) == ["failed"] * 4
    assert {unit.problem for unit in job.units()} == {"never_started"}
    for unit in job.units():
        assert all(each in (unit.error or "") for each in words), unit.error
        assert (unit.error or "").startswith("It never started: ")
    assert not diary.times("start")
    assert len(arrays(job)) == 1


@pytest.fixture
def full(cluster: Cluster) -> Iterator[None]:
    """All nodes are taken."""
    other = cluster.submit("sleep 1000", "--nodes=2", "--exclusive")
    cluster.wait_for(other, "RUNNING")
    yield
    run("scancel", other)


@pytest.mark.slurm_faults
@pytest.mark.parametrize("accounting", ACCOUNTING)
def test_a_deadline_passes_before_anything_begins(
    fractal: Fractal, shared_folder: Path, diary: Diary, full: None, accounting: bool
) -> None:
    del full, accounting
    job = submit(fractal, shared_folder, diary, "--deadline=now+65seconds", time="00:01:00")
    job.wait(60)
    assert_never_started(job, diary, "could not have ended by its deadline", "`--deadline`")


@pytest.mark.slurm_faults
@pytest.mark.parametrize("accounting", ACCOUNTING)
def test_what_it_depends_on_fails(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary, accounting: bool
) -> None:
    del accounting
    other = cluster.submit("exit 1", "--hold")
    lines = (f"--dependency=afterok:{other}", "--kill-on-invalid-dep=yes")
    job = submit(fractal, shared_folder, diary, *lines)
    wait_for_words(fractal, job, "waiting for another job to end")
    run("scontrol", "release", other)
    job.wait(60)
    assert_never_started(job, diary, "will never start", "`--dependency`")


@pytest.mark.slurm_faults
def test_a_node_cannot_launch_jobs(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    """Its prolog fails: SLURM drains the node and holds the jobs."""
    fractal = own_fractal(options={"nodelist": "node1"})
    cluster.up(settings={"Prolog": "/bin/false"})
    job = submit(fractal, shared_folder, diary)
    said = wait_for_words(fractal, job, "a node could not launch it")
    (array,) = arrays(job)
    assert f"`scontrol release {array}` lets it go on when the node is well again" in said
    assert "expected to start" not in said
    assert statuses(job) == ["pending"] * 4
    cluster.up()
    run("scontrol", "release", array)
    for entry in cluster.jobs(states="pending"):
        cluster.start_now(entry.id)
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("uhold", "held; `scontrol release {array}` lets it go on (JobHeldUser)"),
        ("hold", "held by an administrator of the cluster: ask them (JobHeldAdmin)"),
    ],
)
def test_a_job_is_held(
    own_fractal: MakeFractal,
    cluster: Cluster,
    shared_folder: Path,
    diary: Diary,
    verb: str,
    words: str,
) -> None:
    fractal = own_fractal(options={"partition": "down"})
    job = submit(fractal, shared_folder, diary)
    wait_for_words(fractal, job, "its partition, which is down")
    (array,) = arrays(job)
    run("scontrol", verb, array)
    wait_for_words(fractal, job, words.format(array=array))
    run("scontrol", "update", f"jobid={array}", "partition=main")
    run("scontrol", "release", array)
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
def test_a_node_is_gone_when_its_job_is_to_start(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary
) -> None:
    """SLURM believes for a while that its daemon is there, and that the job runs."""
    cluster.kill_node("node1")
    job = submit(fractal, shared_folder, diary, "--exclusive")
    wait_until(lambda: "node1" in {entry.node for entry in cluster.jobs()})
    wait_until(lambda: job.steps[0].done == 2, seconds=60)
    cluster.lose_node("node1")
    wait_until(lambda: any(entry.state == "PENDING" for entry in cluster.jobs()), seconds=60)
    assert statuses(job).count("pending") == 2
    for entry in cluster.jobs(states="pending"):
        cluster.start_now(entry.id)
    job.wait(120)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
def test_a_partition_is_set_down_while_elements_wait(
    fractal: Fractal, cluster: Cluster, shared_folder: Path, diary: Diary, full: None
) -> None:
    del full
    job = submit(fractal, shared_folder, diary)
    wait_for_words(fractal, job, "waiting for processors, memory or nodes")
    try:
        run("scontrol", "update", "partitionname=main", "state=down")
        wait_for_words(fractal, job, "its partition, which is down")
    finally:
        run("scontrol", "update", "partitionname=main", "state=up")
    run("scancel", *(entry.id for entry in cluster.jobs(states="running")))
    job.wait(60)
    assert_done_once(fractal, job, cluster, diary)

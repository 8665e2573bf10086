"""The supervisor dies, or SLURM does not answer, at each step of submission: no unit runs twice."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.faults.helpers import other_supervisor, wait_for_leader
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import Commands, Diary, arrays_in_queue, assert_done_once, queue
from tests.slurm.machine import SCRIPT, Cluster, run
from tests.slurm.ways import IN_ALL_WAYS, images
from tests.toy import wait_until

# The commands that a submission is, as this machine or the other side runs it.
SUBMITS = {"oneself": "sbatch", "sudo": "sudo", "ssh": "sbatch"}
RUNNING = "store.running:Running"
SCHEDULER = "schedulers.slurm:SlurmScheduler"
# What the next one takes for time enough for a submission to appear that was never made.
SOON = {"fractal_jupyter.schedulers.slurm:INTENT_SECONDS": 2.0}


@pytest.fixture
def sshd_options(shared_folder: Path) -> Mapping[str, str]:
    """Where commands are found behind SSH."""
    return {"SetEnv": f"PATH={shared_folder}/commands:/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture
def fractal(fractal_of_way: MakeFractal) -> Fractal:
    """A client whose steps of eight units are four batches."""
    return fractal_of_way(batching={"target_num_jobs": 4})


def submit(fractal: Fractal, folder: Path, diary: Diary) -> Job:
    return fractal.submit("Scripted", images(fractal, folder, 8), **diary.arguments)


def submit_and_lose_the_supervisor(
    fractal: Fractal,
    folder: Path,
    diary: Diary,
    point: str | None = None,
    moment: str = "before",
    call: int = 1,
) -> Job:
    """Submit to a supervisor that dies at `point`, or because of what a command does."""
    with other_supervisor(fractal._store, point, moment, call=call) as process:
        wait_for_leader(fractal._store, process)
        job = submit(fractal, folder, diary)
        wait_until(lambda: process.poll() is not None)
        assert process.returncode == -signal.SIGKILL
    return job


def go_on(fractal: Fractal, job: Job, commands: Commands | None = None) -> Job:
    """Let another supervisor drive the job to its end, and then a command that waits go on."""
    with other_supervisor(fractal._store, settings=SOON) as process:
        wait_for_leader(fractal._store, process)
        if commands is not None:
            commands.let_go()
        return job.wait(120)


@pytest.mark.parametrize(
    ("point", "moment"),
    [
        (f"{RUNNING}.add_batches", "after"),
        (f"{SCHEDULER}.submit", "before"),
        (f"{RUNNING}.update_batches", "after"),
        (f"{RUNNING}.record_results", "before"),
    ],
)
def test_a_supervisor_that_is_killed(
    fractal: Fractal,
    cluster: Cluster,
    shared_folder: Path,
    diary: Diary,
    point: str,
    moment: str,
) -> None:
    job = submit_and_lose_the_supervisor(fractal, shared_folder, diary, point, moment)
    go_on(fractal, job)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


@IN_ALL_WAYS
def test_a_supervisor_that_is_killed_when_a_submission_was_accepted(
    fractal: Fractal, cluster: Cluster, folder_of_way: Path, diary: Diary
) -> None:
    job = submit_and_lose_the_supervisor(
        fractal, folder_of_way, diary, f"{SCHEDULER}.submit", "after"
    )
    go_on(fractal, job)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


def lose_the_supervisor_while_it_submits(
    fractal: Fractal, commands: Commands, submit: Callable[[], Job]
) -> Job:
    """Submit to a supervisor that is killed when its command has come to where it waits."""
    with other_supervisor(fractal._store) as process:
        wait_for_leader(fractal._store, process)
        job = submit()
        wait_until(lambda: commands.waits)
        process.kill()
        process.wait()
    return job


@IN_ALL_WAYS
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", "exit 1", id="before it is sent"),
        pytest.param('"$real" "$@"', "exit 0", id="when it was accepted"),
        pytest.param("", '"$real" "$@"; exit 0', id="while it is on its way"),
    ],
)
def test_a_supervisor_that_is_killed_during_sbatch(
    fractal: Fractal,
    way: str,
    cluster: Cluster,
    commands: Commands,
    folder_of_way: Path,
    diary: Diary,
    before: str,
    after: str,
) -> None:
    commands.first_until_let_go(SUBMITS[way], before, after, only="--parsable")
    job = lose_the_supervisor_while_it_submits(
        fractal, commands, lambda: submit(fractal, folder_of_way, diary)
    )
    go_on(fractal, job, commands)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


@pytest.mark.slurm_faults
@IN_ALL_WAYS
def test_a_supervisor_that_is_killed_while_it_hands_over_a_large_script(
    fractal: Fractal,
    way: str,
    cluster: Cluster,
    commands: Commands,
    folder_of_way: Path,
    diary: Diary,
) -> None:
    """One that does not fit into the buffer of a pipe: all of it is submitted, or nothing."""
    dataset = fractal.datasets.create(
        "plate", zarr_dir=folder_of_way / "zarr", project_dir=folder_of_way
    )
    # What cannot be compressed.
    folders = ["/".join(secrets.token_hex(100) for _ in range(10)) for _ in range(40)]
    dataset.add_images(
        [
            {"zarr_url": f"{folder_of_way}/zarr/{folder}/plate-{i}.zarr"}
            for i, folder in enumerate(folders)
        ]
    )
    reader = "cat" if way == "ssh" else SUBMITS[way]
    commands.first_until_let_go(reader, only="" if way == "ssh" else "--parsable")
    job = lose_the_supervisor_while_it_submits(
        fractal, commands, lambda: fractal.submit("Scripted", dataset, **diary.arguments)
    )
    go_on(fractal, job, commands)
    assert_done_once(fractal, job, cluster, diary)
    (array,) = arrays_in_queue(job)
    assert len(run("scontrol", "write", "batch_script", array, "-")) > 65536 * 1.2


@pytest.mark.cluster_options(settings={"MaxArraySize": 3})
@pytest.mark.parametrize(
    ("point", "moment", "call"),
    [
        (f"{SCHEDULER}._submit_array", "after", 1),
        (f"{SCHEDULER}._submit_array", "after", 2),
    ],
)
def test_a_supervisor_that_is_killed_between_arrays(
    fractal: Fractal,
    cluster: Cluster,
    shared_folder: Path,
    diary: Diary,
    point: str,
    moment: str,
    call: int,
) -> None:
    job = submit_and_lose_the_supervisor(fractal, shared_folder, diary, point, moment, call)
    go_on(fractal, job)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 2


@pytest.mark.cluster_options(settings={"MaxArraySize": 3})
def test_a_second_array_that_is_refused_leaves_the_first_one_alone(
    fractal: Fractal, cluster: Cluster, commands: Commands, shared_folder: Path, diary: Diary
) -> None:
    refuse = "echo 'sbatch: error: Batch job submission failed: Invalid qos specification' >&2"
    commands.first(
        "sbatch", f"test $(grep -c sbatch {commands.folder}/calls) = 1 || {{ {refuse}; exit 1; }}"
    )
    job = submit(fractal, shared_folder, diary).wait(120)
    assert [unit.status for unit in job.units()] == ["done"] * 6 + ["failed"] * 2
    assert "Invalid qos specification" in (job.error or "")
    commands.restore("sbatch")
    job.retry().wait(120)
    assert_done_once(fractal, job, cluster, diary)


@pytest.mark.slurm_faults
def test_sbatch_gives_up_on_a_controller_that_accepts_later(
    fractal: Fractal, cluster: Cluster, commands: Commands, shared_folder: Path, diary: Diary
) -> None:
    commands.first("sbatch", f"{SCRIPT} pause", once=True)
    try:
        job = submit(fractal, shared_folder, diary)
        wait_until(lambda: fractal.jobs.get(job.id).waiting_for, seconds=60)
        assert "SLURM" in (fractal.jobs.get(job.id).waiting_for or "")
        assert {unit.status for unit in job.units()} == {"pending"}
    finally:
        cluster.resume()
    job.wait(120)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


@pytest.mark.slurm_faults
def test_nobody_answers_who_has_accepted(
    fractal: Fractal, cluster: Cluster, commands: Commands, shared_folder: Path, diary: Diary
) -> None:
    """It was accepted, the answer is lost, and units run before anybody looks."""
    lost = "echo 'sbatch: error: Batch job submission failed: Socket timed out' >&2; exit 1"
    commands.first("sbatch", f'"$real" "$@" >/dev/null; {lost}', once=True)
    job = submit(fractal, shared_folder, diary).wait(120)
    assert_done_once(fractal, job, cluster, diary)
    assert len(arrays_in_queue(job)) == 1


@pytest.mark.slurm_faults
def test_units_that_slurm_does_not_accept_say_so(
    own_fractal: MakeFractal, cluster: Cluster, shared_folder: Path
) -> None:
    fractal = own_fractal(options={"partition": "nowhere"})
    job = fractal.submit("Toy Parallel", images(fractal, shared_folder, 3)).wait(60)
    assert {(unit.status, unit.problem) for unit in job.units()} == {("failed", "rejected")}
    assert "SLURM did not accept it: invalid partition" in (job.error or "")
    assert not queue(cluster, job)

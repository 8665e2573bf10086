"""The cluster of the tests is a real one, and the faults that tests provoke happen."""

from __future__ import annotations

import subprocess
from pathlib import Path
from pwd import struct_passwd

import pytest

from tests.slurm.fixtures import ToyEnvironment, skip_for_machine
from tests.slurm.machine import Cluster, ClusterError, run
from tests.toy import wait_until
from tests.users import COMMANDS, five_commands, make_user, nothing, sudoers

FOREVER = "sleep 600"
GREEDY = """/usr/bin/python3 -c 'import time; x = b"x" * 300_000_000; time.sleep(600)'"""
ACCOUNTING = pytest.mark.cluster_options(accounting=True)


def as_user(user: struct_passwd, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sudo", "-n", "-u", user.pw_name, *argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


def test_an_array_runs_on_two_nodes(cluster: Cluster, shared_folder: Path) -> None:
    job = cluster.submit(
        f"echo $SLURMD_NODENAME > {shared_folder}/$SLURM_ARRAY_TASK_ID",
        "--array=0-3",
        "--cpus-per-task=4",
    )
    for element in range(4):
        cluster.wait_for(f"{job}_{element}", "COMPLETED")
    nodes = [(shared_folder / str(element)).read_text().strip() for element in range(4)]
    assert set(nodes) == {"node1", "node2"}


def test_the_kernel_ends_what_takes_too_much_memory(cluster: Cluster, shared_folder: Path) -> None:
    if not cluster.has_cgroups:
        skip_for_machine("memory limits by the kernel", "no cgroups that may be changed")
    output = shared_folder / "output"
    job = cluster.submit(f"{GREEDY}\necho status $?", "--mem=50", f"--output={output}")
    # The script goes on after its child was killed, and yet that is not all there is to it.
    assert cluster.wait_for(job, "OUT_OF_MEMORY").state == "OUT_OF_MEMORY"
    assert "status 137" in output.read_text()
    assert "oom" in output.read_text().lower()


@pytest.mark.cluster_options(cgroups=False)
def test_memory_is_polled_without_cgroups(cluster: Cluster) -> None:
    assert not cluster.has_cgroups
    job = cluster.submit(GREEDY, "--mem=50")
    assert cluster.wait_for(job, "OUT_OF_MEMORY", "CANCELLED", "FAILED")


def test_a_hanging_controller_answers_again(cluster: Cluster) -> None:
    job = cluster.submit(FOREVER)
    cluster.wait_for(job, "RUNNING")
    with cluster.paused(), pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["squeue"], capture_output=True, timeout=2)
    assert cluster.job(job).state == "RUNNING"


@pytest.mark.slurm_faults
def test_a_controller_that_was_killed_knows_its_jobs(cluster: Cluster) -> None:
    job = cluster.submit(FOREVER)
    cluster.wait_for(job, "RUNNING")
    cluster.wait_until_saved(job)
    cluster.kill_controller()
    assert not cluster.is_up
    with pytest.raises(ClusterError, match="Unable to contact slurm controller"):
        cluster.jobs()
    cluster.start_controller()
    cluster.wait_for(job, "RUNNING")


def test_jobs_of_a_lost_node_run_again(cluster: Cluster, shared_folder: Path) -> None:
    starts = shared_folder / "starts"
    job = cluster.submit(f"echo $SLURMD_NODENAME >> {starts}; {FOREVER}", "--requeue")
    first = cluster.wait_for(job, "RUNNING").node
    wait_until(starts.exists)
    cluster.crash_node(first)
    cluster.lose_node(first)
    cluster.wait_for(job, "PENDING")
    cluster.start_now(job)
    wait_until(lambda: len(starts.read_text().split()) == 2)
    second = {"node1": "node2", "node2": "node1"}[first]
    assert starts.read_text().split() == [first, second]


def test_a_job_outlives_the_daemon_of_its_node(cluster: Cluster, shared_folder: Path) -> None:
    go, output = shared_folder / "go", shared_folder / "output"
    job = cluster.submit(f"until [ -e {go} ]; do sleep 0.1; done; echo ended > {output}")
    node = cluster.wait_for(job, "RUNNING").node
    cluster.kill_node(node)
    go.touch()
    wait_until(output.exists)
    cluster.start_node(node)
    cluster.wait_for(job, "COMPLETED")


@pytest.mark.slurm_faults
@pytest.mark.cluster_options(settings={"SlurmdTimeout": 10})
def test_the_controller_misses_a_node_by_itself(cluster: Cluster) -> None:
    job = cluster.submit(FOREVER, "--no-requeue")
    cluster.crash_node(cluster.wait_for(job, "RUNNING").node)
    assert cluster.wait_for(job, "NODE_FAIL", seconds=180).reason


def test_main_pushes_aside_what_is_preemptible(cluster: Cluster) -> None:
    low = cluster.submit(FOREVER, "--partition=preemptible", "--exclusive", "--nodes=2")
    cluster.wait_for(low, "RUNNING")
    high = cluster.submit(FOREVER, "--exclusive", "--nodes=2")
    cluster.wait_for(high, "RUNNING")
    assert cluster.job(low).state in ("PENDING", "REQUEUED")


@pytest.mark.cluster_options(settings={"MaxArraySize": 11}, nodes=1)
def test_settings_are_those_that_were_asked_for(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="Invalid job array specification"):
        cluster.submit(FOREVER, "--array=0-11")
    assert run("sinfo", "-h", "-N", "-p", "main", "-o", "%N") == "node1"


def test_settings_last_for_one_test(cluster: Cluster) -> None:
    assert cluster.setting("MaxArraySize") == "10001"
    assert not cluster.has_accounting
    assert cluster.jobs(states="RUNNING,PENDING") == []


@ACCOUNTING
def test_accounting_remembers_jobs_and_limits_them(cluster: Cluster) -> None:
    job = cluster.submit("true")

    def state() -> str:
        return run("sacct", "-n", "-X", "-P", "--format=State", "-j", job)

    wait_until(lambda: state() == "COMPLETED")
    refused = pytest.raises(ClusterError, match="job submit limit")
    with cluster.limited("root", MaxSubmitJobs=2), refused:
        cluster.submit(FOREVER, "--array=0-2")
    cluster.submit(FOREVER, "--array=0-2")


@ACCOUNTING
def test_with_accounting_the_second_user_may_submit(
    cluster: Cluster, second_user: struct_passwd
) -> None:
    with sudoers(five_commands()):
        submitted = as_user(second_user, "sbatch", "--parsable", stdin=f"#!/bin/sh\n{FOREVER}\n")
    assert submitted.returncode == 0, submitted.stderr
    assert cluster.wait_for(submitted.stdout.strip(), "RUNNING").user == second_user.pw_name


def test_exactly_five_commands_as_the_second_user(
    cluster: Cluster, second_user: struct_passwd, user_folder: Path, toy_environment: ToyEnvironment
) -> None:
    script = f"""#!/bin/sh
#SBATCH --output={user_folder}/made/output
id -un
cd {toy_environment.package_root} && {toy_environment.python} -c 'import toy; print(toy.__name__)'
sleep 600
"""
    with sudoers(five_commands()):
        assert as_user(second_user, "mkdir", f"{user_folder}/made").returncode == 0
        job = as_user(second_user, "sbatch", "--parsable", stdin=script).stdout.strip()
        cluster.wait_for(job, "RUNNING")
        assert "made" in as_user(second_user, "ls", str(user_folder)).stdout
        output = f"{user_folder}/made/output"
        wait_until(
            lambda: as_user(second_user, "cat", output).stdout == f"{second_user.pw_name}\ntoy\n"
        )
        assert as_user(second_user, "scancel", job).returncode == 0
        cluster.wait_for(job, "CANCELLED")
        for command in ("id", "squeue", "rm", "tee", "bash"):
            refused = as_user(second_user, command)
            assert refused.returncode == 1
            assert "not allowed to execute" in refused.stderr


def test_nothing_as_the_second_user(second_user: struct_passwd) -> None:
    with sudoers(nothing()):
        for command in COMMANDS:
            assert as_user(second_user, command, "/").returncode == 1


def test_sudoers_are_gone_afterwards_and_never_wrong(second_user: struct_passwd) -> None:
    with pytest.raises(AssertionError, match="visudo"), sudoers("root ALL=(\n"):
        pytest.fail("a file that sudo cannot read was installed")
    assert make_user() == second_user
    assert list(Path("/etc/sudoers.d").glob("fractal*")) == []

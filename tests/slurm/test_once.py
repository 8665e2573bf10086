"""One command as one job on the real cluster, through SSH."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fractal_jupyter.errors import SchedulerError, SubmissionRejected
from fractal_jupyter.hosts.ssh import SSHHost
from fractal_jupyter.models.python_config import PixiSlurmConfig
from fractal_jupyter.schedulers import slurm_once
from fractal_jupyter.schedulers.slurm_once import SlurmOnce, once_options
from tests.slurm.machine import Cluster
from tests.sshd import Sshd
from tests.toy import wait_until

MakeJob = Callable[..., SlurmOnce]


@pytest.fixture
def host(cluster: Cluster, sshd: Sshd) -> Iterator[SSHHost]:
    """The login node, as the second user."""
    host = SSHHost(sshd.alias, config_files=[sshd.config])
    yield host
    host.close()


@pytest.fixture
def make_job(host: SSHHost, user_folder: Path, second_user: pwd.struct_passwd) -> MakeJob:
    """Makes jobs that keep their files below the second user's folder."""

    def make(said: list[str] | None = None, **config: object) -> SlurmOnce:
        fields = {"partition": "main", "cpus": 1, "mem": "200M", "time": "00:02:00", **config}
        return SlurmOnce(
            host,
            username=second_user.pw_name,
            options=once_options(PixiSlurmConfig.model_validate(fields)),
            folder=f"{user_folder}/.jobs",
            poll_seconds=1.0,
            advice="Change SLURM_CONFIG.",
            say=(said if said is not None else []).append,
        )

    return make


def left(user_folder: Path) -> list[Path]:
    """The folders of jobs that are there."""
    return list((user_folder / ".jobs").iterdir())


def test_a_command_is_one_job_with_its_input_output_and_status(
    make_job: MakeJob, user_folder: Path
) -> None:
    said: list[str] = []
    command = ["/bin/sh", "-c", 'cat; id -un; echo "$SLURM_CPUS_PER_TASK"; exit 3']
    result = make_job(said, cpus=2).run(command, stdin=b"input\n")
    assert result.exit_code == 3
    assert result.text.splitlines() == ["input", user_folder.owner(), "2"]
    assert said[0].startswith("Submitted as SLURM job ")
    assert left(user_folder) == []


def queued() -> list[str]:
    """The numbers of the jobs that are not over."""
    listed = ["squeue", "--noheader", "--format=%A", "--states=PENDING,RUNNING,SUSPENDED"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def test_a_job_that_is_interrupted_is_cancelled_and_its_command_tidies_up(
    make_job: MakeJob, user_folder: Path, cluster: Cluster
) -> None:
    tidied = user_folder / "tidied"
    command = f"trap 'touch \"{tidied}\"; exit 1' TERM; echo ready; while :; do sleep 0.1; done"
    heard = bytearray()
    said: list[str] = []

    def hear(chunk: bytes) -> None:
        heard.extend(chunk)
        if b"ready" in heard and not chunk:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_job(said).run(["/bin/sh", "-c", command], on_output=hear)
    assert tidied.exists()
    assert left(user_folder) == []
    # It ends by the command's own exit status, or as cancelled: whichever SLURM sees first.
    job = said[0].split()[-1]
    wait_until(lambda: job not in queued())


@pytest.mark.slurm_faults
def test_what_the_cluster_refuses_or_ends_is_told(
    make_job: MakeJob, user_folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_once, "LATE_SECONDS", 1.0)
    with pytest.raises(SubmissionRejected, match=r"did not accept the job: .*Change SLURM_CONFIG"):
        make_job(partition="nowhere").run(["true"])
    heard = bytearray()

    def cancel_elsewhere(chunk: bytes) -> None:
        if b"ready" in heard and not chunk:
            cluster.clear()
        heard.extend(chunk)

    command = ["/bin/sh", "-c", "echo ready; exec sleep 100"]
    with pytest.raises(SchedulerError, match=r"did not get to its end: .*was cancelled"):
        make_job().run(command, on_output=cancel_elsewhere)
    assert left(user_folder) == []

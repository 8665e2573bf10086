"""Jobs on the real cluster whose SSH key has a passphrase: only an agent can unlock it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.slurm.conftest import MakeFractal
from tests.slurm.faults import Diary, assert_done_once
from tests.slurm.machine import Cluster
from tests.slurm.ways import images
from tests.sshd import Sshd, add_to_agent, encrypt, ssh_agent
from tests.toy import wait_until


@pytest.mark.slurm_faults
def test_an_agent_goes_in_the_middle_of_a_job_and_there_is_another_one(
    remote_fractal: MakeFractal,
    sshd: Sshd,
    cluster: Cluster,
    user_folder: Path,
    diary: Diary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when somebody logs in anew: the supervisor, which goes on, has the agent of before."""
    encrypt(sshd.key, "secret")
    diary.hold()
    with ssh_agent(tmp_path / "first") as first:
        add_to_agent(sshd.key, first, "secret")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(first))
        fractal = remote_fractal()
        job = fractal.submit("Scripted", images(fractal, user_folder, 4), **diary.arguments)
        wait_until(lambda: job.steps[0].running == 4)
    sshd.cut()
    wait_until(lambda: "SSH agent" in (fractal.jobs.get(job.id).waiting_for or ""))
    told = fractal.jobs.get(job.id).waiting_for or ""
    assert f"no SSH agent answers at {first}" in told
    assert f"unlock it with: ssh-add {sshd.key}" in told
    assert "start Jupyter from that terminal" in told
    diary.let_go()
    assert (job.status, job.steps[0].running) == ("running", 4)
    with ssh_agent(tmp_path / "second") as second, closing(Fractal(fractal._store.url)) as later:
        add_to_agent(sshd.key, second, "secret")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(second))
        again = later.jobs.get(job.id).wait(60)
        assert_done_once(later, again, cluster, diary)

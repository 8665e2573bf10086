"""Jobs on the real cluster, submitted as another user through sudo, with five commands allowed."""

from __future__ import annotations

import json
import pwd
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import AccessDenied, NotAllowed
from tests import users
from tests.faults.helpers import other_supervisor, wait_for_leader
from tests.slurm.conftest import MakeFractal
from tests.slurm.machine import Cluster, run
from tests.slurm.test_own import arrays, states, statuses
from tests.slurm.ways import images
from tests.toy import wait_until


@pytest.fixture
def sudo_fractal(
    other_fractal: MakeFractal, second_user: pwd.struct_passwd, five_commands: None
) -> Fractal:
    """A client that submits as the second user."""
    del five_commands
    return other_fractal(username=second_user.pw_name)


def test_a_job_runs_as_the_other_user(
    sudo_fractal: Fractal, user_folder: Path, second_user: pwd.struct_passwd
) -> None:
    job = sudo_fractal.submit(
        "Toy Parallel", images(sudo_fractal, user_folder, 8), args={"behaviour": "environment"}
    ).wait(120)
    assert job.status == "done", job.error
    assert len(arrays(job)) == 1
    seen = json.loads(job.log(unit=3).splitlines()[-1])
    assert seen["USER"] == second_user.pw_name
    assert job.folder is not None
    assert job.folder.startswith(f"{user_folder}/.fractal/")
    folder = Path(job.folder)
    assert folder.owner() == second_user.pw_name
    assert folder.stat().st_mode & 0o077 == 0


def test_results_come_while_other_units_run(sudo_fractal: Fractal, user_folder: Path) -> None:
    gate = user_folder / "gate"
    job = sudo_fractal.submit(
        "Toy Parallel",
        images(sudo_fractal, user_folder, 4),
        args={"gate": str(gate), "only": "plate-1.zarr"},
    )
    wait_until(lambda: job.steps[0].done == 3 and job.steps[0].running == 1)
    gate.touch()
    assert job.wait(60).status == "done"


def test_cancel_ends_jobs_of_the_other_user(
    sudo_fractal: Fractal, user_folder: Path, cluster: Cluster
) -> None:
    job = sudo_fractal.submit(
        "Toy Parallel", images(sudo_fractal, user_folder, 2), args={"behaviour": "forever"}
    )
    wait_until(lambda: job.steps[0].running == 2)
    job.cancel().wait(120)
    assert statuses(job) == ["cancelled", "cancelled"]
    assert states(job, cluster) <= {"CANCELLED", "COMPLETING"}


def test_batches_that_are_too_large_for_a_script_travel_in_a_file(
    sudo_fractal: Fractal, user_folder: Path, shared_folder: Path
) -> None:
    settings = {"fractal_jupyter.schedulers.slurm:SCRIPT_SHARE": 0.001}
    with other_supervisor(sudo_fractal._store, settings=settings) as process:
        wait_for_leader(sudo_fractal._store, process)
        job = sudo_fractal.submit("Toy Parallel", images(sudo_fractal, user_folder, 4)).wait(120)
    assert job.status == "done", job.error
    # Everybody could read it who knew its name, so it is not kept.
    assert not [*(shared_folder / "jobs" / ".payloads").iterdir()]


def test_without_sudo_nothing_is_submitted(
    other_fractal: MakeFractal, user_folder: Path, second_user: pwd.struct_passwd, cluster: Cluster
) -> None:
    before = cluster.jobs()
    fractal = other_fractal(username=second_user.pw_name)
    dataset = images(fractal, user_folder, 1)
    with (
        users.sudoers(users.nothing(second_user.pw_name)),
        pytest.raises(AccessDenied, match="administrator"),
    ):
        fractal.submit("Toy Parallel", dataset)
    assert cluster.jobs() == before
    assert len(fractal.jobs.list()) == 0


@pytest.mark.cluster_options(settings={"PrivateData": "jobs"})
def test_a_cluster_that_hides_jobs_of_others_is_refused_in_words(
    sudo_fractal: Fractal, user_folder: Path, cluster: Cluster
) -> None:
    """Root, which the tests run as, would see everything: it is the rule that is tested."""
    del cluster
    assert "PrivateData" in run("scontrol", "show", "config")
    checks = {check.subject: check for check in sudo_fractal.profiles.check("cluster")}
    assert not checks["jobs are seen"].ok
    assert "PrivateData" in checks["jobs are seen"].found
    job = sudo_fractal.submit("Toy Parallel", images(sudo_fractal, user_folder, 1)).wait(60)
    assert "PrivateData" in (job.error or "")


@pytest.mark.parametrize("way", ["plan", "submit"])
def test_a_project_dir_that_slurm_cannot_write_is_the_datasets(
    sudo_fractal: Fractal, user_folder: Path, way: str
) -> None:
    dataset = images(sudo_fractal, user_folder / "back\\slash", 1)
    with pytest.raises(NotAllowed, match=r"project_dir of the dataset 'plate'.*backslash"):
        getattr(sudo_fractal, way)("Toy Parallel", dataset)


def test_a_project_dir_of_somebody_else_is_told(sudo_fractal: Fractal, shared_folder: Path) -> None:
    shared_folder.chmod(0o755)
    job = sudo_fractal.submit("Toy Parallel", images(sudo_fractal, shared_folder, 1)).wait(60)
    assert "make a dataset with another one" in (job.error or "")


def test_check_submits_a_real_job(
    sudo_fractal: Fractal, user_folder: Path, shared_folder: Path
) -> None:
    checks = {
        check.subject: check
        for check in sudo_fractal.resources.check("cluster", project_dir=user_folder)
    }
    assert all(check.ok for check in checks.values()), checks
    assert "ran on node" in checks["worker"].found
    # The other user is to read payloads there.
    assert (shared_folder / "jobs").stat().st_mode & 0o777 == 0o711

"""Jobs on the real cluster, submitted as another user through SSH."""

from __future__ import annotations

import json
import pwd
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import AccessDenied, HostError, HostKeyUnknown
from tests.slurm.conftest import MakeFractal
from tests.slurm.machine import Cluster
from tests.slurm.test_own import arrays, states, statuses
from tests.slurm.ways import images
from tests.sshd import Sshd
from tests.toy import wait_until
from tests.worker.ome_zarr import write_image


@pytest.fixture
def fractal(remote_fractal: MakeFractal) -> Fractal:
    return remote_fractal()


def test_a_job_runs_as_the_other_user(
    fractal: Fractal,
    user_folder: Path,
    second_user: pwd.struct_passwd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    job = fractal.submit(
        "Toy Parallel", images(fractal, user_folder, 8), args={"behaviour": "environment"}
    ).wait(120)
    assert job.status == "done", job.error
    assert len(arrays(job)) == 1
    seen = json.loads(job.log(unit=3).splitlines()[-1])
    assert seen["USER"] == second_user.pw_name
    assert "secret" not in seen.values()
    assert job.folder is not None
    assert job.folder.startswith(f"{user_folder}/jobs/")
    assert Path(job.folder).owner() == second_user.pw_name


def test_results_come_while_other_units_run(fractal: Fractal, user_folder: Path) -> None:
    gate = user_folder / "gate"
    job = fractal.submit(
        "Toy Parallel",
        images(fractal, user_folder, 4),
        args={"gate": str(gate), "only": "plate-1.zarr"},
    )
    wait_until(lambda: job.steps[0].done == 3 and job.steps[0].running == 1)
    gate.touch()
    assert job.wait(60).status == "done"


def test_a_connection_that_is_cut_is_opened_again(
    fractal: Fractal, user_folder: Path, sshd: Sshd
) -> None:
    gate = user_folder / "gate"
    job = fractal.submit("Toy Parallel", images(fractal, user_folder, 3), args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running)
    sshd.stop()
    wait_until(lambda: fractal.jobs.get(job.id).waiting_for)
    assert job.status == "running"
    gate.touch()
    sshd.start()
    assert job.wait(120).status == "done", job.error


def test_cancel_ends_jobs(fractal: Fractal, user_folder: Path, cluster: Cluster) -> None:
    job = fractal.submit(
        "Toy Parallel", images(fractal, user_folder, 2), args={"behaviour": "forever"}
    )
    wait_until(lambda: job.steps[0].running == 2)
    job.cancel().wait(120)
    assert statuses(job) == ["cancelled", "cancelled"]
    assert states(job, cluster) <= {"CANCELLED", "COMPLETING"}


def test_whom_the_server_does_not_let_in_submits_nothing(
    fractal: Fractal, user_folder: Path, sshd: Sshd
) -> None:
    sshd.authorize("")
    with pytest.raises(AccessDenied):
        fractal.submit("Toy Parallel", images(fractal, user_folder, 1))
    assert len(fractal.jobs.list()) == 0


def test_a_host_that_nobody_has_vouched_for_is_refused(
    fractal: Fractal, user_folder: Path, sshd: Sshd
) -> None:
    sshd.known_hosts.write_text("")
    with pytest.raises(HostKeyUnknown, match=sshd.fingerprint.replace("+", r"\+")):
        fractal.submit("Toy Parallel", images(fractal, user_folder, 1))
    assert len(fractal.jobs.list()) == 0
    assert fractal.profiles.trust("cluster", sshd.fingerprint) == str(sshd.known_hosts)
    assert fractal.submit("Toy Parallel", "plate").wait(60).status == "done"


def test_check_submits_a_real_job(fractal: Fractal) -> None:
    checks = {check.subject: check for check in fractal.resources.check("cluster")}
    assert all(check.ok for check in checks.values()), checks
    assert "ran on node" in checks["worker"].found


def test_check_says_once_why_nobody_gets_in(fractal: Fractal, sshd: Sshd) -> None:
    sshd.known_hosts.write_text("")
    (check,) = fractal.profiles.check("cluster")
    assert check.cure.endswith(f'fractal.profiles.trust("cluster", "{sshd.fingerprint}")')
    fractal.profiles.trust("cluster", sshd.fingerprint)
    sshd.authorize("")
    (check,) = fractal.profiles.check("cluster")
    assert (check.subject, check.ok) == ("access", False)


def test_check_names_the_profile_for_folders_that_are_its_own(
    fractal: Fractal, user_folder: Path
) -> None:
    (user_folder / "jobs").write_text("in the way")
    checks = {check.subject: check for check in fractal.profiles.check("cluster")}
    assert checks["jobs_remote_dir"].cure.endswith("change jobs_remote_dir of the profile")
    assert checks["tasks_remote_dir"].ok


def test_scan_looks_on_the_cluster(fractal: Fractal, user_folder: Path) -> None:
    zarr = user_folder / "zarr"
    for name in ("a.zarr", "b.zarr"):
        write_image(zarr / name)
    dataset = fractal.datasets.create("plate", zarr_dir=zarr, project_dir=user_folder)
    assert len(dataset.scan()) == 2
    with pytest.raises(HostError, match="No such file"):
        dataset.scan(zarr / "missing")

"""The notebook about SLURM, run on the real cluster through each of the three ways."""

from __future__ import annotations

import io
import os
import pwd
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from fractal_jupyter import Fractal
from notebooks.run import Screen, run
from tests import users
from tests.slurm.fixtures import SHARED, skip_for_machine
from tests.slurm.lock import SECONDS
from tests.slurm.machine import Cluster
from tests.sshd import Sshd, why_no_sshd
from tests.toy import end_everything

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02-slurm.ipynb"
PYTHON = "/usr/bin/python3.11"

Execute = Callable[..., Fractal]

pytestmark = [pytest.mark.slurm_faults, pytest.mark.timeout(SECONDS + 900)]


@pytest.fixture
def execute(
    shared_folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Execute]:
    """Runs the notebook with these settings; returns a client that sees what it did."""
    del cluster
    if not Path(PYTHON).exists():
        skip_for_machine("the notebook about SLURM", f"no {PYTHON}")
    url = f"sqlite:///{shared_folder}/store/fractal.db"
    monkeypatch.setenv("FRACTAL_JUPYTER_STORE", url)
    fractal = Fractal(url)

    def execute(**settings: object) -> Fractal:
        settings = {"PYTHON": PYTHON, "FOLDER": shared_folder / "demo", **settings}
        for name, value in settings.items():
            monkeypatch.setenv(f"FRACTAL_DEMO_{name}", str(value))
        screen, target = io.StringIO(), shared_folder / "executed.ipynb"
        status = run(NOTEBOOK, target, Screen(screen))
        keep(target, f"02-slurm-{settings.get('WAY', 'yourself')}.ipynb")
        assert status == 0, screen.getvalue()
        check(fractal, target, screen.getvalue())
        return fractal

    yield execute
    end_everything(fractal._store)
    fractal.close()


def keep(notebook: Path, name: str) -> None:
    """Leave a notebook that was run where it can be looked at afterwards."""
    folder = Path(__file__).parents[2] / "test-output"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(notebook.read_bytes())


def check(fractal: Fractal, notebook: Path, shown: str) -> None:
    """See that jobs did what the notebook says of them, and that it shows so."""
    jobs = sorted(fractal.jobs.list(), key=lambda job: job.id)
    assert [job.status for job in jobs] == ["done", "done"]
    assert [len(job.units()) for job in jobs] == [3 * 12, 12]
    assert {unit.node for job in jobs for unit in job.units()} <= {"node1", "node2"}
    assert "Contact sheet:" in shown
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    texts = "\n".join(output.get("text/plain", "") for output in outputs)
    # as the manifest has it, two side by side; as the notebook sets it, four
    assert texts.index("#SBATCH --mem=8000M") < texts.index("#SBATCH --mem=4000M")
    assert "NgioFileNotFoundError" in shown
    pictures = [output for output in outputs if "image/png" in output]
    assert len(pictures) == 1
    assert notebook.stat().st_size < 2_000_000


def owner(fractal: Fractal) -> str:
    """Whose the files are that the first job wrote."""
    written = [image for image in fractal.datasets.list()[0].images if not image.types["is_3D"]]
    (name,) = {Path(image.zarr_url).owner() for image in written}
    return name


def test_as_yourself(execute: Execute) -> None:
    fractal = execute()
    assert owner(fractal) == pwd.getpwuid(os.geteuid()).pw_name


def test_through_sudo(execute: Execute, second_user: pwd.struct_passwd) -> None:
    with users.sudoers(users.five_commands(second_user.pw_name)):
        fractal = execute(WAY="sudo", USERNAME=second_user.pw_name)
    assert owner(fractal) == second_user.pw_name


def test_through_ssh(
    execute: Execute,
    user_folder: Path,
    second_user: pwd.struct_passwd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if why := why_no_sshd():
        skip_for_machine("SSH", why)
    with tempfile.TemporaryDirectory(prefix="fractal-sshd-", dir=SHARED) as name:
        home = Path(name)
        home.chmod(0o755)
        (home / ".ssh").mkdir(mode=0o755)
        with Sshd(home / ".ssh", user=second_user.pw_name, alias="login") as server:
            monkeypatch.setenv("HOME", str(home))
            fractal = execute(
                WAY="ssh",
                USERNAME=second_user.pw_name,
                HOST="login",
                SSH_KEY=server.key,
                REMOTE_FOLDER=user_folder,
            )
    assert owner(fractal) == second_user.pw_name

"""How a script gets to `sbatch`: as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fractal_jupyter.hosts.base import CommandResult
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.schedulers.slurm import SUBMIT_WHOLE

SCRIPT = b"#!/bin/sh\n" + b"#+ a line of the payload\n" * 10_000


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """Has an `sbatch` that says how much it was given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    sbatch = folder / "sbatch"
    sbatch.write_text('#!/bin/sh\necho "$1 $(wc -c <"$2") $(umask)"; exit ${REFUSE:-0}\n')
    sbatch.chmod(0o755)
    return folder


def submit(folder: Path, bin_folder: Path, arrived: bytes, status: int = 0) -> CommandResult:
    argv = ["/bin/sh", "-c", SUBMIT_WHOLE, "sbatch", "--parsable", f"{folder}/job 1.sh"]
    return LocalHost().run(
        [*argv, str(len(SCRIPT))],
        stdin=arrived,
        env={"PATH": f"{bin_folder}:/usr/bin:/bin", "REFUSE": str(status)},
    )


def test_a_whole_script_is_submitted(tmp_path: Path, bin_folder: Path) -> None:
    result = submit(tmp_path, bin_folder, SCRIPT)
    assert result.exit_code == 0
    assert result.text.split()[:2] == ["--parsable", str(len(SCRIPT))]
    # jobs inherit the mask of who submits them
    assert result.text.split()[2] != "0077"
    script = tmp_path / "job 1.sh"
    assert script.read_bytes() == SCRIPT
    assert script.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("length", [0, 1, len(SCRIPT) // 2, len(SCRIPT) - 1])
def test_a_script_of_which_the_end_is_missing_is_not(
    tmp_path: Path, bin_folder: Path, length: int
) -> None:
    result = submit(tmp_path, bin_folder, SCRIPT[:length])
    assert result.exit_code == 1
    assert result.text == ""
    assert not [*tmp_path.glob("*.sh")]


def test_a_script_that_is_refused_is_not_kept(tmp_path: Path, bin_folder: Path) -> None:
    result = submit(tmp_path, bin_folder, SCRIPT, status=3)
    assert result.exit_code == 3
    assert result.text.split()[:2] == ["--parsable", str(len(SCRIPT))]
    assert not [*tmp_path.glob("*.sh")]

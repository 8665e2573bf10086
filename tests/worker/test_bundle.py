"""The archive that is shipped."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

import fractal_jupyter.worker
from fractal_jupyter.worker.bundle import bundle, bundle_digest
from tests.worker.batches import pythons, write_batch

SOURCES = Path(fractal_jupyter.worker.__file__).parent


def test_archive_has_all_modules_but_the_one_that_makes_it() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle())) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    modules = {f"fractal_worker/{path.name}" for path in SOURCES.glob("*.py")}
    assert set(names) == (modules - {"fractal_worker/bundle.py"}) | {"__main__.py"}


def test_same_sources_give_the_same_bytes() -> None:
    first, digest = bundle(), bundle_digest()
    bundle.cache_clear()
    bundle_digest.cache_clear()
    assert bundle() == first
    assert bundle_digest() == digest
    assert len(digest) == 64


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "worker.pyz"
    path.write_bytes(bundle())
    return path


@pytest.mark.parametrize("python", pythons())
def test_archive_runs_with_any_python(python: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("print('hello')\n")
    result = write_batch(tmp_path / "batch", [python, script], 1).run(python)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.ends[0]["status"] == "done"
    assert result.log(0) == b"hello\n"


@pytest.mark.parametrize("python", pythons())
def test_archive_scans(python: str, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    said = subprocess.run(
        [python, "-I", "-S", archive, "scan", tmp_path / "data"], capture_output=True, check=True
    )
    assert json.loads(said.stdout) is not None


@pytest.mark.parametrize("arguments", [[], ["run"], ["jump", "x"], ["run", "a", "b"]])
def test_wrong_use_is_told(archive: Path, arguments: list[str]) -> None:
    said = subprocess.run(
        [pythons()[0], "-I", "-S", archive, *arguments], capture_output=True, check=False
    )
    assert said.returncode == 64
    assert said.stderr.startswith(b"Usage: worker.pyz run BATCH_FOLDER")


def test_a_folder_without_batch_is_told(archive: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [pythons()[0], "-I", "-S", archive, "run", tmp_path],
        capture_output=True,
        check=False,
        text=True,
    )
    assert said.returncode == 66
    assert said.stderr == f"{tmp_path}/batch.json cannot be read: No such file or directory.\n"
    assert not list(tmp_path.glob("attempt-*"))

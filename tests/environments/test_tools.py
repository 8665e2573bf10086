"""Which uv builds: that of the machine, one that is brought along, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fractal_jupyter.environments import uv as ours
from fractal_jupyter.environments.uv import CarriedUv
from fractal_jupyter.errors import CollectionError

from .conftest import Workshop
from .packages import PackageIndex, make_task_wheel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where uv is brought to."""
    return tmp_path / "brought"


@pytest.fixture
def workshop(
    workshop: Workshop, index: PackageIndex, uv: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Workshop:
    """A workshop that brings its uv along, on a machine without one."""
    make_task_wheel(index.folder)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    workshop.uv = CarriedUv(uv, str(folder))
    return workshop


def put_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_the_uv_of_the_machine_comes_first(
    workshop: Workshop, uv: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(tmp_path, monkeypatch, f'touch {tmp_path}/used; exec {uv} "$@"')
    workshop.build("my-tasks")
    assert (tmp_path / "used").exists()
    assert not folder.exists()


def test_ours_is_brought_where_theirs_does_not_run(
    workshop: Workshop, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(tmp_path, monkeypatch, "echo wrong architecture; exit 126")
    workshop.build("my-tasks")
    assert len(list(folder.iterdir())) == 1


def test_nothing_is_brought_for_what_is_there(workshop: Workshop, uv: str, folder: Path) -> None:
    workshop.uv = uv
    workshop.build("my-tasks")
    workshop.uv = CarriedUv(uv, str(folder))
    workshop.build("my-tasks")
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("why", ["another kind of machine", "may not be run there"])
def test_pip_builds_where_ours_does_not_run(
    workshop: Workshop, why: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(workshop.uv, CarriedUv)
    if why == "another kind of machine":
        monkeypatch.setattr(ours, "kind_of_machine", lambda: ["linux", "vax", "glibc"])
    else:
        folder.mkdir()
        Path(workshop.uv.path).touch()
    workshop.build("my-tasks")
    assert any("no uv that runs on this machine" in line for line in workshop.log)


def test_a_place_that_uv_cannot_be_brought_to(workshop: Workshop, uv: str) -> None:
    workshop.uv = CarriedUv(uv, "/proc/uv")
    with pytest.raises(CollectionError, match=r"uv cannot be copied to /proc/uv.*uv=False"):
        workshop.build("my-tasks")
    assert workshop.left == []

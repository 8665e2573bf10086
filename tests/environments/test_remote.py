"""Builds on the other side of an SSH connection, as another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fractal_jupyter.errors import CollectionError, HostUnreachable, InterpreterError
from tests.sshd import Sshd
from tests.toy import wait_until

from .conftest import Workshop
from .packages import PackageIndex, make_task_wheel
from .test_venv import in_thread, members, owner


def test_builds_there_from_a_wheel_of_ours_with_our_uv(
    remote_workshop: Workshop, tmp_path: Path, uv: str, login: Sshd
) -> None:
    wheel = make_task_wheel(tmp_path)
    built = remote_workshop.build(str(wheel))
    host, user = remote_workshop.host, remote_workshop.folder.owner()
    script = f"{built.package_root}/do_it.py"
    assert host.run([built.python, script]).check().text == "done\n"
    assert Path(script).owner() == user
    assert user != Path(wheel).owner()
    (copy,) = (remote_workshop.folder.parent / "uv").iterdir()
    assert copy.owner() == user
    assert copy.read_bytes() == Path(uv).read_bytes()
    sessions = login.log().count("Starting session")
    remote_workshop.build(str(wheel), "second")
    assert login.log().count("Starting session") == sessions + 1
    brought = [line for line in remote_workshop.log if "copying ours" in line]
    assert brought == [f"{host.name} has no uv: copying ours to {copy}"]


def test_what_fails_there_is_told_as_it_is_here(
    remote_workshop: Workshop, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    with pytest.raises(InterpreterError, match=r"no Python interpreter /no/python on login"):
        remote_workshop.build("my-tasks", interpreter="/no/python")
    with pytest.raises(CollectionError, match=r"cannot be built in /etc/.*Check that you may"):
        remote_workshop.build("my-tasks", folder="/etc/tasks/env")
    with pytest.raises(CollectionError, match=r"There is no version 7\.0 of my-tasks"):
        remote_workshop.build("my-tasks==7.0")
    assert remote_workshop.left == []


def test_an_interrupt_ends_everything_there_and_leaves_nothing(
    remote_workshop: Workshop, index: PackageIndex
) -> None:
    index.gate.clear()
    group = 0

    def interrupt() -> None:
        nonlocal group
        if index.asked.is_set():
            group = os.getpgid(owner(remote_workshop.folder / "env"))
            raise KeyboardInterrupt

    request = remote_workshop.request("my-tasks")
    with pytest.raises(KeyboardInterrupt):
        remote_workshop.builder.build(request, log=str, pulse=interrupt)
    assert remote_workshop.left == []
    assert members(group) == []


def test_a_build_whose_connection_is_cut_ends_and_leaves_nothing(
    remote_workshop: Workshop, index: PackageIndex, login: Sshd
) -> None:
    index.gate.clear()
    building = in_thread(lambda: remote_workshop.build("my-tasks"))
    assert index.asked.wait(60)
    group = os.getpgid(owner(remote_workshop.folder / "env"))
    login.cut()
    assert isinstance(building(), HostUnreachable)
    wait_until(lambda: remote_workshop.left == [] and members(group) == [])

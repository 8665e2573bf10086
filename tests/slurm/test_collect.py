"""Environments for clusters: built where they are used, as whom they are used by."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from pwd import struct_passwd

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import (
    AccessDenied,
    CollectionError,
    HostUnreachable,
    InterpreterError,
    NotAllowed,
    NotFound,
)
from fractal_jupyter.hosts.ssh import shared_host
from fractal_jupyter.hosts.sudo import SudoHost
from fractal_jupyter.runner.users import current_user
from tests.environments.conftest import index, login, system_python
from tests.environments.packages import PackageIndex, make_task_wheel
from tests.slurm.conftest import MakeFractal
from tests.slurm.ways import PROFILE, RESOURCE, images, profile_document, resource_document
from tests.sshd import Sshd
from tests.toy import wait_until
from tests.users import five_commands, nothing, sudoers

__all__ = ["index", "login", "system_python"]

Interpreter = tuple[str, str]


@pytest.fixture
def fractal(shared_folder: Path) -> Iterator[Fractal]:
    """A client of an empty store; nothing here asks for a running cluster."""
    fractal = Fractal(f"sqlite:///{shared_folder}/store/fractal.db")
    yield fractal
    fractal.close()


def add_remote(
    fractal: Fractal, folder: Path, server: Sshd, interpreter: Interpreter, *names: str
) -> None:
    """Add the cluster as the user of a server reaches it, and profiles with their own folders."""
    fractal.resources.add(resource_document("slurm_ssh", folder, python=interpreter[0]))
    for name in names:
        fields = {
            "name": name,
            "ssh_key_path": str(server.key),
            "jobs_remote_dir": f"{folder}/user/jobs",
            "tasks_remote_dir": f"{folder}/user/tasks of {name}",
        }
        profile = {**profile_document("slurm_ssh", server.user), **fields}
        fractal.profiles.add(profile, resource=RESOURCE)


# Through SSH


@pytest.fixture
def remote(
    fractal: Fractal,
    shared_folder: Path,
    user_folder: Path,
    login: Sshd,
    system_python: Interpreter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Fractal:
    """A client of two profiles, `one` and `two`, of the second user on the other side."""
    assert user_folder.is_dir()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_bytes(login.config.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    add_remote(fractal, shared_folder, login, system_python, "one", "two")
    return fractal


@pytest.mark.slow
def test_what_another_user_has_built_is_neither_added_to_nor_removed(
    remote: Fractal, index: PackageIndex, shared_folder: Path, second_user: struct_passwd
) -> None:
    make_task_wheel(index.folder)
    tasks = shared_folder / "user" / "tasks of one"
    tasks.mkdir(mode=0o777)
    tasks.chmod(0o1777)
    (tasks / ".cache").mkdir()
    with pytest.raises(CollectionError, match=r"belongs to root\. Each user needs"):
        remote.collect("my-tasks==1.0", profile="one")
    assert [path.name for path in tasks.iterdir()] == [".cache"]
    (tasks / ".cache").rmdir()
    group = remote.collect("my-tasks==1.0", profile="one")
    os.chown(group.folder, 0, 0)
    with pytest.raises(CollectionError, match=r"belongs to root\."):
        group.deactivate()
    assert group.active
    os.chown(group.folder, second_user.pw_uid, second_user.pw_gid)
    group.deactivate()
    assert not group.active


@pytest.mark.slow
def test_each_folder_of_environments_has_its_own(
    remote: Fractal, index: PackageIndex, shared_folder: Path, second_user: struct_passwd
) -> None:
    make_task_wheel(index.folder)
    dataset = images(remote, shared_folder, 1)
    one = remote.collect("my-tasks==1.0", profile="one")
    assert one.folder.startswith(f"{shared_folder}/user/tasks of one/my-tasks/1.0-")
    assert Path(one.folder).owner() == second_user.pw_name
    assert remote.collect("my-tasks==1.0", profile="one").id == one.id
    remote.plan("Do it", dataset, profile="one")
    elsewhere = rf"into {shared_folder}/user/tasks of one, .* 'two' are in another folder"
    with pytest.raises(NotFound, match=elsewhere):
        remote.plan("Do it", dataset, profile="two")
    two = remote.collect("my-tasks==1.0", profile="two")
    assert two.folder.startswith(f"{shared_folder}/user/tasks of two/my-tasks/1.0-")
    wait_until((Path(one.folder) / "bytecode").exists)
    shutil.rmtree(one.folder)
    remote.plan("Do it", dataset, profile="two")
    call = "fractal.collect('my-tasks==1.0', profile='one', python='3.11')"
    with pytest.raises(NotAllowed) as raised:
        remote.plan("Do it", dataset, profile="one")
    assert f"{one.python} is not to be found on {second_user.pw_name}@login" in str(raised.value)
    assert str(raised.value).endswith(f"Build it again: {call}.")
    assert eval(call, {"fractal": remote}).id == one.id
    remote.plan("Do it", dataset, profile="one")


def test_a_host_that_does_not_answer_is_told(
    remote: Fractal, index: PackageIndex, shared_folder: Path, login: Sshd
) -> None:
    make_task_wheel(index.folder)
    remote.collect("my-tasks==1.0", profile="one")
    login.stop()
    for ask in (
        lambda: remote.plan("Do it", images(remote, shared_folder, 1), profile="one"),
        lambda: remote.collect("my-tasks==1.0", profile="one"),
        lambda: remote.collect("my-tasks==1.0", profile="two"),
    ):
        with pytest.raises(HostUnreachable, match=r"login"):
            ask()
    assert [each.status for each in remote._store.activities.all()] == ["OK", "failed"]


@pytest.mark.slow
def test_fractal_tasks_core_from_the_package_index(
    fractal: Fractal,
    shared_folder: Path,
    user_folder: Path,
    sshd: Sshd,
    system_python: Interpreter,
) -> None:
    add_remote(fractal, shared_folder, sshd, system_python, "one")
    group = fractal.collect("fractal-tasks-core==2.1.0", profile="one")
    assert group.folder.startswith(str(user_folder))
    assert "Project Image" in {task.name for task in group.tasks}
    host = shared_host("login", sshd.user, str(sshd.key))
    script = f"{group._record.package_root}/projection.py"
    assert group.python is not None
    assert "--args-json" in host.run([group.python, script, "--help"]).check().text
    wait_until((Path(group.folder) / "bytecode").exists, seconds=120)


# Through sudo


@pytest.fixture
def sudo(
    fractal: Fractal, shared_folder: Path, second_user: struct_passwd, system_python: Interpreter
) -> Iterator[Fractal]:
    """A client of two profiles: `ourselves`, and the `other` user."""
    document = resource_document("slurm_sudo", shared_folder, python=system_python[0])
    fractal.resources.add(document)
    for name, user in (("ourselves", current_user()), ("other", second_user.pw_name)):
        profile = {**profile_document("slurm_sudo", user), "name": name}
        fractal.profiles.add(profile, resource=RESOURCE)
    before = os.umask(0o077)
    with sudoers(five_commands()):
        yield fractal
    os.umask(before)


def test_what_we_build_for_another_user_can_be_used_by_that_user(
    sudo: Fractal, index: PackageIndex, shared_folder: Path, second_user: struct_passwd
) -> None:
    make_task_wheel(index.folder)
    (shared_folder / "tasks").mkdir()
    (shared_folder / "tasks").chmod(0o755)
    dataset = images(sudo, shared_folder, 1)
    ours = sudo.collect("my-tasks==1.0", profile="ourselves")
    wait_until((Path(ours.folder) / "bytecode").exists)
    sudo.plan("Do it", dataset, profile="ourselves")
    with pytest.raises(NotAllowed, match=r"not to be found on this machine as .*profile='other'"):
        sudo.plan("Do it", dataset, profile="other")
    theirs = sudo.collect("my-tasks==1.0", profile="other")
    assert (theirs.id, theirs.folder) == (ours.id, ours.folder)
    sudo.plan("Do it", dataset, profile="other")
    script = f"{theirs._record.package_root}/do_it.py"
    user = SudoHost(second_user.pw_name)
    for path in (script, cache_from_source(script), f"{theirs.folder}/requirements.txt"):
        assert user.read(path)


def test_a_closed_folder_is_told_before_anything_is_built(
    sudo: Fractal, index: PackageIndex, shared_folder: Path
) -> None:
    make_task_wheel(index.folder)
    (shared_folder / "tasks").mkdir(0o700)
    closed = rf"The folder {shared_folder}/tasks is closed on this machine as .*chmod o\+rx"
    with pytest.raises(CollectionError, match=closed):
        sudo.collect("my-tasks==1.0", profile="other")
    assert not list((shared_folder / "tasks").iterdir())
    assert not index.asked.is_set()
    assert sudo._store.activities.all() == []


def test_an_interpreter_of_ours_alone_is_told_before_anything_is_built(
    sudo: Fractal, shared_folder: Path, system_python: Interpreter
) -> None:
    private = shared_folder / "private"
    private.mkdir(0o700)
    (private / "python").symlink_to(system_python[0])
    document = sudo._store.resources.get(RESOURCE).document
    versions = {"3.11": f"{private}/python"}
    python = {"default_version": "3.11", "versions": versions}
    sudo.resources.update(RESOURCE, {**document, "tasks_python_config": python})
    with pytest.raises(InterpreterError, match=f"{private}/python cannot be reached on this"):
        sudo.collect("my-tasks==1.0", profile="other")
    assert not (shared_folder / "tasks").exists()


def test_sudo_that_refuses_is_told_before_anything_is_built(
    fractal: Fractal, shared_folder: Path, second_user: struct_passwd, system_python: Interpreter
) -> None:
    document = resource_document("slurm_sudo", shared_folder, python=system_python[0])
    fractal.resources.add(document)
    fractal.profiles.add(profile_document("slurm_sudo", second_user.pw_name), resource=RESOURCE)
    with sudoers(nothing()), pytest.raises(AccessDenied, match=second_user.pw_name):
        fractal.collect("my-tasks==1.0", profile=PROFILE)
    assert not (shared_folder / "tasks").exists()


# And it runs


def test_a_task_that_was_collected_runs_as_ourselves(
    own_fractal: MakeFractal, index: PackageIndex, shared_folder: Path
) -> None:
    make_task_wheel(index.folder)
    check_a_job(own_fractal(), shared_folder)


def test_a_task_that_was_collected_runs_as_another_user(
    other_fractal: MakeFractal,
    index: PackageIndex,
    user_folder: Path,
    second_user: struct_passwd,
) -> None:
    make_task_wheel(index.folder)
    with sudoers(five_commands()):
        check_a_job(other_fractal(second_user.pw_name), user_folder)


def test_a_task_that_was_collected_runs_through_ssh(
    remote_fractal: MakeFractal, tmp_path: Path, user_folder: Path
) -> None:
    wheel = make_task_wheel(tmp_path / "wheels")
    check_a_job(remote_fractal(), user_folder, str(wheel))


def check_a_job(fractal: Fractal, folder: Path, requirement: str = "my-tasks==1.0") -> None:
    """Collect the task and run it."""
    fractal.collect(requirement)
    job = fractal.submit("Do it", images(fractal, folder, 2)).wait(120)
    assert job.status == "done", job.error
    assert job.log(unit=1) == "done\n"

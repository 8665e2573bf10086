from __future__ import annotations

from pathlib import Path
from pwd import struct_passwd

import pytest

from fractal_jupyter.environments.reach import first_out_of_reach
from fractal_jupyter.errors import CommandFailed, HostUnreachable
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.fake import FakeHost, FakeOutcome
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.hosts.ssh import SSHHost
from fractal_jupyter.hosts.sudo import SudoHost
from tests.sshd import Sshd
from tests.users import five_commands, sudoers


@pytest.fixture
def folder(shared_folder: Path) -> Path:
    """A folder with files, a link that leads nowhere, and a folder that only we may enter."""
    folder = shared_folder / "folder of 'files'"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    (folder / "closed" / "file").touch()
    (folder / "file").touch()
    (folder / "link").symlink_to("file")
    (folder / "nowhere").symlink_to("nothing")
    return folder


def found(host: Host, folder: Path, *names: str) -> str | None:
    missing = first_out_of_reach(host, [f"{folder}/{name}" for name in names])
    return missing and missing.removeprefix(f"{folder}/")


def check(host: Host, folder: Path) -> None:
    """What holds on every host."""
    assert found(host, folder, "file", "link", ".") is None
    assert found(host, folder, "file", "nowhere", "nothing") == "nowhere"
    assert found(host, folder, "nothing", "file", "nowhere") == "nothing"
    assert found(host, folder, "file/.") == "file/."


def check_closed(host: Host, folder: Path) -> None:
    """What holds for another user."""
    assert found(host, folder, "closed") is None
    assert found(host, folder, "file", "closed/.") == "closed/."
    assert found(host, folder, "closed/file") == "closed/file"


def test_on_this_machine(folder: Path) -> None:
    check(LocalHost(), folder)
    assert found(LocalHost(), folder, "closed/.", "closed/file") is None


def test_through_sudo(folder: Path, second_user: struct_passwd) -> None:
    with sudoers(five_commands()):
        check(SudoHost(second_user.pw_name), folder)
        check_closed(SudoHost(second_user.pw_name), folder)


def test_through_ssh(folder: Path, remote_host: SSHHost, login: Sshd) -> None:
    check(remote_host, folder)
    check_closed(remote_host, folder)
    login.stop()
    with pytest.raises(HostUnreachable):
        found(remote_host, folder, "file")


def test_an_ls_that_does_not_work_says_nothing_about_files() -> None:
    host = FakeHost(commands={"ls": lambda call: FakeOutcome(127, stderr=b"ls: not found")})
    with pytest.raises(CommandFailed, match="ls: not found"):
        first_out_of_reach(host, ["/file"])

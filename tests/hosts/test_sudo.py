from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

import fractal_jupyter
from fractal_jupyter.errors import (
    AccessDenied,
    FileMissing,
    HostError,
    HostUnreachable,
    UnsupportedOnHost,
)
from fractal_jupyter.hosts import sudo
from fractal_jupyter.hosts.base import Capability
from fractal_jupyter.hosts.sudo import SudoHost
from fractal_jupyter.hosts.sudo_check import check_sudo
from tests import users
from tests.slurm.fixtures import skip_for_machine, unless

from .contract import HostContract, Subject

pytestmark = unless("a second user", users.why_no_user())


@pytest.fixture(scope="module")
def other() -> pwd.struct_passwd:
    return users.make_user()


@pytest.fixture
def allowed(other: pwd.struct_passwd) -> Iterator[None]:
    with users.sudoers(users.five_commands(other.pw_name)):
        yield


@pytest.fixture
def folder(other: pwd.struct_passwd) -> Iterator[Path]:
    """A folder of the other user, in a place that both may enter."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as outer:
        Path(outer).chmod(0o755)
        inner = Path(outer, "theirs")
        inner.mkdir(mode=0o755)
        os.chown(inner, other.pw_uid, other.pw_gid)
        yield inner


@pytest.fixture
def host(allowed: None, other: pwd.struct_passwd) -> SudoHost:
    return SudoHost(other.pw_name)


class TestSudoHost(HostContract):
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LIST, Capability.MKDIR, Capability.STREAM}
    )

    @pytest.fixture
    def subject(self, host: SudoHost, folder: Path) -> Subject:
        return Subject(
            host=host,
            folder=str(folder),
            command=lambda name, *args: [name, *args],
            place=lambda path, content: Path(path).write_bytes(content),
            content=lambda path: Path(path).read_bytes(),
        )


def test_runs_five_commands_and_no_other(host: SudoHost, folder: Path) -> None:
    (folder / "a b'$(id)").write_text("content")
    assert host.run(["cat", str(folder / "a b'$(id)")]).check().text == "content"
    assert host.run(["cat"], stdin=b"input").stdout == b"input"
    for argv in (["rm", "-r", str(folder)], ["/usr/bin/cat", "/etc/passwd"], ["sudo", "ls"]):
        with pytest.raises(UnsupportedOnHost):
            host.run(argv)
    with pytest.raises(UnsupportedOnHost):
        host.run(["cat"], env={"A": "1"})


def test_folders_belong_to_the_other_user(
    host: SudoHost, folder: Path, other: pwd.struct_passwd
) -> None:
    for name, mode in (("private", 0o700), ("open", 0o2775)):
        host.mkdir(str(folder / "new parent" / name), mode=mode)
        status = (folder / "new parent" / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (mode, other.pw_uid)


def test_what_the_other_user_may_not_do(host: SudoHost, folder: Path) -> None:
    closed = folder.parent / "ours"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("secret")
    for attempt in (
        lambda: host.read(str(closed / "file")),
        lambda: host.read_many({str(closed / "file"): 0, str(folder / "missing"): 0}),
        lambda: host.list(str(closed)),
        lambda: host.mkdir(str(closed / "new")),
        lambda: host.mkdir(str(closed / "new" / "newer")),
    ):
        with pytest.raises(HostError, match="Permission denied") as raised:
            attempt()
        assert not isinstance(raised.value, FileMissing)


def test_reads_more_files_than_fit_into_one_command(
    host: SudoHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sudo, "_ARGUMENTS", 1000)
    files = {str(folder / f"{i:02}"): b"%d" % i for i in range(30)}
    for path, content in files.items():
        Path(path).write_bytes(content)
    assert host.read_many(dict.fromkeys([*files, str(folder / "none")], 0)) == files


def test_separators_are_closed_to_lookers_and_do_not_stay(
    host: SudoHost, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # pytest's folder is closed to others, so another one is found
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(Path("/tmp").glob("fractal-*"))
    (folder / "file").write_text("x")
    assert host.read_many({str(folder / "file"): 0}) == {str(folder / "file"): b"x"}
    assert set(Path("/tmp").glob("fractal-*")) <= before
    assert list(tmp_path.glob("fractal-*")) == []


def test_does_not_depend_on_the_language(
    host: SudoHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sudo, "_MISSING", (b"Datei oder Verzeichnis nicht gefunden",))
    (folder / "empty").touch()
    (folder / "line\nbreak").write_text("12")
    paths = [str(folder / name) for name in ("empty", "none", "line\nbreak", "no/ne", "n\no")]
    assert host.read_many(dict.fromkeys(paths, 0)) == {paths[0]: b"", paths[2]: b"12"}
    with pytest.raises(FileMissing):
        host.read(paths[1])
    with pytest.raises(FileMissing):
        host.list(paths[3])
    with pytest.raises(HostError) as raised:
        host.read_many({paths[1]: 0, str(folder): 0})
    assert not isinstance(raised.value, FileMissing)


def test_lists_links_and_devices(host: SudoHost, folder: Path) -> None:
    (folder / "link").symlink_to("/")
    (folder / "dangling").symlink_to("nothing")
    found = {entry.name: (entry.is_dir, entry.size) for entry in host.list(str(folder))}
    assert found["link"] == (True, 0)
    assert found.keys() == {"link", "dangling"}
    assert "null" in {entry.name for entry in host.list("/dev")}


# Refusals


def test_says_which_line_an_administrator_has_to_add(other: pwd.struct_passwd) -> None:
    with users.sudoers(users.nothing(other.pw_name)):
        with pytest.raises(AccessDenied, match=r"run cat as fractal-test") as raised:
            SudoHost(other.pw_name).read("/etc/hostname")
        checks = check_sudo(other.pw_name)
    assert "root ALL=(fractal-test) NOPASSWD: /usr/bin/sbatch, " in str(raised.value)
    assert [check.ok for check in checks] == [False] * 5


def test_says_that_a_password_would_be_needed(other: pwd.struct_passwd) -> None:
    # somebody whom sudo does not know is asked for a password first
    nobody = pwd.getpwnam("nobody")
    sudo = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    with pytest.raises(AccessDenied, match=r"(?s)without a password.*a password is required"):
        SudoHost(other.pw_name, sudo=(*sudo, "sudo")).list("/")


def test_says_that_sudo_may_not_be_used_here(other: pwd.struct_passwd) -> None:
    sudo = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "sudo")
    with pytest.raises(AccessDenied, match="this process may not use sudo"):
        SudoHost(other.pw_name, sudo=sudo).list("/")


def test_says_that_there_is_no_such_user() -> None:
    with pytest.raises(AccessDenied, match="no user fractal-nobody-at-all"):
        SudoHost("fractal-nobody-at-all").list("/")


def test_says_that_sudo_is_missing(other: pwd.struct_passwd) -> None:
    with pytest.raises(AccessDenied, match="install sudo"):
        SudoHost(other.pw_name, sudo=("/nowhere/sudo",)).list("/")


def test_says_that_a_program_is_missing(other: pwd.struct_passwd, tmp_path: Path) -> None:
    # sudo says so when its secure_path has no such program; this one says what sudo would
    fake = tmp_path / "sudo"
    fake.write_text("#!/bin/sh\necho 'sudo: sbatch: command not found' >&2; exit 1\n")
    fake.chmod(0o755)
    with pytest.raises(AccessDenied, match="no program sbatch"):
        SudoHost(other.pw_name, sudo=(str(fake),)).run(["sbatch"])


def test_an_error_of_the_command_is_a_result(host: SudoHost) -> None:
    result = host.run(["ls", "/no/such/folder"])
    assert result.exit_code == 2
    assert "No such file" in result.error_text


def test_checks_what_is_allowed(allowed: None, other: pwd.struct_passwd) -> None:
    if not shutil.which("sbatch"):
        skip_for_machine("sudo with SLURM", "no sbatch")
    assert [(check.command, check.ok) for check in check_sudo(other.pw_name)] == [
        (command, True) for command in ("sbatch", "scancel", "cat", "ls", "mkdir")
    ]


# Time limits


def test_a_file_system_that_hangs_is_said_to(
    host: SudoHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sudo, "_PATIENCE", 0.5)
    os.mkfifo(folder / "pipe", 0o644)
    with pytest.raises(HostUnreachable, match="does not answer"):
        host.read(str(folder / "pipe"))


# What runs as root is ended by sudo, which whoever started it may ask for that.
IMPATIENT = """
import sys
from fractal_jupyter.errors import CommandTimeout
from fractal_jupyter.hosts.sudo import SudoHost
try:
    SudoHost("root").run(["cat", sys.argv[1]], timeout=0.5)
except CommandTimeout as error:
    print(error)
"""


def test_a_time_limit_holds_for_who_is_not_root(other: pwd.struct_passwd, folder: Path) -> None:
    python = Path("/usr/bin/python3")
    if not python.exists():
        skip_for_machine("time limits of sudo", f"no {python}")
    os.mkfifo(folder / "pipe", 0o644)
    with users.sudoers(f"{other.pw_name} ALL=(root) NOPASSWD: /usr/bin/cat\n"):
        done = subprocess.run(
            [
                *("setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}"),
                *("--clear-groups", str(python), "-c", IMPATIENT, str(folder / "pipe")),
            ],
            env={"PYTHONPATH": str(Path(fractal_jupyter.__file__).parents[1]), "PATH": "/usr/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "0.5 seconds" in done.stdout, done.stderr
    # nobody waits at the other end of the pipe any more
    with pytest.raises(OSError, match="No such device"):
        os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)

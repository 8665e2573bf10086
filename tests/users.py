"""A second Unix user for the tests, and what sudo lets the current one do in their name.

Sudoers files here are about one target user only, so that they change nothing else on a machine
that people work on. They hold for root as well, whom sudo would otherwise let do anything: the
last entry that fits is the one that counts, and files in /etc/sudoers.d come last.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.slurm.lock import held

TEST_USER = "fractal-test"
# All that a cluster's administrator has to allow.
COMMANDS = ("sbatch", "scancel", "cat", "ls", "mkdir")

_FOLDER = Path("/etc/sudoers.d")
_LOCK = Path("/var/tmp/fractal-tests.sudoers.lock")


def why_no_user() -> str | None:
    """What keeps this machine from having a second user, in words; nothing if nothing does."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("sudo", "visudo", "useradd") if _find(name) is None]
    return f"not on this machine: {', '.join(missing)}" if missing else None


def make_user(name: str = TEST_USER) -> pwd.struct_passwd:
    """The user, made if there is none of that name: with a home, without a password."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        _run("useradd", "--create-home", "--shell", "/bin/bash", name)
        user = pwd.getpwnam(name)
    home = Path(user.pw_dir)
    if not home.is_dir():
        home.mkdir(mode=0o755)
        os.chown(home, user.pw_uid, user.pw_gid)
    return user


def five_commands(target: str = TEST_USER, *, user: str | None = None) -> str:
    """Sudoers that let a user, the current one, run just the five commands as `target`."""
    paths = ", ".join(_path(command) for command in COMMANDS)
    return f"{user or _current()} ALL=({target}) !ALL, NOPASSWD: {paths}\n"


def nothing(target: str = TEST_USER) -> str:
    """Sudoers that let the current user run nothing as `target`."""
    return f"{_current()} ALL=({target}) !ALL\n"


@contextmanager
def sudoers(text: str) -> Iterator[None]:
    """Have a file with `text` in /etc/sudoers.d for a while; one at a time on a machine."""
    with held(_LOCK):
        yield from _installed(text)


def _installed(text: str) -> Iterator[None]:
    # One that a killed session left is replaced; a name with a dot is not read by sudo.
    path = _FOLDER / "fractal-jupyter-tests"
    draft = _FOLDER / "fractal-jupyter-tests.draft"
    try:
        draft.write_text(text)
        draft.chmod(0o440)
        _run("visudo", "--check", "--quiet", f"--file={draft}")
        draft.rename(path)
        yield
    finally:
        draft.unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _current() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _find(command: str) -> str | None:
    return shutil.which(command, path="/usr/bin:/bin:/usr/sbin:/sbin")


def _path(command: str) -> str:
    found = _find(command)
    assert found is not None, f"no {command} on this machine"
    return found


def _run(command: str, *words: str) -> None:
    done = subprocess.run([_path(command), *words], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"

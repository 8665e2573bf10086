from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.runner.users import current_user
from tests import users
from tests.slurm.faults import Commands, Diary, add_scripted_tasks
from tests.slurm.fixtures import SHARED, ToyEnvironment, skip_for_machine
from tests.slurm.machine import Cluster
from tests.slurm.ways import PROFILE, RESOURCE, profile_document, resource_document
from tests.sshd import Sshd, why_no_sshd
from tests.toy import end_everything

MakeFractal = Callable[..., Fractal]


@pytest.fixture
def make_fractal(
    cluster: Cluster, shared_folder: Path, toy_environment: ToyEnvironment
) -> Iterator[MakeFractal]:
    """Makes a client of the cluster: a kind of resource, a user, further fields of the profile.

    Other arguments are those of `resource_document`.
    """
    del cluster
    made: list[Fractal] = []

    def make(
        kind: str, username: str, profile: Mapping[str, str] | None = None, **settings: Any
    ) -> Fractal:
        fractal = Fractal(f"sqlite:///{shared_folder}/store/fractal.db")
        made.append(fractal)
        python = settings.pop("python", toy_environment.python)
        fractal.resources.add(resource_document(kind, shared_folder, python=python, **settings))
        fractal.profiles.add(profile_document(kind, username, **(profile or {})), resource=RESOURCE)
        fractal.use(PROFILE)
        toy_environment.add(fractal._store, resource=RESOURCE)
        add_scripted_tasks(fractal, shared_folder, toy_environment.python)
        return fractal

    yield make
    for fractal in made:
        end_everything(fractal._store)
        fractal.close()


@pytest.fixture
def own_fractal(make_fractal: MakeFractal) -> MakeFractal:
    """Makes a client that submits as the current user."""

    def make(**settings: Any) -> Fractal:
        return make_fractal("slurm_sudo", current_user(), **settings)

    return make


@pytest.fixture
def other_fractal(make_fractal: MakeFractal) -> MakeFractal:
    """Makes a client that submits as another user through sudo."""

    def make(username: str, **settings: Any) -> Fractal:
        return make_fractal("slurm_sudo", username, **settings)

    return make


@pytest.fixture
def sshd_options() -> Mapping[str, str]:
    """Further lines of the configuration of `sshd`; a module may have its own."""
    return {}


@pytest.fixture
def sshd(
    tmp_path_factory: pytest.TempPathFactory,
    sshd_options: Mapping[str, str],
    second_user: pwd.struct_passwd,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Sshd]:
    """The login node: lets the second user in, and is called `login` by our SSH configuration."""
    if why := why_no_sshd():
        skip_for_machine("SSH", why)
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    with tempfile.TemporaryDirectory(prefix="fractal-sshd-", dir=SHARED) as folder:
        Path(folder).chmod(0o755)
        user = second_user.pw_name
        with Sshd(Path(folder), user=user, alias="login", options=sshd_options) as server:
            (home / ".ssh" / "config").write_bytes(server.config.read_bytes())
            monkeypatch.setenv("HOME", str(home))
            yield server


@pytest.fixture
def remote_fractal(
    make_fractal: MakeFractal, sshd: Sshd, user_folder: Path, second_user: pwd.struct_passwd
) -> MakeFractal:
    """Makes a client that submits as another user through SSH."""

    def make(**settings: Any) -> Fractal:
        folders = {
            "jobs_remote_dir": f"{user_folder}/jobs",
            "tasks_remote_dir": f"{user_folder}/tasks",
        }
        return make_fractal(
            "slurm_ssh",
            second_user.pw_name,
            {"ssh_key_path": str(sshd.key), **folders},
            **settings,
        )

    return make


@pytest.fixture
def five_commands(cluster: Cluster, second_user: pwd.struct_passwd) -> Iterator[None]:
    """Sudo lets us run as the second user what an administrator has to allow, and nothing else.

    The cluster comes first: whoever held one of the two and waited for the other would wait for
    who does it the other way round.
    """
    del cluster
    with users.sudoers(users.five_commands(second_user.pw_name)):
        yield


@pytest.fixture(params=["oneself"])
def way(request: pytest.FixtureRequest) -> str:
    """How jobs get to the cluster: `oneself`, `sudo` or `ssh`; see `IN_ALL_WAYS`."""
    return str(request.param)


@pytest.fixture
def fractal_of_way(way: str, request: pytest.FixtureRequest) -> MakeFractal:
    """Makes a client that submits in that way, as the second user where it is another one."""
    if way == "oneself":
        return cast("MakeFractal", request.getfixturevalue("own_fractal"))
    if way == "ssh":
        return cast("MakeFractal", request.getfixturevalue("remote_fractal"))
    request.getfixturevalue("five_commands")
    user = request.getfixturevalue("second_user").pw_name
    return partial(request.getfixturevalue("other_fractal"), username=user)


@pytest.fixture
def folder_of_way(way: str, request: pytest.FixtureRequest) -> Path:
    """A folder of whose jobs they are."""
    name = "shared_folder" if way == "oneself" else "user_folder"
    return cast("Path", request.getfixturevalue(name))


@pytest.fixture
def diary(shared_folder: Path) -> Diary:
    """What the units of the task `Scripted` are told, and what they have noted."""
    return Diary(shared_folder / "diary")


@pytest.fixture
def commands(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """SLURM's commands, as supervisors of this machine find them."""
    commands = Commands(shared_folder / "commands")
    monkeypatch.setenv("PATH", f"{commands.folder}:{os.environ['PATH']}")
    return commands

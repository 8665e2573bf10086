"""One hub for all tests of this folder; its administrator's files are those of `files`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.hub import NAMES, Hub, User, make_environment, running_hub, why_not
from tests.hub.work import collect, local_resource, toy_wheel
from tests.slurm.fixtures import SHARED, skip_for_machine
from tests.slurm.lock import held
from tests.slurm.ways import profile_document, resource_document
from tests.users import TEST_USER

LOCK = Path("/var/tmp/fractal-tests.hub.lock")
# Ann has another name on the cluster, Bob the same.
SLURM_USERS = {NAMES[0]: TEST_USER}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """There is one hub, so its tests run in one worker.

    It takes a minute to make, so they are among those that take longest: `make test-faults`.
    """
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.long)
            item.add_marker(pytest.mark.xdist_group("hub"))


@pytest.fixture
def jp_server_cleanup() -> None:
    """Nothing: servers are processes of their own."""


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    if why := why_not():
        skip_for_machine("JupyterHub", why)
    folder = Path(tempfile.mkdtemp(prefix="fractal-hub-", dir=SHARED))
    folder.chmod(0o755)
    try:
        with held(LOCK), running_hub(folder, make_environment(folder)) as hub:
            write_files(hub)
            yield hub
    finally:
        shutil.rmtree(folder)


def write_files(hub: Hub) -> None:
    """What the administrator of the hub has written."""
    hub.write("users.json", SLURM_USERS)
    hub.write("here/resource.json", local_resource("Here"))
    hub.write("here/profiles/me.json", {"resource_type": "local", "name": "Here"})
    cluster = resource_document("slurm_sudo", Path("{home}/fractal"), python="/usr/bin/python3.11")
    hub.write("cluster/resource.json", {**cluster, "name": "Cluster"})
    profile = profile_document("slurm_sudo", "{user}")
    hub.write("cluster/profiles/me.json", {**profile, "name": "Cluster"})
    shared = resource_document(
        "slurm_sudo", hub.folder / "shared" / "{user}", python="/usr/bin/python3.11"
    )
    hub.write("institute/resource.json", {**shared, "name": "Institute"})
    profile = profile_document("slurm_sudo", "{slurm_user}")
    hub.write("institute/profiles/me.json", {**profile, "name": "Institute"})
    local = Path("{home}/fractal/remote")
    remote = resource_document("slurm_ssh", local, python="/usr/bin/python3.11")
    hub.write("remote/resource.json", {**remote, "name": "Remote"})
    folder = hub.folder / "remote" / "{slurm_user}"
    profile = profile_document(
        "slurm_ssh",
        "{slurm_user}",
        ssh_key_path="{home}/.ssh/fractal",
        jobs_remote_dir=f"{folder}/jobs",
        tasks_remote_dir=f"{folder}/tasks",
    )
    hub.write("remote/profiles/me.json", {**profile, "name": "Remote"})


@pytest.fixture(scope="session")
def wheel(hub: Hub) -> Path:
    return toy_wheel(hub.folder / "wheels")


@pytest.fixture(scope="session")
def ann(hub: Hub, wheel: Path) -> User:
    """A user with a server and with the toy tasks; another one on the cluster."""
    return _begin(hub.users[NAMES[0]], wheel)


@pytest.fixture(scope="session")
def bob(hub: Hub, wheel: Path) -> User:
    """A user with a server and with the toy tasks, and with the same name on the cluster."""
    return _begin(hub.users[NAMES[1]], wheel)


def _begin(user: User, wheel: Path) -> User:
    user.start()
    collect(user, wheel, "Here")
    return user

"""Users of a real hub: what they share, what they do not, and what outlives their servers."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest

from fractal_jupyter.store import sharing
from fractal_jupyter.store.database import Database
from tests.hub.conftest import SLURM_USERS
from tests.hub.hub import Hub, User, refused
from tests.hub.work import (
    IMAGES,
    Gate,
    by_name,
    collect,
    ended,
    local_resource,
    submit,
    units,
)
from tests.postgresql import SharedStore
from tests.slurm.fixtures import skip_for_machine
from tests.slurm.lock import SECONDS
from tests.slurm.machine import Cluster
from tests.sshd import Sshd, make_key, why_no_sshd
from tests.toy import wait_until
from tests.users import five_commands, sudoers

pytestmark = pytest.mark.timeout(SECONDS + 600)


def commands(user: User, word: str) -> list[psutil.Process]:
    """The processes of a user with that word in their command line."""
    return [process for process in user.processes() if word in " ".join(process.cmdline())]


# The administrator's documents


def test_users_have_the_administrators_documents_with_their_own_names(
    hub: Hub, ann: User, bob: User
) -> None:
    file = hub.folder / "etc" / "fractal" / "institute"
    for user in (ann, bob):
        profile = by_name(user, "profiles", "Institute")
        resource = by_name(user, "resources", "Here")
        assert profile["document"]["username"] == SLURM_USERS.get(user.name, user.name)
        assert profile["source"] == str(file / "profiles" / "me.json")
        assert resource["document"]["jobs_local_dir"] == f"{user.home}/fractal/jobs"
        names = [item["name"] for item in user.ask("GET", "resources")["items"]]
        assert sorted(names) == ["Cluster", "Here", "Institute", "Remote"]


@pytest.mark.parametrize("noun", ["resources", "profiles"])
def test_they_are_read_only_over_rest(ann: User, noun: str) -> None:
    known = by_name(ann, noun, "Cluster")
    changed = {"document": {**known["document"], "name": "Mine"}}
    for method, body in (("PUT", changed), ("DELETE", None)):
        status, answer = refused(method, ann.api(f"{noun}/{known['id']}"), ann.token, body)
        assert (status, answer["reason"]) == (409, "not_allowed")
        assert known["source"] in answer["message"]
    assert by_name(ann, noun, "Cluster") == known


def test_a_wrong_file_is_told_in_the_log_and_harms_nobody(hub: Hub, bob: User) -> None:
    file = hub.write("wrong/resource.json", {**local_resource("Wrong"), "jobs_poll_interval": "?"})
    try:
        assert ended(bob, submit(bob, "beside a wrong file", "Here"))["status"] == "done"
        wait_until(lambda: f"The resource in {file} cannot be used" in hub.log())
        assert "jobs_poll_interval: found '?'" in hub.log()
    finally:
        file.unlink()


# Apart from each other


def test_users_see_their_own_jobs_only(ann: User, bob: User) -> None:
    jobs = {user.name: submit(user, f"of-{user.name}", "Here") for user in (ann, bob)}
    for user in (ann, bob):
        job = ended(user, jobs[user.name])
        assert job["status"] == "done", job["error"]
        listed = {item["name"] for item in user.ask("GET", "jobs")["items"]}
        assert f"of-{user.name}" in listed
        assert not listed & {f"of-{other.name}" for other in (ann, bob) if other is not user}


def test_a_token_is_refused_at_the_server_of_another_user(ann: User, bob: User) -> None:
    for path in ("server", "jobs", "resources"):
        assert refused("GET", bob.api(path), ann.token)[0] == 403
        assert refused("GET", bob.api(path), "nonsense")[0] == 403


def test_nobody_else_reads_a_store_or_the_folder_of_a_job(ann: User) -> None:
    ended(ann, submit(ann, "private", "Here"))
    store = ann.home / ".local" / "share" / "jupyter" / "fractal"
    (job,) = (ann.home / "fractal" / "jobs").glob("*-private-*")
    for path in (store, job):
        assert path.stat().st_uid == ann.uid
        assert path.stat().st_mode & 0o077 == 0


# Kernels


def test_a_kernel_uses_the_store_of_its_server(ann: User) -> None:
    job = submit(ann, "kernel", "Here")
    ended(ann, job)
    printed = ann.run(
        "import json, os\n"
        "from fractal_jupyter import Fractal\n"
        "fractal = Fractal()\n"
        "fractal.datasets.create('made in a kernel', zarr_dir='/data')\n"
        "store = fractal.server.about()['store']\n"
        f"print(json.dumps([fractal.url, store, fractal.jobs.get({job}).status,\n"
        "    repr(fractal.profiles.get('Cluster')), os.environ['JUPYTERHUB_USER']]))"
    )
    url, store, status, profile, user = json.loads(printed)
    assert url == f"sqlite:///{store}"
    assert (status, user) == ("done", ann.name)
    assert profile == "<Profile 'Cluster' of 'Cluster', the administrator's>"
    assert by_name(ann, "datasets", "made in a kernel")


@pytest.fixture
def shared_url(ann: User, bob: User, shared_store: SharedStore) -> Iterator[str]:
    """The store of both users for a while: one database, which each enters in their own name."""
    url = f"postgresql+psycopg:///{shared_store.database}?host={shared_store.server.folder}"
    administration = Database(shared_store.administration)
    sharing.allow(administration, [ann.name, bob.name], make=True)
    config = Path(".jupyter", "jupyter_server_config.json")
    for user in (ann, bob):
        user.stop()
        (user.home / config).parent.mkdir(exist_ok=True)
        os.chown((user.home / config).parent, user.uid, -1)
        (user.home / config).write_text(json.dumps({"FractalExtension": {"store_url": url}}))
        user.start()
    yield url
    for user in (ann, bob):
        user.stop()
        user.wait_until_gone()
        (user.home / config).unlink()
        user.start()
    sharing.forget(administration, [ann.name, bob.name])
    administration.close()
    for user in (ann, bob):
        shared_store.execute(f'DROP OWNED BY "{user.name}"; DROP ROLE "{user.name}"')


@pytest.mark.slurm_faults
def test_one_store_for_all_shows_everybody_their_own(
    shared_url: str, ann: User, bob: User, wheel: Path
) -> None:
    for user in (ann, bob):
        collect(user, wheel, "Here")
        profile = by_name(user, "profiles", "Institute")
        assert profile["document"]["username"] == SLURM_USERS.get(user.name, user.name)
    jobs = {user.name: submit(user, "in one store", "Here") for user in (ann, bob)}
    for user in (ann, bob):
        job = ended(user, jobs[user.name])
        assert job["status"] == "done", job["error"]
        assert [item["id"] for item in user.ask("GET", "jobs")["items"]] == [job["id"]]
    printed = ann.run(
        "from fractal_jupyter import Fractal\n"
        "fractal = Fractal()\n"
        "print(fractal.url, [job.name for job in fractal.jobs.list()])"
    )
    assert unquote(printed.strip()) == f"{shared_url} ['in one store']"


# What outlives a server


@pytest.mark.slurm_faults
def test_local_jobs_go_on_while_a_server_is_stopped(ann: User) -> None:
    """The hub ends the server and its kernels, and nothing else."""
    gate = Gate(ann.home, "stopped")
    job = submit(ann, "stopped", "Here", gate=str(gate.path))
    gate.wait_for(IMAGES)
    ann.stop()
    assert commands(ann, "singleuser") == []
    assert len(commands(ann, "fractal_jupyter.runner")) == 1
    assert commands(ann, "worker")
    gate.open()
    ann.wait_until_gone()
    ann.start()
    assert ann.ask("GET", f"jobs/{job}")["status"] == "done"
    assert [unit["status"] for unit in units(ann, job)] == ["done"] * IMAGES


@pytest.mark.slurm_faults
def test_a_restarted_server_finds_local_jobs_running(ann: User) -> None:
    gate = Gate(ann.home, "running")
    job = submit(ann, "running", "Here", gate=str(gate.path))
    gate.wait_for(IMAGES)
    ann.stop()
    ann.start()
    assert ann.ask("GET", f"jobs/{job}")["status"] == "running"
    gate.open()
    assert ended(ann, job)["status"] == "done"


@pytest.mark.slurm_faults
def test_where_all_is_killed_units_are_interrupted_and_can_be_retried(bob: User) -> None:
    """As spawners do that end a cgroup, a container or an allocation."""
    gate = Gate(bob.home, "killed")
    job = submit(bob, "killed", "Here", gate=str(gate.path))
    gate.wait_for(IMAGES)
    bob.kill_everything()
    bob.start()
    after = ended(bob, job)
    assert after["status"] == "failed"
    for unit in units(bob, job):
        assert unit["status"] == "interrupted"
        assert unit["problem"] == "worker_gone"
        assert "running when its worker ended" in unit["error"]
    gate.open()
    bob.ask("POST", f"jobs/{job}/retry", {})
    assert ended(bob, job)["status"] == "done"


def test_slurm_jobs_go_on_where_all_is_killed(cluster: Cluster, bob: User, wheel: Path) -> None:
    collect(bob, wheel, "Cluster")
    gate = Gate(bob.home, "slurm")
    job = submit(bob, "slurm", "Cluster", gate=str(gate.path))
    gate.wait_for(1)
    stop_with_supervisor(bob)
    bob.start()
    assert bob.ask("GET", f"jobs/{job}")["status"] == "running"
    stop_with_supervisor(bob)
    gate.open()
    wait_until(lambda: not cluster.jobs(states="pending,running,completing"), seconds=60)
    bob.start()
    after = ended(bob, job)
    assert after["status"] == "done", after["error"]


def test_a_user_with_another_name_submits_through_sudo(
    cluster: Cluster, hub: Hub, ann: User, second_user: pwd.struct_passwd, wheel: Path
) -> None:
    """With folders and sudoers as `docs/jupyterhub.md` says."""
    ours, theirs = hub.folder / "shared" / ann.name, hub.folder / "data"
    ours.mkdir(parents=True)
    os.chown(ours, ann.uid, -1)
    theirs.mkdir()
    os.chown(theirs, second_user.pw_uid, second_user.pw_gid)
    with sudoers(five_commands(SLURM_USERS[ann.name], user=ann.name)):
        collect(ann, wheel, "Institute")
        after = ended(ann, submit(ann, "institute", "Institute", folder=theirs))
    assert after["status"] == "done", after["error"]
    (job,) = (theirs / ".fractal").iterdir()
    assert job.stat().st_uid == second_user.pw_uid


@pytest.fixture
def remote(hub: Hub, ann: User, bob: User, second_user: pwd.struct_passwd) -> Iterator[Sshd]:
    """A login node as `docs/jupyterhub.md` says: Ann has a key, and Bob has none yet."""
    if why := why_no_sshd():
        skip_for_machine("SSH from a hub", why)
    folder, theirs = hub.folder / "sshd", hub.folder / "remote" / second_user.pw_name
    for path in (folder, theirs):
        path.mkdir(parents=True)
    os.chown(theirs, second_user.pw_uid, second_user.pw_gid)
    sshd = Sshd(folder, user=second_user.pw_name, alias="login")
    # What an administrator has in /etc/ssh, which other tests see, too.
    text = (
        f"Host login\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
        f"  GlobalKnownHostsFile {sshd.known_hosts}\n"
    )
    homes = [user.home / ".ssh" for user in (ann, bob)]
    for home in homes:
        home.mkdir(mode=0o700)
        (home / "config").write_text(text)
    make_key(homes[0] / "fractal")
    sshd.authorize((homes[0] / "fractal.pub").read_text())
    for user, home in zip((ann, bob), homes, strict=True):
        for path in (home, *home.iterdir()):
            os.chown(path, user.uid, -1)
    with sshd:
        yield sshd
    for home in homes:
        shutil.rmtree(home)


@pytest.mark.slurm_faults
def test_a_user_submits_over_ssh_with_a_key_of_her_own(
    cluster: Cluster, hub: Hub, remote: Sshd, ann: User, bob: User, wheel: Path
) -> None:
    collect(ann, wheel, "Remote")
    folder = hub.folder / "remote" / "data"
    folder.mkdir()
    after = ended(ann, submit(ann, "remote", "Remote", folder=folder))
    assert after["status"] == "done", after["error"]
    assert not (ann.home / ".ssh" / "known_hosts").exists()
    profile = by_name(bob, "profiles", "Remote")
    assert profile["document"]["ssh_key_path"] == f"{bob.home}/.ssh/fractal"
    wrong = [line for line in check(bob, profile["id"]) if line["ok"] is False]
    assert f"{bob.home}/.ssh/fractal" in str(wrong), wrong


def check(user: User, profile: int) -> Any:
    """What a check of a profile has found."""
    key = user.ask("POST", f"profiles/{profile}/check", {})["id"]
    wait_until(lambda: user.ask("GET", f"activities/{key}")["result"], seconds=60)
    return user.ask("GET", f"activities/{key}")["result"]


def stop_with_supervisor(user: User) -> None:
    """Stop a server, and kill what outlives it; not what SLURM runs on this machine."""
    user.stop()
    left = commands(user, "fractal_jupyter.runner")
    assert len(left) == 1
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)

"""Task groups through their whole life as another user: through sudo, and on the other side of SSH.

What is the same everywhere is in tests/runner/test_task_groups.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from pwd import struct_passwd
from typing import Any

import psutil
import pytest
from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from fractal_jupyter.errors import ActivityLost, FractalError
from tests.environments.conftest import index, login, system_python
from tests.environments.packages import PackageIndex, make_task_wheel, make_wheel, manifest
from tests.environments.test_pixi import Bench
from tests.environments.test_venv import members, owner
from tests.magics.conftest import one_shell, shell
from tests.runner.test_refreshing import write_project
from tests.runner.test_task_groups import BACKEND, TASK, begun, collect_aside
from tests.slurm.conftest import MakeFractal
from tests.slurm.machine import Cluster
from tests.slurm.test_collect import fractal, remote, sudo
from tests.slurm.ways import RESOURCE, images
from tests.sshd import Sshd
from tests.toy import wait_until
from tests.users import five_commands, sudoers

__all__ = ["fractal", "index", "login", "one_shell", "remote", "shell", "sudo", "system_python"]

SLURM_CONFIG = {"partition": "main", "cpus": 1, "mem": "200M", "time": "00:02:00"}


@pytest.fixture(params=[pytest.param("sudo", marks=pytest.mark.slurm_faults), "ssh"])
def elsewhere(request: pytest.FixtureRequest, shared_folder: Path) -> Fractal:
    """A client whose tasks run as the second user: through sudo, or through SSH."""
    if request.param == "sudo":
        (shared_folder / "tasks").mkdir()
        (shared_folder / "tasks").chmod(0o755)
    fractal: Fractal = request.getfixturevalue("sudo" if request.param == "sudo" else "remote")
    fractal.use("other" if request.param == "sudo" else "one")
    return fractal


def test_a_whole_life(elsewhere: Fractal, index: PackageIndex, tmp_path: Path) -> None:
    make_task_wheel(index.folder)
    group = elsewhere.collect("my-tasks==1.0")
    lock, folder = group.lock, Path(group.folder)
    assert group.python is not None
    assert lock is not None
    looked_at = elsewhere.collect_custom("my_tasks", python=group.python)
    assert looked_at.lock is not None
    assert looked_at.lock.differences(lock) == []
    looked_at.delete()
    file = elsewhere.task_groups.export(group, tmp_path)
    group.deactivate()
    assert not folder.exists()
    group.reactivate()
    assert (group.lock, folder.owner()) == (lock, folder.parent.owner())
    same = elsewhere.collect(file)
    assert same.lock == lock
    unused = elsewhere.task_groups.clean(unused_for=0, dry_run=False)
    assert {each.folder for each in unused if each.kind == "task group"} == {
        group.folder,
        same.folder,
    }
    assert (group.active, same.active) == (False, False)
    assert not any(Path(each.folder).exists() for each in (group, same))
    same.delete()
    assert elsewhere.task_groups.clean(unused_for=0) == []
    assert elsewhere.collect("my-tasks==1.0").id == group.id
    assert group.active


@pytest.mark.slurm_faults
def test_a_whole_life_by_magics(
    elsewhere: Fractal, shell: InteractiveShell, index: PackageIndex, tmp_path: Path
) -> None:
    make_task_wheel(index.folder)
    shell.user_ns["fractal"] = elsewhere

    def say(words: str) -> Any:
        return shell.run_line_magic("fractal", words)

    group = say("collect my-tasks==1.0")
    folder, lock = Path(group.folder), group.lock
    file = say(f"export my-tasks --to {tmp_path}")
    assert "my-tasks==1.0" in file.read_text()
    say("deactivate my-tasks")
    assert not folder.exists()
    say("reactivate my-tasks")
    assert (group.active, group.lock) == (True, lock)
    listed = say("clean --unused-for 0")
    assert [each.folder for each in listed if each.kind == "task group"] == [group.folder]
    say("delete my-tasks")
    assert not folder.exists()
    assert say("task-groups") == []


def test_what_a_killed_process_built_over_there_ends_by_itself(
    remote: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    remote.use("one")
    index.gate.clear()
    results = collect_aside(remote)
    activity = begun(remote, "collect")
    assert index.asked.wait(60)
    folder = Path(activity.request["folder"])
    builders = os.getpgid(owner(folder))
    os.kill(activity.process["pid"], signal.SIGKILL)
    wait_until(lambda: results)
    assert isinstance(results[0], ActivityLost)
    wait_until(lambda: members(builders) == [] and not folder.exists())
    index.gate.set()
    assert remote.collect("my-tasks==1.0").folder == str(folder)


@pytest.mark.slurm_faults
def test_what_a_killed_removal_has_left_over_there_is_shown_and_removed(
    remote: Fractal, index: PackageIndex, login: Sshd
) -> None:
    make_task_wheel(index.folder)
    remote.use("one")
    group = remote.collect("my-tasks==1.0")
    folder = Path(group.folder)
    # What that user cannot remove keeps the removal busy for a second.
    (folder / "stays" / "a while").mkdir(parents=True)
    failed: list[FractalError] = []

    def deactivate() -> None:
        try:
            group.deactivate()
        except FractalError as error:
            failed.append(error)

    removing = threading.Thread(target=deactivate)
    removing.start()
    wait_until(lambda: list(folder.parent.glob(".*.removed")))
    commands = [process for pid in login.connections() for process in children(pid)]
    for process in commands:
        os.killpg(process.pid, signal.SIGKILL)
    removing.join(60)
    assert commands
    assert failed
    (rest,) = folder.parent.iterdir()
    shutil.rmtree(rest / "stays")
    (left,) = [each for each in remote.task_groups.clean() if each.kind != "cache"]
    assert (left.kind, left.folder) == ("leftover", str(rest))
    assert left.what == "what a build or a removal has left behind"
    remote.task_groups.clean(dry_run=False)
    assert not rest.exists()
    group.reactivate()


def test_a_cluster_is_asked_what_can_be_cleaned_only_where_there_may_be_something(
    remote: Fractal, index: PackageIndex, login: Sshd
) -> None:
    make_task_wheel(index.folder)

    def left_out(**asked: str) -> list[str]:
        """What `clean` says while nobody answers."""
        login.stop()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert remote.task_groups.clean(unused_for=0, profile=asked.get("profile")) == []
        login.start()
        return [str(warning.message) for warning in caught]

    assert left_out() == []
    (named,) = left_out(profile="two")
    assert re.match(r"Left out: .*/user/tasks of two of the resource 'cluster' .*login", named)
    group = remote.collect("my-tasks==1.0", profile="one")
    (known,) = left_out()
    assert "tasks of one of the resource 'cluster' (profile 'one')" in known
    group.delete()
    (rest,) = left_out()
    assert "tasks of one" in rest
    assert remote.task_groups.clean(dry_run=False) != []
    assert left_out() == []


def children(pid: int) -> list[psutil.Process]:
    """The processes of its own that a process has started."""
    try:
        return [
            process
            for process in psutil.Process(pid).children(recursive=True)
            if os.getpgid(process.pid) == process.pid and process.name() != "sshd"
        ]
    except (psutil.NoSuchProcess, ProcessLookupError):
        return []


# And it runs


@pytest.fixture(params=[pytest.param("sudo", marks=pytest.mark.slurm_faults), "ssh"])
def on_cluster(request: pytest.FixtureRequest, second_user: struct_passwd) -> Iterator[Fractal]:
    """The same on the cluster."""
    if request.param == "ssh":
        make: MakeFractal = request.getfixturevalue("remote_fractal")
        yield make()
        return
    make = request.getfixturevalue("other_fractal")
    with sudoers(five_commands()):
        yield make(second_user.pw_name)


def test_a_source_folder_is_run_as_it_is_now(
    cluster: Cluster, on_cluster: Fractal, shared_folder: Path, user_folder: Path
) -> None:
    source = shared_folder / "source"
    root = write_project(source)
    (source / "pyproject.toml").write_text(
        '[project]\nname = "my-tasks"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(BACKEND)
    (root / "do_it.py").write_text(TASK % "first")
    group = on_cluster.collect(source, editable=True)
    dataset = images(on_cluster, user_folder, 1)
    for words in ("first", "second"):
        (root / "do_it.py").write_text(TASK % words)
        job = on_cluster.submit("Do it", dataset).wait(60)
        assert job.status == "done", job.error
        assert dataset.images[0].attributes["said"] == words
    group.delete()
    assert (root / "do_it.py").exists()
    assert not list(Path(group.folder).parent.iterdir())


@pytest.fixture
def bench(shared_folder: Path) -> Bench:
    """What pixi projects need, where all users find it."""
    (shared_folder / "bench").mkdir(mode=0o777)
    bench = Bench(shared_folder / "bench", "/usr/bin/python3")
    make_task_wheel(bench.channel)
    for path in [bench.channel, *(Path(each) for each in bench.config.versions.values())]:
        path.chmod(0o777)
    return bench


@pytest.mark.slurm_faults
def test_a_pixi_project_through_its_whole_life_as_another_user(
    cluster: Cluster,
    on_cluster: Fractal,
    bench: Bench,
    user_folder: Path,
    second_user: struct_passwd,
) -> None:
    fractal, config = on_cluster, bench.config.model_dump(exclude={"SLURM_CONFIG"})
    if fractal._store.resources.get(RESOURCE).document["type"] == "slurm_ssh":
        config["SLURM_CONFIG"] = SLURM_CONFIG
    make_wheel(
        bench.channel,
        "my-tasks",
        manifest_text=json.dumps(manifest()),
        files={"do_it.py": "import getpass\nprint('done by', getpass.getuser())\n"},
    )
    fractal.resources.update(RESOURCE, tasks_pixi_config=config)
    group = fractal.collect(bench.archive, pixi=True)
    lock, folder = group.lock, Path(group.folder)
    assert (group.origin, group.package, group.version) == ("pixi", "my-tasks", "1.0")
    dataset = images(fractal, user_folder, 1)

    def run() -> None:
        job = fractal.submit("Do it", dataset).wait(60)
        assert job.status == "done", job.error
        assert job.log(unit=0) == f"done by {second_user.pw_name}\n"

    run()
    group.deactivate()
    assert not folder.exists()
    group.reactivate()
    assert group.lock == lock
    run()
    group.delete()
    assert not folder.exists()
    assert "my-tasks" not in [each.package for each in fractal.task_groups.list()]
    assert not list(folder.parent.glob(".*"))


@pytest.fixture
def pixi(remote_fractal: MakeFractal, bench: Bench) -> tuple[Fractal, Bench]:
    """A client of a cluster that solves pixi projects in jobs, and what these projects need."""
    (bench.channel / "closed").touch()
    fractal = remote_fractal()
    config = {**bench.config.model_dump(), "SLURM_CONFIG": SLURM_CONFIG}
    fractal.resources.update(RESOURCE, tasks_pixi_config=config)
    return fractal, bench


def test_a_pixi_project_is_solved_in_a_job(
    cluster: Cluster, pixi: tuple[Fractal, Bench], user_folder: Path
) -> None:
    fractal, bench = pixi
    collect_aside(fractal, str(bench.archive), pixi=True)
    activity = begun(fractal, "collect")
    wait_until((bench.channel / "asked").exists)
    (job,) = cluster.jobs(states="RUNNING")
    assert fractal.activities.get(activity.id).cancel().wait(60).status == "cancelled"
    cluster.wait_for(job.id, "CANCELLED")
    assert not Path(activity.request["folder"]).exists()
    (bench.channel / "closed").unlink()
    group = fractal.collect(bench.archive, pixi=True)
    lock = group.lock
    assert lock is not None
    assert lock.pixi is not None
    assert "Submitted as SLURM job" in group.activities[0].log
    # which pixi would take now if it solved
    make_task_wheel(bench.channel, version="1.5")
    group.deactivate().reactivate()
    assert group.lock == lock
    ended = fractal.submit("Do it", images(fractal, user_folder, 1)).wait(60)
    assert ended.status == "done", ended.error


@pytest.mark.slurm_faults
def test_a_job_whose_process_was_killed_goes_on_and_is_not_disturbed(
    cluster: Cluster, pixi: tuple[Fractal, Bench]
) -> None:
    fractal, bench = pixi
    results = collect_aside(fractal, str(bench.archive), pixi=True)
    activity = begun(fractal, "collect")
    wait_until((bench.channel / "asked").exists)
    os.kill(activity.process["pid"], signal.SIGKILL)
    wait_until(lambda: results)
    assert isinstance(results[0], ActivityLost)
    again = collect_aside(fractal, str(bench.archive), pixi=True)
    wait_until(lambda: len(cluster.jobs(states="RUNNING")) == 2)
    (bench.channel / "closed").unlink()
    wait_until(lambda: again)
    assert isinstance(again[0], TaskGroup)
    assert len([call for call in bench.calls() if call["verb"] == "install"]) == 1

"""What is done to task groups, cancelled or killed in its middle: the old state, or the new one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from fractal_jupyter.errors import HostError
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.activities import doing
from fractal_jupyter.runner.activities.actions import TOO_LATE, perform
from fractal_jupyter.runner.activities.building import METADATA
from fractal_jupyter.runner.activities.recipes import CollectionRequest, make_recipe
from fractal_jupyter.runner.activities.site import site_of
from fractal_jupyter.schedulers.processes import identity
from fractal_jupyter.store.records import ActivityRecord
from fractal_jupyter.store.task_groups import TaskGroups
from tests.environments.conftest import index
from tests.environments.packages import PackageIndex, task
from tests.runner.test_refreshing import write_project
from tests.runner.test_task_groups import BACKEND
from tests.toy import add_task_group

__all__ = ["index"]


class Make(Protocol):
    """Makes a task group with one task."""

    def __call__(
        self, package: str, *, place: str = "1.0", resource: str | None = None
    ) -> TaskGroup: ...


@pytest.fixture
def make(fractal: Fractal) -> Make:
    """Makes task groups with environments that nobody has built, in the folder of environments."""

    def group(package: str, *, place: str = "1.0", resource: str | None = None) -> TaskGroup:
        document = fractal._store.resources.get("Local resource").document
        folder = Path(document["tasks_local_dir"], package, place)
        folder.mkdir(parents=True)
        (folder / METADATA).write_text("{}")
        entries = [{**task(), "type": "parallel"}]
        add_task_group(
            fractal._store, entries, package=package, folder=str(folder), resource=resource
        )
        return fractal.task_groups.get(package)

    return group


def queue(fractal: Fractal, action: str, request: dict[str, Any], place: str = "") -> int:
    """Ask for an activity that no process is started for; return its id."""
    activity, is_new = fractal._store.activities.queue(
        action=action, subject="it", request=request, place=place or action
    )
    assert is_new
    return activity.id


def done(fractal: Fractal, key: int) -> ActivityRecord:
    """Do an activity here, and return what came of it."""
    perform(fractal._store, key)
    return fractal._store.activities.get(key)


def cancel_after(
    monkeypatch: pytest.MonkeyPatch, fractal: Fractal, change: str, key: int
) -> list[object]:
    """Cancel an activity as soon as it has changed something; the list tells that it has."""
    change_it, told = getattr(TaskGroups, change), []

    def changed(*args: Any, **more: Any) -> object:
        result = change_it(*args, **more)
        fractal._store.activities.request_cancel(key)
        told.append(result)
        return result

    monkeypatch.setattr(TaskGroups, change, changed)
    monkeypatch.setattr(doing, "BEAT_SECONDS", 0.0)
    return told


@pytest.mark.parametrize("action", ["deactivate", "delete", "clean"])
def test_what_has_changed_something_is_cancelled_too_late(
    fractal: Fractal, make: Make, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    groups = [make("one"), make("two")] if action == "clean" else [make("one")]
    request = (
        {"profile": "Local profile", "task_groups": [group.id for group in groups]}
        if action == "clean"
        else {"task_group": groups[0].id}
    )
    key = queue(fractal, action, request)
    assert not cancel_after(monkeypatch, fractal, "deactivate", key)
    ended = done(fractal, key)
    assert (ended.status, ended.error, ended.cancel_requested) == ("OK", None, True)
    assert ended.log.splitlines()[-1] == TOO_LATE
    left = {record.id: record for record in fractal._store.task_groups.all()}
    for group in groups:
        assert not Path(group.folder).exists()
        assert group.id not in left if action == "delete" else not left[group.id].active


@pytest.mark.parametrize("action", ["deactivate", "delete", "clean", "reactivate"])
def test_what_has_not_changed_anything_is_cancelled(
    fractal: Fractal, make: Make, action: str
) -> None:
    group = make("one")
    request = {"profile": "Local profile", "task_groups": [group.id], "task_group": group.id}
    key = queue(fractal, action, request)
    fractal._store.activities.request_cancel(key)
    ended = done(fractal, key)
    assert ended.status == "cancelled"
    assert ended.error == f"Cancelled: {action} it. Everything is as it was before."
    assert group.active
    assert Path(group.folder, METADATA).exists()


def test_what_was_collected_anew_takes_the_place_of_the_older_though_it_is_cancelled_then(
    fractal: Fractal, index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    write_project(source)
    (source / "backend.py").write_text(BACKEND)
    project = (
        '[project]\nname = "my-tasks"\nversion = "1.0"\n%s'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "pyproject.toml").write_text(project % "")
    older = fractal.collect(source, editable=True)
    (source / "pyproject.toml").write_text(project % 'dependencies = ["setuptools"]\n')
    profile = fractal._store.profiles.get("Local profile")
    wanted = CollectionRequest(requirement=str(source), profile=profile, editable=True)
    recipe = make_recipe(fractal._store, wanted, site_of(fractal._store, profile))
    key = queue(fractal, "collect", recipe)
    assert not cancel_after(monkeypatch, fractal, "add", key)
    ended = done(fractal, key)
    assert ended.status == "OK", ended.error
    assert ended.log.splitlines()[-1] == TOO_LATE
    assert not Path(older.folder).exists()
    groups = [each.id for each in fractal.task_groups.list() if each.package == "my-tasks"]
    assert groups == [ended.task_group_id]


def killed(fractal: Fractal, key: int) -> ActivityRecord:
    """An activity whose process was killed in its middle, as the next who looks finds it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    fractal._store.activities.hand_over(key, identity(child.pid))
    child.communicate()
    fractal._store.activities.end_lost()
    return fractal._store.activities.get(key)


def test_a_deletion_that_was_killed_says_what_to_do(fractal: Fractal, make: Make) -> None:
    group = make("one")
    key = queue(fractal, "delete", {"task_group": group.id}, place=group._now().place)
    fractal._store.task_groups.deactivate(group.id)  # the first of its steps
    ended = killed(fractal, key)
    assert (ended.status, ended.error_type) == ("failed", "ActivityLost")
    assert ended.error == (
        "The process that did this has ended. If the task group is still there, perhaps "
        "deactivated, delete it again."
    )
    group.delete()
    assert not Path(group.folder).exists()
    assert "one" not in [each.package for each in fractal.task_groups.list()]


def test_a_deactivation_that_was_killed_says_what_to_do(fractal: Fractal, make: Make) -> None:
    group = make("one")
    key = queue(fractal, "deactivate", {"task_group": group.id}, place=group._now().place)
    fractal._store.task_groups.deactivate(group.id)
    assert "deactivated, fractal.task_groups.clean() finds what" in str(killed(fractal, key).error)
    fractal.task_groups.clean(dry_run=False)
    assert not Path(group.folder).exists()


def test_what_fails_after_it_has_changed_something_says_what_to_do(
    fractal: Fractal, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make("one")
    key = queue(fractal, "delete", {"task_group": group.id})

    def fails(*_: object) -> None:
        raise HostError("The disk is gone.")

    monkeypatch.setattr(LocalHost, "remove", fails)
    assert str(done(fractal, key).error) == (
        "The disk is gone. If the task group is still there, perhaps deactivated, delete it again."
    )

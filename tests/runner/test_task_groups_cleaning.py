"""What nothing uses of environments: what is shown of it, once, and what is removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import NotFound
from fractal_jupyter.hosts import aside
from fractal_jupyter.runner.activities.building import METADATA
from fractal_jupyter.runner.activities.cleaning import begin_cleaning, look_everywhere
from fractal_jupyter.runner.activities.kept import keep_file, kept_folder
from fractal_jupyter.store.task_groups import use
from tests.environments.conftest import index
from tests.environments.packages import PackageIndex, make_task_wheel
from tests.runner.test_task_groups_cut_off import Make, done, make, queue

__all__ = ["index", "make"]


def run_in(fractal: Fractal, key: int) -> None:
    """Let a task group have been used now."""
    with fractal._store.database.write() as connection:
        use(connection, [key])


def idle(fractal: Fractal) -> list[int | None]:
    """The task groups that could be deactivated."""
    listed = fractal.task_groups.clean(unused_for=0)
    return [each.task_group_id for each in listed if each.kind == "task group"]


def test_of_twins_that_a_workflow_needs_the_one_used_last_stays(
    fractal: Fractal, make: Make
) -> None:
    one, two, three = (make("twin", place=place) for place in ("1.0-a", "1.0-b", "1.0-c"))
    fractal.workflows.create("w", steps=[{"task": "Do it"}])
    run_in(fractal, one.id)
    assert sorted(map(str, idle(fractal))) == [str(two.id), str(three.id)]
    fractal.task_groups.clean(unused_for=0, dry_run=False)
    assert [each.active for each in (one, two, three)] == [True, False, False]


def test_the_twin_that_a_workflow_names_stays(fractal: Fractal, make: Make) -> None:
    one, two = (make("twin", place=place) for place in ("1.0-a", "1.0-b"))
    fractal.workflows.create("w", steps=[{"task": "Do it", "task_group": one.id}])
    run_in(fractal, two.id)
    assert idle(fractal) == [two.id]


def test_what_a_workflow_needs_since_it_was_found_stays(fractal: Fractal, make: Make) -> None:
    groups = [make("twin", place=place) for place in ("1.0-a", "1.0-b")]
    gone = make("other")
    request = {
        "profile": "Local profile",
        "task_groups": [gone.id, *(group.id for group in groups)],
    }
    key = queue(fractal, "clean", request)
    gone.delete()
    fractal.workflows.create("w", steps=[{"task": "Do it"}])
    ended = done(fractal, key)
    assert ended.status == "OK", ended.error
    assert "The task group twin 1.0 is used by the workflow 'w'. It stays." in ended.log
    assert [group.active for group in groups] == [False, True]


def test_copies_of_another_store_beside_it_stay(fractal: Fractal, tmp_path: Path) -> None:
    path = Path(fractal.url.removeprefix("sqlite:///"))
    beside = Fractal(f"sqlite:///{path.with_name('beside.db')}")
    wheel = make_task_wheel(tmp_path / "wheels")
    for store in (fractal._store, beside._store):
        keep_file(store, wheel)
    ours, theirs = (
        next(kept_folder(store).glob("*/*")) for store in (fractal._store, beside._store)
    )
    for copy in (ours, theirs):
        os.utime(copy, (0, 0))
    fractal.task_groups.clean(dry_run=False)
    assert not ours.exists()
    assert theirs.exists()
    beside.close()


def test_what_was_not_listed_stays(fractal: Fractal, make: Make) -> None:
    seen, unseen = make("seen"), make("unseen")
    tasks = Path(seen.folder).parents[1]
    left = [tasks / "seen" / aside.new_removed() for _ in range(2)]
    left[0].mkdir()
    seen.deactivate()
    Path(seen.folder).mkdir()
    Path(seen.folder, "half of it").touch()
    listed = fractal.task_groups.clean()
    assert {each.folder for each in listed if each.kind == "leftover"} == {
        seen.folder,
        str(left[0]),
    }
    (found,), _ = look_everywhere(fractal._store, unused_for=0)
    chosen = found.only({each.seen for each in listed})
    left[1].mkdir()
    unseen.deactivate()
    (tasks / "unseen" / "1.0").mkdir()
    begun, _ = begin_cleaning(fractal._store, chosen)
    assert fractal.activities.get(begun.id).wait(60).status == "OK"
    assert not left[0].exists()
    assert not Path(seen.folder).exists()
    assert left[1].exists()
    assert Path(unseen.folder).exists()
    fractal.task_groups.clean(dry_run=False)
    assert not left[1].exists()
    assert not Path(unseen.folder).exists()


def test_only_the_profile_that_is_named_is_looked_at(fractal: Fractal, make: Make) -> None:
    group = make("one")
    second_resource(fractal, tasks_local_dir=str(Path(group.folder).parents[2] / "second"))
    assert fractal.task_groups.clean(unused_for=0, profile="second") == []
    listed = fractal.task_groups.clean(unused_for=0, profile="Local profile")
    assert [each.task_group_id for each in listed if each.kind == "task group"] == [group.id]
    assert "profile='Local profile', dry_run=False" in " ".join(repr(listed).split())
    with pytest.raises(NotFound, match="nobody"):
        fractal.task_groups.clean(profile="nobody")


def second_resource(fractal: Fractal, **fields: str) -> None:
    """Add a resource, if not said otherwise with the same folders, and a profile of it."""
    document = fractal._store.resources.get("Local resource").document
    fractal.resources.add({**document, "name": "Second", **fields})
    fractal.profiles.add({"name": "second", "resource_type": "local"}, resource="Second")


def test_what_the_last_task_group_has_left_is_removed(
    fractal: Fractal, index: PackageIndex, tmp_path: Path
) -> None:
    fractal.task_groups.get("toy-tasks").delete()
    second_resource(fractal)
    wheel = make_task_wheel(tmp_path / "wheels")
    group = fractal.collect(wheel, profile="Local profile")
    group.delete()
    keep_file(fractal._store, wheel)
    (copy,) = kept_folder(fractal._store).glob("*/*")
    os.utime(copy, (0, 0))
    assert len(fractal.task_groups.list()) == 0
    cache = Path(group.folder).parents[1] / ".cache"
    listed = fractal.task_groups.clean()
    assert {(each.what, each.kind, each.resource, each.folder) for each in listed} == {
        ("files that no environment shares", "cache", "Local resource", str(cache)),
        (
            "copies of files that were collected once",
            "leftover",
            "this machine",
            str(kept_folder(fractal._store)),
        ),
    }
    assert len(listed) == 2  # not for each resource
    assert sum(each.frees for each in listed) > wheel.stat().st_size
    fractal.task_groups.clean(dry_run=False)
    assert fractal.task_groups.clean() == []
    assert not copy.exists()
    assert [each.action for each in fractal.activities.list()].count("clean") == 1


def test_a_folder_of_two_resources_is_counted_once(fractal: Fractal, make: Make) -> None:
    one = make("one")
    tasks = Path(one.folder).parents[1]
    twin = tasks / "unknown" / "twin"
    twin.mkdir(parents=True)
    (twin / METADATA).write_text("{}")
    shared = Path(one.folder, "shared")
    shared.write_bytes(b"x" * 100_000)
    os.link(shared, twin / "shared")
    alone, _ = look_everywhere(fractal._store, unused_for=0)
    second_resource(fractal)
    two = make("two", resource="Second")
    found, problems = look_everywhere(fractal._store, unused_for=0)
    assert problems == []
    assert [each.site.resource.name for each in found] == ["Local resource", "Second"]
    assert sum(each.saved_bytes for each in found) == sum(each.saved_bytes for each in alone)
    assert sum(each.saved_bytes for each in found) >= 100_000
    assert [(each.kind, each.folder) for one in found for each in one.unused] == [
        ("task group", one.folder),
        ("unknown", str(twin)),
        ("task group", two.folder),
    ]
    fractal.task_groups.clean(unused_for=0, dry_run=False)
    assert not Path(one.folder).exists()
    assert not Path(two.folder).exists()
    assert twin.exists()

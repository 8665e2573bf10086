"""What environments take up, and sweeping, with environments that are really there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter.environments.lock import Lock
from fractal_jupyter.environments.on_host import claim as claims
from fractal_jupyter.environments.source import MARK, copy_place
from fractal_jupyter.environments.usage import Usage, survey_usage, sweep
from fractal_jupyter.errors import CollectionError
from fractal_jupyter.hosts import aside
from fractal_jupyter.hosts.local import LocalHost
from tests.toy import wait_until

from .conftest import Workshop
from .packages import PackageIndex, make_wheel, manifest
from .test_venv import in_thread, owner

BIG = 1_000_000


@pytest.fixture(autouse=True)
def beside(workshop: Workshop, index: PackageIndex) -> None:
    """Let the cache lie where it does in use; let there be a package of 1 MB."""
    workshop.cache = workshop.folder / ".cache"
    for version in ("1.0", "2.0"):
        make_wheel(
            index.folder,
            "my-tasks",
            version,
            manifest_text=json.dumps(manifest()),
            files={"do_it.py": f"VERSION = {version!r}\n", "data.txt": "x" * BIG},
        )


def usage(workshop: Workshop) -> Usage:
    return survey_usage(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder))


def build(workshop: Workshop, version: str, name: str) -> tuple[Path, Lock]:
    """Build an environment, its bytecode included; return its folder and its lock."""
    folder = workshop.folder / "my-tasks" / name
    built = workshop.build(f"my-tasks=={version}", f"my-tasks/{name}")
    wait_until((folder / "bytecode").exists)
    return folder, built.lock


def disk_usage(*paths: Path) -> int:
    """Return the bytes on the disk below some paths, each file once."""
    files = [path for each in paths for path in (each, *each.rglob("*"))]
    return sum({path.lstat().st_ino: path.lstat().st_blocks * 512 for path in files}.values())


def test_what_is_shared_is_counted_once(workshop: Workshop) -> None:
    first, _ = build(workshop, "1.0", "first")
    second, _ = build(workshop, "1.0", "second")
    found = usage(workshop)
    assert [each.folder for each in found.environments] == [str(first), str(second)]
    assert all(each.complete for each in found.environments)
    one, two = found.environments
    assert one.size_bytes == disk_usage(first) > BIG > one.own_bytes > 0
    assert two.own_bytes < BIG
    # Whoever goes, the other one still has the rest.
    assert max(one.frees_bytes, two.frees_bytes) < BIG
    assert found.environments_bytes == disk_usage(first, second)
    assert found.saved_bytes > BIG
    assert found.cache_bytes == disk_usage(workshop.cache)
    assert found.leftovers == ()
    assert found.unused_bytes < BIG


def test_a_sweep_frees_what_nothing_uses(workshop: Workshop, index: PackageIndex) -> None:
    first, one = build(workshop, "1.0", "first")
    second, two = build(workshop, "2.0", "second")
    kept = disk_usage(first)
    (_, said) = usage(workshop).environments
    free = disk_usage(workshop.folder)
    shutil.rmtree(second)
    before = usage(workshop)
    removed = free - disk_usage(workshop.folder)
    assert said.own_bytes == removed
    assert said.frees_bytes <= removed + before.unused_bytes
    assert said.frees_bytes > BIG > said.own_bytes
    assert before.unused_bytes > BIG
    free = disk_usage(workshop.folder)
    swept = sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder))
    assert swept.freed_bytes == before.unused_bytes == free - disk_usage(workshop.folder)
    assert not swept.busy
    assert swept.leftovers == ()
    assert usage(workshop).unused_bytes == 0
    assert disk_usage(first) == kept
    # What is still used is in the cache, what was swept comes again from the index.
    index.fetched.clear()
    workshop.build("my-tasks==1.0", "my-tasks/third", lock=one)
    assert index.fetched == []
    workshop.build("my-tasks==2.0", "my-tasks/fourth", lock=two)
    assert index.fetched == ["my_tasks-2.0-py3-none-any.whl"]


def test_a_wheel_file_comes_again_after_a_sweep(workshop: Workshop, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "mine", "my-tasks", manifest_text=json.dumps(manifest()))
    workshop.build(str(wheel), "my-tasks/env")
    folder = workshop.folder / "my-tasks" / "env"
    wait_until((folder / "bytecode").exists)
    shutil.rmtree(folder)
    assert sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder)).freed_bytes
    again = workshop.build(str(wheel), "my-tasks/env")
    assert Path(again.package_root, "do_it.py").is_file()


def test_a_sweep_leaves_the_cache_alone_while_somebody_builds(
    workshop: Workshop, index: PackageIndex
) -> None:
    shutil.rmtree(build(workshop, "1.0", "first")[0])
    index.gate.clear()
    index.asked.clear()
    building = in_thread(lambda: workshop.build("my-tasks==2.0", "my-tasks/second"))
    assert index.asked.wait(60)
    found = usage(workshop)
    assert [each.complete for each in found.environments] == [False]
    assert found.leftovers == ()
    swept = sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder))
    assert swept.busy
    assert swept.freed_bytes == 0
    index.gate.set()
    building()
    assert not sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder)).busy


def test_a_build_waits_for_a_sweep(workshop: Workshop) -> None:
    workshop.cache.mkdir()
    claim = claims.take(workshop.cache / "sweep")
    assert claim is not None
    building = in_thread(lambda: workshop.build("my-tasks==1.0", "my-tasks/env"))
    folder = workshop.folder / "my-tasks" / "env"
    wait_until(lambda: claims.owner_of(folder) is not None)
    assert sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder)).busy
    assert not (folder / "venv").exists()
    claim.abandon()
    building()
    assert (folder / "environment.json").is_file()


def test_leftovers_are_found_and_removed(workshop: Workshop, index: PackageIndex) -> None:
    index.gate.clear()
    building = in_thread(lambda: workshop.build("my-tasks==1.0", "my-tasks/dead"))
    assert index.asked.wait(60)
    dead = workshop.folder / "my-tasks" / "dead"
    os.killpg(owner(dead), 9)
    building()
    index.gate.set()
    removed = workshop.folder / "my-tasks" / ".gone.01234567.old"
    removed.mkdir()
    (removed / "data.txt").write_text("x" * BIG)
    just_begun = workshop.folder / "my-tasks" / ".new.01234567.new"
    just_begun.mkdir()
    mine = workshop.folder / "thesis" / "chapter"
    mine.mkdir(parents=True)
    found = usage(workshop)
    assert found.environments == ()
    assert [each.path for each in found.leftovers] == sorted([str(dead), str(removed)])
    assert max(each.own_bytes for each in found.leftovers) > BIG
    swept = sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder))
    assert swept.leftovers == tuple(sorted([str(dead), str(removed)]))
    assert swept.freed_bytes > BIG
    assert just_begun.is_dir()
    assert mine.is_dir()
    assert usage(workshop).leftovers == ()


# Removes a folder, and is killed in the middle of it.
KILLED = """
import os, sys
from fractal_jupyter.hosts import local
local.shutil.rmtree = lambda *_: os.kill(os.getpid(), 9)
local.LocalHost().remove(sys.argv[1])
"""


def test_what_a_killed_removal_leaves_is_found_and_removed(workshop: Workshop) -> None:
    folder, _ = build(workshop, "1.0", "env")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert ended.returncode == -9
    (rest,) = folder.parent.iterdir()
    assert rest != folder
    assert (rest / "environment.json").is_file()
    found = usage(workshop)
    assert found.environments == ()
    assert [each.path for each in found.leftovers] == [str(rest)]
    swept = sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder))
    assert swept.leftovers == (str(rest),)
    assert not rest.exists()


def test_what_is_just_being_filled_stays(workshop: Workshop) -> None:
    drafts = [workshop.folder / "my-tasks" / aside.new_draft(), workshop.cache / "bin" / "draft"]
    drafts[1] = drafts[1].with_name(aside.new_draft())
    copies = [workshop.folder / "my-tasks" / copy_place(name) for name in ("being made", "env")]
    for folder in (*drafts, *copies):
        folder.mkdir(parents=True)
    for copy in copies:
        (copy / MARK).write_text("{}")
    (workshop.folder / "my-tasks" / "env").mkdir()
    assert usage(workshop).leftovers == ()
    for path in (*drafts, *(copy / MARK for copy in copies)):
        os.utime(path, (0, 0))
    old = sorted(map(str, (*drafts, copies[0])))
    assert [each.path for each in usage(workshop).leftovers] == old
    swept = sweep(LocalHost(), python=sys.executable, tasks_dir=str(workshop.folder))
    assert swept.leftovers == tuple(old)
    assert copies[1].exists()


def test_nothing_is_there_yet(workshop: Workshop, tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    assert survey_usage(LocalHost(), python=sys.executable, tasks_dir=nothing) == Usage(
        (), 0, (), 0, 0
    )
    swept = sweep(LocalHost(), python=sys.executable, tasks_dir=nothing)
    assert (swept.freed_bytes, swept.busy) == (0, False)


def test_an_interpreter_that_does_not_work(workshop: Workshop) -> None:
    with pytest.raises(CollectionError, match="cannot be looked at with /bin/true: nothing at all"):
        survey_usage(LocalHost(), python="/bin/true", tasks_dir=str(workshop.folder))

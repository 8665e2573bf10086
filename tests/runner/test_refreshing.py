"""Source folders that change between two submissions, without collecting in between."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.environments.source import copy_place, read_source
from fractal_jupyter.errors import CollectionError, InvalidManifest, ManifestBroken, NotAllowed
from fractal_jupyter.models.profile import Profile, parse_profile
from fractal_jupyter.models.resource import Resource, parse_resource
from fractal_jupyter.runner.refreshing import Refreshed, refresh
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.records import TaskGroupRecord
from fractal_jupyter.store.store import Store
from tests.environments.packages import MANIFEST, manifest, task
from tests.slurm.fixtures import skip_for_machine
from tests.slurm.ways import profile_document, resource_document
from tests.sshd import Sshd, why_no_sshd
from tests.users import five_commands, sudoers

# What `write_project` writes.
NEW = ("pyproject.toml", "__init__.py", "do_it.py", MANIFEST)
PROJECT = '[project]\nname = "my-tasks"\nversion = "1.0"\ndependencies = ["numpy"]\n'


def write_project(folder: Path) -> Path:
    """Write the source of a task package that others can read; return the folder of its code."""
    root = folder / "src" / "my_tasks"
    root.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (root / "__init__.py").touch()
    (root / "do_it.py").write_text("print('done')\n")
    (root / MANIFEST).write_text(json.dumps(manifest()))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


@dataclass
class Group:
    """A task group in editable mode, and its source folder.

    Attributes:
        store: where it is.
        source: its source folder.
        root: the folder of its manifest there.
        record: it, as it was last.
        resource: the resource that it is used on.
        profile: as whom.
    """

    store: Store
    source: Path
    root: Path
    record: TaskGroupRecord
    resource: Resource
    profile: Profile

    def refresh(self) -> Refreshed:
        refreshed = refresh(self.store, self.record, resource=self.resource, profile=self.profile)
        self.record = refreshed.group
        return refreshed

    def list_tasks(self, *tasks: dict[str, Any]) -> None:
        """Write a manifest."""
        (self.root / MANIFEST).write_text(json.dumps(manifest(*tasks)))

    @property
    def tasks(self) -> list[str]:
        return [each.name for each in self.store.task_groups.tasks(self.record.id)]


def add(
    fractal: Fractal, source: Path, folder: Path, *, place: Path, resource: str, **more: Any
) -> TaskGroupRecord:
    """Register the task group that collecting the source folder makes, which runs in `place`."""
    store = fractal._store
    record = next(each for each in store.resources.all() if each.name == resource)
    request = {
        "source": str(source),
        "dependencies": read_source(source).dependencies_digest,
        **more,
    }
    return store.task_groups.add(
        entries=[{**task(), "type": "parallel"}],
        resource_id=record.id,
        package="my-tasks",
        version="1.0",
        origin="editable",
        request=request,
        folder=str(folder),
        python_version="3.11",
        python="/usr/bin/python3",
        package_root=str(place / "src" / "my_tasks"),
    )


@pytest.fixture
def group(fractal: Fractal, tmp_path: Path) -> Group:
    """A task group on this machine."""
    source = tmp_path / "my tasks"
    root = write_project(source)
    resource = fractal._store.resources.all()[0]
    (profile,) = (p for p in fractal._store.profiles.all() if p.resource_id == resource.id)
    record = add(fractal, source, tmp_path / "env", place=source, resource=resource.name)
    return Group(
        fractal._store,
        source,
        root,
        record,
        parse_resource(resource.document),
        parse_profile(profile.document),
    )


def test_the_digest_tells_what_the_code_is(group: Group) -> None:
    first = group.refresh().source
    assert group.refresh().source == first
    (group.root / "do_it.py").write_text("print('more')\n")
    second = group.refresh().source
    assert first is not None
    assert second is not None
    assert first["digest"] != second["digest"]
    assert (second["commit"], second["dirty"]) == (None, None)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_commit_is_told(group: Group) -> None:
    git = [
        "git",
        "-c",
        "user.name=Ann",
        "-c",
        "user.email=ann@example.org",
        "-C",
        str(group.source),
    ]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    source = group.refresh().source
    assert source is not None
    assert len(source["commit"]) == 40
    assert source["dirty"] is False


def test_a_changed_manifest_changes_the_tasks(group: Group) -> None:
    (before,) = group.store.task_groups.tasks(group.record.id)
    group.refresh()
    assert group.store.task_groups.tasks(group.record.id) == [before]
    group.list_tasks(task("Do more"), {**task(), "docs_info": "Better"})
    (group.root / "do_it.py").write_text("print('more')\n")
    group.refresh()
    assert group.tasks == ["Do more", "Do it"]
    (after,) = (t for t in group.store.task_groups.tasks(group.record.id) if t.name == "Do it")
    assert after.id == before.id
    assert (after.entry["docs_info"], after.entry["type"]) == ("Better", "parallel")


def test_a_wrong_manifest_changes_nothing(group: Group) -> None:
    group.list_tasks(task("Do more", "do_more.py"))
    with pytest.raises(ManifestBroken, match=r"names scripts that .* does not have: do_more\.py"):
        group.refresh()
    (group.root / MANIFEST).write_text('{"task_list": 3}')
    with pytest.raises(InvalidManifest, match="my-tasks"):
        group.refresh()
    (group.root / MANIFEST).write_text("{")
    with pytest.raises(InvalidManifest):
        group.refresh()
    assert group.tasks == ["Do it"]


def test_says_when_it_has_to_be_collected_again(group: Group) -> None:
    project = group.source / "pyproject.toml"
    project.write_text(PROJECT.replace("1.0", "1.1"))
    group.refresh()
    project.write_text(PROJECT.replace("numpy", "numpy>=2"))
    with pytest.raises(NotAllowed, match=r"another environment .*fractal\.collect\('.*my tasks', "):
        group.refresh()
    project.write_text(PROJECT)
    group.root.rename(group.root.with_name("our_tasks"))
    with pytest.raises(NotAllowed, match=r"has no __FRACTAL_MANIFEST__\.json any more.*collect\("):
        group.refresh()
    project.unlink()
    with pytest.raises(CollectionError, match=r"has no pyproject\.toml"):
        group.refresh()
    shutil.rmtree(group.source)
    with pytest.raises(NotAllowed, match=r"is not there any more\. Put it back, or collect"):
        group.refresh()


def test_other_task_groups_stay_as_they_are(group: Group) -> None:
    shutil.rmtree(group.source)
    group.record = replace(group.record, origin="pypi")
    assert group.refresh() == Refreshed(group.record)


def test_only_files_that_have_changed_are_read(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1_000):
        path = group.source / f"src/package_{number // 100}/module_{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {number}\n")
        os.utime(path, (time.time() - 60, time.time() - 60))
    read: list[str] = []
    digest = hashlib.file_digest

    def noting(file: BufferedReader, name: str) -> object:
        read.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", noting)
    first = group.refresh().source
    assert sum(name.startswith("module_") for name in read) == 1_000
    read.clear()
    (group.root / "do_it.py").write_text("print('more')\n")
    path.write_text("value = 'other'\n")
    assert group.refresh().source != first
    # What is so new that the clock may not tell it from what comes next is read in any case.
    assert {"do_it.py", path.name} <= set(read) <= {"do_it.py", path.name, *NEW}


# Other users, and other machines


def test_through_sudo_it_has_to_be_readable(
    fractal: Fractal, shared_folder: Path, second_user: pwd.struct_passwd
) -> None:
    source = shared_folder / "my tasks"
    root = write_project(source)
    user = second_user.pw_name
    resource = resource_document("slurm_sudo", shared_folder, python="/usr/bin/python3")
    profile = profile_document("slurm_sudo", user)
    fractal.resources.add(resource)
    record = add(fractal, source, shared_folder / "env", place=source, resource=resource["name"])
    group = Group(
        fractal._store, source, root, record, parse_resource(resource), parse_profile(profile)
    )
    assert user != current_user()
    with sudoers(five_commands()):
        group.refresh()
        (root / "do_it.py").chmod(0o600)
        with pytest.raises(CollectionError, match=r"do_it\.py is closed on .*chmod -R o\+rX"):
            group.refresh()


@pytest.fixture
def login(
    tmp_path: Path, second_user: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sshd]:
    """A machine that lets the second user in, and is called `login`."""
    if why := why_no_sshd():
        skip_for_machine("SSH", why)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="fractal-sshd-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with Sshd(Path(folder), user=second_user.pw_name, alias="login") as server:
            (home / ".ssh" / "config").write_bytes(server.config.read_bytes())
            monkeypatch.setenv("HOME", str(home))
            yield server


def test_on_another_machine_the_copy_is_kept_in_step(
    fractal: Fractal, tmp_path: Path, login: Sshd, user_folder: Path
) -> None:
    source = tmp_path / "my tasks"
    root = write_project(source)
    tasks = str(user_folder / "tasks")
    document = resource_document("slurm_ssh", user_folder, python="/usr/bin/python3")
    profile = profile_document(
        "slurm_ssh",
        login.user,
        ssh_key_path=str(login.key),
        jobs_remote_dir=str(user_folder / "jobs"),
        tasks_remote_dir=tasks,
    )
    fractal.resources.add(document)
    folder = Path(tasks, "my-tasks", "editable")
    copy = Path(copy_place(str(folder)))
    record = add(
        fractal, source, folder, place=copy, resource=document["name"], tasks_remote_dir=tasks
    )
    group = Group(
        fractal._store, source, root, record, parse_resource(document), parse_profile(profile)
    )
    group.refresh()
    there = copy / "src" / "my_tasks" / "do_it.py"
    assert there.read_text() == "print('done')\n"
    assert there.owner() == login.user
    (root / "do_it.py").write_text("print('more')\n")
    (root / "do_more.py").touch()
    group.list_tasks(task(), task("Do more", "do_more.py"))
    group.refresh()
    assert there.read_text() == "print('more')\n"
    assert (there.parent / "do_more.py").exists()
    assert group.tasks == ["Do it", "Do more"]

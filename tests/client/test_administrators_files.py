"""Resources and profiles of an administrator, who keeps them in files."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import AdministratorsFileWarning, NotAllowed, NotFound
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.store import Store
from tests.postgresql import SharedStore
from tests.toy import add_toy_tasks, make_dataset

RESOURCE = {
    "type": "slurm_sudo",
    "name": "Cluster",
    "jobs_local_dir": "{home}/fractal/jobs",
    "jobs_runner_config": {"default_slurm_config": {"partition": "main"}, "batching_config": {}},
    "jobs_slurm_python_worker": "/usr/bin/python3.11",
    "tasks_local_dir": "/shared/fractal/{user}/tasks",
    "tasks_python_config": {"default_version": "3.11", "versions": {"3.11": "/usr/bin/python3.11"}},
    "tasks_pixi_config": {},
}
PROFILE = {"resource_type": "slurm_sudo", "name": "Me there", "username": "{slurm_user}"}
BATCHING = {
    "target_cpus_per_job": 1,
    "max_cpus_per_job": 1,
    "target_mem_per_job": 100,
    "max_mem_per_job": 100,
    "target_num_jobs": 1,
    "max_num_jobs": 1,
}
RESOURCE["jobs_runner_config"]["batching_config"] = BATCHING  # type: ignore[index]


@dataclass
class Hub:
    """The configuration folder of a hub, and the store of one of its users."""

    config: Path
    url: str
    opened: list[Fractal] = field(default_factory=list)

    def write(self, path: str, document: Any) -> Path:
        file = self.config / "fractal" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return file

    def open(self) -> Fractal:
        """Open the store without a warning."""
        self.opened.append(Fractal(self.url))
        return self.opened[-1]

    def warned(self) -> list[str]:
        """Open the store; what is warned of."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.open()
        assert {warning.category for warning in caught} <= {AdministratorsFileWarning}
        return [str(warning.message) for warning in caught]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "etc"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("JUPYTERHUB_USER", "alice")
    monkeypatch.setenv("HOME", "/home/alice")
    hub = Hub(tmp_path / "etc", f"sqlite:///{tmp_path}/store/fractal.db")
    yield hub
    for fractal in hub.opened:
        fractal.close()


@pytest.fixture
def files(hub: Hub) -> tuple[Path, Path]:
    """A resource and a profile of it."""
    return (
        hub.write("cluster/resource.json", RESOURCE),
        hub.write("cluster/profiles/me.json", PROFILE),
    )


def rows(fractal: Fractal) -> list[tuple[str, str | None]]:
    """Names and sources of all resources and profiles."""
    resources, profiles = fractal.resources.list(), fractal.profiles.list()
    return [(r.name, r.source) for r in resources] + [(p.name, p.source) for p in profiles]


# What users get


def test_documents_come_from_files(hub: Hub, files: tuple[Path, Path]) -> None:
    hub.write("users.json", {"alice": "asmith", "bob": "bjones"})
    fractal = hub.open()
    (resource,), (profile,) = fractal.resources.list(), fractal.profiles.list()
    assert resource.document == {
        **RESOURCE,
        "jobs_local_dir": "/home/alice/fractal/jobs",
        "tasks_local_dir": "/shared/fractal/alice/tasks",
    }
    assert profile.document == {**PROFILE, "username": "asmith"}
    assert profile.resource == "Cluster"
    assert (resource.source, profile.source) == tuple(map(str, files))
    assert fractal.profile == "Me there"


def test_who_is_not_in_the_mapping_has_the_same_name(
    hub: Hub, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.write("users.json", {"bob": "bjones"})
    assert hub.open().profiles.get("Me there").document["username"] == "alice"
    monkeypatch.delenv("JUPYTERHUB_USER")
    assert hub.open().profiles.get("Me there").document["username"] == current_user()


def test_without_files_there_is_a_local_resource(hub: Hub) -> None:
    hub.write("users.json", {"bob": "bjones"})
    assert [name for name, _ in rows(hub.open())] == ["Local resource", "Local profile"]


def test_lists_say_whose_they_are(hub: Hub, files: tuple[Path, Path]) -> None:
    fractal = hub.open()
    fractal.profiles.add({**PROFILE, "name": "Mine", "username": "alice"}, resource="Cluster")
    assert repr(fractal.resources.get("Cluster")) == (
        "<Resource 'Cluster', slurm_sudo, the administrator's>"
    )
    assert repr(fractal.profiles.get("Mine")) == "<Profile 'Mine' of 'Cluster'>"
    lines = {line.split()[0]: line for line in repr(fractal.profiles.list()).splitlines()}
    assert " administrator " in lines["Me"]
    assert " you " in lines["Mine"]
    assert "administrator" in fractal.resources.list()._repr_html_()
    assert str(files[0]) in fractal.resources.get("Cluster")._repr_html_().replace("<wbr>", "")


def test_they_are_read_only(hub: Hub, files: tuple[Path, Path]) -> None:
    fractal = hub.open()
    before = rows(fractal)
    with pytest.raises(NotAllowed, match=f"{files[0]}.* Ask who keeps that file"):
        fractal.resources.update("Cluster", jobs_poll_interval=7)
    with pytest.raises(NotAllowed, match=f"{files[0]}.*add a resource of your own"):
        fractal.resources.update("Cluster", warm=False)
    with pytest.raises(NotAllowed, match=str(files[0])):
        fractal.resources.remove("Cluster")
    with pytest.raises(NotAllowed, match=f"{files[1]}.*add a profile of your own"):
        fractal.profiles.update("Me there", username="root")
    with pytest.raises(NotAllowed, match=str(files[1])):
        fractal.profiles.remove("Me there")
    assert rows(fractal) == before


def test_editors_say_so(hub: Hub, files: tuple[Path, Path]) -> None:
    editor = hub.open().resources.editor("Cluster")
    editor.save()
    assert f"it comes from the file {files[0]}" in unescape(editor._notice.value)


# Placeholders


def test_braces_and_placeholders_in_one_text(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "{home}"[1:-1])
    hub.write("a/resource.json", {**RESOURCE, "name": "{{user}} is {user} of {{{slurm_user}}}"})
    assert hub.open().resources.list()[0].name == "{user} is home of {home}"


@pytest.mark.parametrize("text", ["/data/{usr}", "/data/{}", "/data/{user", "/data/}", "/{ user }"])
def test_what_is_no_placeholder_is_told(hub: Hub, text: str) -> None:
    file = hub.write("a/resource.json", {**RESOURCE, "jobs_local_dir": text})
    (problem,) = hub.warned()
    assert str(file) in problem
    assert f"jobs_local_dir: found {text!r}" in problem
    assert "{user}, {slurm_user}, {home}; {{ and }} stand for braces" in problem


@pytest.mark.parametrize(
    "user",
    ['a", "type": "local', "a --partition=gpu", "../root", "a/b", "a\nb", "-x", "{home}", "a;b"],
)
def test_names_of_users_stay_words(hub: Hub, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", user)
    hub.write("a/resource.json", RESOURCE)
    (problem,) = hub.warned()
    assert "tasks_local_dir" in problem
    assert "one plain word" in problem
    assert rows(hub.opened[0]) == []


def test_in_a_shared_store_everybody_has_their_own(
    hub: Hub,
    files: tuple[Path, Path],
    shared_store: SharedStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.write("users.json", {"alice": "asmith"})
    for user, slurm_user in (("alice", "asmith"), ("bob", "bob"), ("alice", "asmith")):
        monkeypatch.setenv("JUPYTERHUB_USER", user)
        hub.url = shared_store.url(user)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: rows(hub.open()), range(4)))
        assert found == [[("Cluster", str(files[0])), ("Me there", str(files[1]))]] * 4
        profile = hub.opened[-1].profiles.get("Me there")
        assert profile.document["username"] == slurm_user
    for file in files:
        file.unlink()
    assert rows(hub.open()) == [("Local resource", None), ("Local profile", None)]


# What is wrong


def test_a_wrong_file_keeps_nobody_from_anything(hub: Hub, files: tuple[Path, Path]) -> None:
    hub.open()
    files[0].write_text(json.dumps({**RESOURCE, "jobs_poll_intervall": 3}))
    wrong = hub.write("cluster/profiles/other.json", {**PROFILE, "name": "Other", "username": ""})
    broken = hub.write("cluster/profiles/third.json", '{"name": "Third",')
    kind = hub.write("cluster/profiles/fourth.json", {"name": "4", "resource_type": "local"})
    hub.write("second/resource.json", {**RESOURCE, "name": "Second"})
    resource, fourth, other, third = hub.warned()
    assert resource.startswith(f"The resource in {files[0]} cannot be used:\n  jobs_poll_intervall")
    assert other.startswith(f"The profile in {wrong} cannot be used:\n  username")
    assert f"{kind} cannot be used:\n  resource_type" in fourth
    assert f"{broken} is not JSON" in third
    fractal = hub.opened[-1]
    assert [name for name, _ in rows(fractal)] == ["Cluster", "Second", "Me there"]
    assert "jobs_poll_intervall" not in fractal.resources.get("Cluster").document


def test_a_wrong_mapping_is_not_guessed(hub: Hub, files: tuple[Path, Path]) -> None:
    file = hub.write("users.json", {"alice": 7})
    mapping, profile = hub.warned()
    assert f"{file} cannot be used:\n  alice: found 7" in mapping
    assert "username" in profile
    assert "not known" in profile
    assert [name for name, _ in rows(hub.opened[0])] == ["Cluster"]


def test_what_is_given_twice_is_told(hub: Hub) -> None:
    file = hub.write("a/resource.json", json.dumps(RESOURCE)[:-1] + ', "host": "a", "host": null}')
    (problem,) = hub.warned()
    assert problem == f'The resource in {file} is not JSON: "host" is given twice in one object'


def test_two_files_with_one_name(hub: Hub, files: tuple[Path, Path], tmp_path: Path) -> None:
    again = hub.write("second/resource.json", {**RESOURCE, "tasks_local_dir": "/other"})
    (problem,) = hub.warned()
    assert str(again) in problem
    assert str(files[0]) in problem
    again.unlink()
    own = Hub(tmp_path / "own", hub.url).write("x/resource.json", {**RESOURCE, "host": None})
    assert hub.warned() == []
    assert hub.opened[-1].resources.get("Cluster").source != str(own)


# What users have already


def test_what_a_user_has_added_stays(hub: Hub) -> None:
    mine = {**RESOURCE, "jobs_local_dir": "/mine", "tasks_local_dir": "/mine/tasks"}
    before = hub.open()
    before.resources.add(mine)
    add_toy_tasks(before._store, resource="Cluster")
    file = hub.write("cluster/resource.json", RESOURCE)
    (problem,) = hub.warned()
    assert str(file) in problem
    fractal = hub.opened[-1]
    assert fractal.resources.get("Cluster").document == mine
    exec(problem.rpartition(": ")[2].rstrip("."), {"fractal": fractal})
    assert hub.warned() == []
    fractal = hub.opened[-1]
    assert fractal.resources.get("Cluster").source == str(file)
    assert fractal.resources.get("My Cluster").document["jobs_local_dir"] == "/mine"
    (group,) = fractal._store.task_groups.all()
    assert fractal._store.resources.by_id(group.resource_id).name == "My Cluster"
    assert fractal.resources.get("Local resource").source is None


def test_the_same_that_a_user_has_becomes_the_administrators(hub: Hub) -> None:
    mine = {**RESOURCE, "jobs_local_dir": "/jobs", "tasks_local_dir": "/tasks"}
    hub.open().resources.add(mine)
    file = hub.write("cluster/resource.json", mine)
    assert hub.open().resources.get("Cluster").source == str(file)


# What changes


def test_nothing_is_written_while_files_stay(hub: Hub, files: tuple[Path, Path]) -> None:
    first = hub.open()
    version = first._store.database.data_version()
    created = first._store.resources.all()
    hub.open()
    assert first._store.database.data_version() == version
    assert first._store.resources.all() == created


def test_the_first_line_of_a_notebook_stays_quick(
    hub: Hub, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Where files are as they were, what checks them is not even imported."""
    hub.write("users.json", {"alice": "asmith"})
    hub.open()
    code = (
        "import sys\n"
        "from fractal_jupyter import Fractal\n"
        f"fractal = Fractal({hub.url!r})\n"
        "assert 'pydantic' not in sys.modules\n"
        "print(fractal.profile)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "Me there\n"


def test_many_open_a_new_store_at_once(hub: Hub, files: tuple[Path, Path]) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: rows(hub.open()), range(8)))
    assert [name for name, _ in found[0]] == ["Cluster", "Me there"]
    assert found == [found[0]] * 8


def test_changed_files_change_the_store(hub: Hub, files: tuple[Path, Path]) -> None:
    key = hub.open()._store.resources.get("Cluster").id
    files[0].write_text(json.dumps({**RESOURCE, "name": "New name", "jobs_poll_interval": 9}))
    files[1].rename(files[1].with_name("renamed.json"))
    fractal = hub.open()
    assert fractal._store.resources.get("New name").id == key
    assert fractal.resources.get("New name").document["jobs_poll_interval"] == 9
    assert str(fractal.profiles.get("Me there").source).endswith("/renamed.json")
    assert len(rows(fractal)) == 2


def test_files_that_are_gone(hub: Hub, files: tuple[Path, Path]) -> None:
    fractal = hub.open()
    add_toy_tasks(fractal._store, resource="Cluster")
    make_dataset(fractal, 1)
    other = hub.write("second/resource.json", {**RESOURCE, "name": "Second"})
    hub.open()
    for file in (*files, other):
        file.unlink()
    # As one that was opened before sees it.
    with pytest.raises(NotFound, match="Me there"):
        fractal.submit("Toy Parallel", "plate", profile="Me there")
    (resource,) = fractal.resources.list()
    assert resource.document["prevent_new_submissions"] is True
    assert "takes no new jobs" in fractal.resources.list()._repr_html_()
    assert [group.package for group in fractal.task_groups.list()] == ["toy-tasks"]
    fractal.profiles.add({**PROFILE, "name": "Mine", "username": "alice"}, resource="Cluster")
    with pytest.raises(NotAllowed, match="takes no new jobs"):
        fractal.submit("Toy Parallel", "plate", profile="Mine")
    version = fractal._store.database.data_version()
    hub.open()
    assert fractal._store.database.data_version() == version
    hub.write("cluster/resource.json", RESOURCE)
    hub.write("cluster/profiles/me.json", PROFILE)
    fractal = hub.open()
    assert "prevent_new_submissions" not in fractal.resources.get("Cluster").document
    assert fractal.profiles.get("Me there").resource == "Cluster"


def test_files_that_are_elsewhere_are_not_gone(
    hub: Hub, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(hub.open())
    monkeypatch.delenv("JUPYTER_CONFIG_PATH")
    assert rows(hub.open()) == before


def test_files_that_cannot_be_looked_at_are_told(hub: Hub, files: tuple[Path, Path]) -> None:
    before = rows(hub.open())
    files[0].unlink()
    files[0].symlink_to(files[0])
    (problem,) = hub.warned()
    assert f"{files[0]} cannot be read: Too many levels of symbolic links" in problem
    assert rows(hub.opened[-1]) == before


def test_the_supervisor_asks_for_no_files(hub: Hub, files: tuple[Path, Path]) -> None:
    store = Store(hub.url)
    assert store.resources.all() == []
    store.close()

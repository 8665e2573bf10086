"""Task packages that the tests make, collected into a store of their own."""

import shutil
import threading
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from fractal_jupyter.errors import FractalError, NotAllowed, NotFound, PackageNotFound
from tests.environments.conftest import index
from tests.environments.packages import PackageIndex, make_task_wheel
from tests.toy import make_dataset, wait_until

__all__ = ["index"]


def collect_aside(fractal: Fractal, results: list[object]) -> threading.Thread:
    """Collect in a thread; its result, an error included, is appended to `results`."""

    def run() -> None:
        try:
            results.append(fractal.collect("my-tasks==1.0"))
        except FractalError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_two_who_collect_the_same_at_once_get_one_task_group(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    results: list[object] = []
    threads = [collect_aside(fractal, results)]
    assert index.asked.wait(60)
    other = Fractal(fractal.url)
    threads.append(collect_aside(other, results))
    threads.append(collect_aside(fractal, results))
    index.gate.set()
    for thread in threads:
        thread.join(60)
    assert [type(result) for result in results] == [TaskGroup] * 3, results
    group = fractal.task_groups.get("my-tasks")
    assert {result.id for result in results if isinstance(result, TaskGroup)} == {group.id}
    assert [task.name for task in group.tasks] == ["Do it"]
    assert [(each.action, each.status) for each in fractal.activities.list()] == [("collect", "OK")]
    other.close()


@pytest.mark.parametrize("gone", ["", "venv", "venv/bin/python", "environment.json"])
def test_an_environment_that_was_deleted_is_built_again(
    fractal: Fractal, index: PackageIndex, gone: str
) -> None:
    make_task_wheel(index.folder)
    group = fractal.collect("my-tasks==1.0")
    wait_until((Path(group.folder) / "bytecode").exists)
    path = Path(group.folder) / gone
    assert group.python is not None
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    again = fractal.collect("my-tasks==1.0")
    assert (again.id, again.folder, again.python) == (group.id, group.folder, group.python)
    assert Path(group.python).exists()
    assert len([g for g in fractal.task_groups.list() if g.package == "my-tasks"]) == 1


def test_a_task_without_its_environment_is_refused(fractal: Fractal, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    group = fractal.collect("my-tasks==1.0", pins={"setuptools": "99.0"})
    dataset = make_dataset(fractal, 1)
    wait_until((Path(group.folder) / "bytecode").exists)
    shutil.rmtree(group.folder)
    version = group.python_version
    call = (
        "fractal.collect('my-tasks==1.0', profile='Local profile', "
        f"python='{version}', pins={{'setuptools': '99.0'}})"
    )
    with pytest.raises(NotAllowed, match="is not to be found on this machine") as raised:
        fractal.submit("Do it", dataset)
    assert str(raised.value).endswith(f"Build it again: {call}.")
    assert len(fractal.jobs.list()) == 0
    assert eval(call, {"fractal": fractal}).id == group.id
    fractal.plan("Do it", dataset)


def test_a_wheel_without_its_environment_is_built_again_from_its_copy(
    fractal: Fractal, tmp_path: Path
) -> None:
    wheel = make_task_wheel(tmp_path / "wheels")
    group = fractal.collect(wheel)
    dataset = make_dataset(fractal, 1)
    wait_until((Path(group.folder) / "bytecode").exists)
    shutil.rmtree(group.folder)
    wheel.unlink()
    with pytest.raises(NotAllowed, match=r"'my-tasks', version='1\.0'\)\.reactivate\(\)"):
        fractal.submit("Do it", dataset)
    fractal.task_groups.get("my-tasks", version="1.0").reactivate()
    fractal.plan("Do it", dataset)


def test_two_resources_with_one_folder_have_a_task_group_each(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    first = fractal.collect("my-tasks==1.0")
    document = fractal._store.resources.get("Local resource").document
    fractal.resources.add({**document, "name": "Second"})
    fractal.profiles.add({"name": "second", "resource_type": "local"}, resource="Second")
    dataset = make_dataset(fractal, 1)
    with pytest.raises(NotFound, match="Second"):
        fractal.plan("Do it", dataset, profile="second")
    second = fractal.collect("my-tasks==1.0", profile="second")
    assert (second.folder, second.id != first.id) == (first.folder, True)
    for profile in ("second", "Local profile"):
        fractal.plan("Do it", dataset, profile=profile)


def test_the_log_of_a_step_that_says_nothing_is_in_the_store_in_time(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    thread = collect_aside(fractal, [])
    wait_until(lambda: "Installing" in "".join(each.log for each in fractal.activities.list()))
    index.gate.set()
    thread.join(60)


def test_a_wheel_that_is_not_there_is_told(fractal: Fractal, tmp_path: Path) -> None:
    wheel = tmp_path / "my_tasks-1.0-py3-none-any.whl"
    with pytest.raises(PackageNotFound, match=rf"{wheel} cannot be read: No such file"):
        fractal.collect(wheel)
    wheel.mkdir()
    with pytest.raises(PackageNotFound, match="Is a directory"):
        fractal.collect(wheel)

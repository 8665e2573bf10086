"""Task packages that the tests make, collected into a store of their own."""

import shutil
import threading
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import FractalError, NotAllowed, NotFound, PackageNotFound
from fractal_jupyter.runner.collecting import CollectionRequest, collect
from fractal_jupyter.store.records import TaskGroupRecord
from tests.environments.conftest import index
from tests.environments.packages import PackageIndex, make_task_wheel
from tests.toy import make_dataset, wait_until

__all__ = ["index"]


def collect_aside(fractal: Fractal, results: list[object], log: list[str]) -> threading.Thread:
    """Collect in a thread; its result, an error included, is appended to `results`."""
    request = CollectionRequest(
        requirement="my-tasks==1.0",
        profile=fractal._store.profiles.get("Local profile"),
        python=None,
        extras=(),
        pins_before={},
        pins_after={},
        uv=True,
    )

    def run() -> None:
        try:
            results.append(collect(fractal._store, request, log=log.append))
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
    log: list[str] = []
    threads = [collect_aside(fractal, results, log)]
    assert index.asked.wait(60)
    threads.append(collect_aside(fractal, results, log))
    wait_until(lambda: any(line.startswith("Waiting for process") for line in log))
    index.gate.set()
    for thread in threads:
        thread.join(60)
    assert [type(result) for result in results] == [TaskGroupRecord] * 2, results
    group = fractal.task_groups.get("my-tasks")
    assert {result.id for result in results if isinstance(result, TaskGroupRecord)} == {group.id}
    assert [task.name for task in group.tasks] == ["Do it"]


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
    log: list[str] = []
    thread = collect_aside(fractal, [], log)
    activities = fractal._store.activities
    wait_until(lambda: "Installing" in "".join(each.log for each in activities.all()))
    assert log[-1].startswith(("Installing", "Using Python"))
    index.gate.set()
    thread.join(60)


def test_a_wheel_that_is_not_there_is_told(fractal: Fractal, tmp_path: Path) -> None:
    wheel = tmp_path / "my_tasks-1.0-py3-none-any.whl"
    with pytest.raises(PackageNotFound, match=rf"{wheel} cannot be read: No such file"):
        fractal.collect(wheel)
    wheel.mkdir()
    with pytest.raises(PackageNotFound, match="Is a directory"):
        fractal.collect(wheel)

"""Task groups through their whole life, and what dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.task_groups import TaskGroup
from fractal_jupyter.client.tasks import Task
from fractal_jupyter.errors import (
    ActivityCancelled,
    ActivityLost,
    AlreadyExists,
    CollectionError,
    FractalError,
    InUse,
    InvalidArguments,
    NotAllowed,
    NotFound,
)
from fractal_jupyter.runner.activities import process
from fractal_jupyter.runner.activities.kept import PACKAGES_FOLDER, keep_file
from fractal_jupyter.runner.detached import store_folder
from fractal_jupyter.store.records import ActivityRecord
from tests.environments.conftest import index
from tests.environments.packages import PackageIndex, make_task_wheel, make_wheel, manifest, task
from tests.runner.test_refreshing import write_project
from tests.toy import add_task_group, make_dataset, wait_until

__all__ = ["index"]

# A task that writes what it is into its output.
TASK = """
import json, sys
out = sys.argv[sys.argv.index("--out-json") + 1]
url = json.load(open(sys.argv[sys.argv.index("--args-json") + 1]))["zarr_url"]
update = {"zarr_url": url, "attributes": {"said": "%s"}}
json.dump({"image_list_updates": [update]}, open(out, "w"))
"""

COLLECT = """
import sys
from fractal_jupyter import Fractal
Fractal(sys.argv[1]).collect("my-tasks")
"""


@pytest.fixture
def group(fractal: Fractal, index: PackageIndex) -> TaskGroup:
    """A task group of the package index."""
    make_task_wheel(index.folder)
    return fractal.collect("my-tasks==1.0")


def begun(fractal: Fractal, action: str) -> ActivityRecord:
    """The activity that is going on, as soon as it has begun."""

    def going_on() -> list[ActivityRecord]:
        active = fractal._store.activities.active()
        return [each for each in active if (each.action, each.status) == (action, "ongoing")]

    wait_until(going_on)
    return going_on()[0]


def collect_aside(
    fractal: Fractal, requirement: str = "my-tasks==1.0", *, pixi: bool = False
) -> list[object]:
    """Collect in a thread; its result, an error included, comes into the list."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(fractal.collect(requirement, pixi=pixi))
        except FractalError as error:
            results.append(error)

    threading.Thread(target=run, daemon=True).start()
    return results


def test_a_whole_life(fractal: Fractal, group: TaskGroup) -> None:
    lock, ids = group.lock, [each._record.id for each in group.tasks]
    dataset = make_dataset(fractal, 1)
    assert group.deactivate() is group
    assert not group.active
    assert not Path(group.folder).exists()
    assert group.lock == lock
    with pytest.raises(NotFound, match="Do it"):
        fractal.submit("Do it", dataset)
    with pytest.raises(NotFound, match=r"deactivated.*version='1\.0'\)\.reactivate"):
        fractal.submit("Do it", dataset, version="1.0")
    with pytest.raises(NotAllowed, match="not active"):
        group.deactivate()
    group.reactivate()
    assert group.active
    assert group.lock == lock
    assert [each._record.id for each in group.tasks] == ids
    assert fractal.submit("Do it", dataset).wait(60).status == "done"
    with pytest.raises(NotAllowed, match="active already"):
        group.reactivate()
    done = [(each.action, each.status) for each in group.activities]
    assert done == [("collect", "OK"), ("deactivate", "OK"), ("reactivate", "OK")]
    group.delete()
    assert not Path(group.folder).exists()
    assert not [each for each in fractal.task_groups.list() if each.package == "my-tasks"]
    assert fractal.activities.list()[0].action == "delete"


def test_collecting_what_was_deactivated_builds_it_as_it_was(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    make_wheel(index.folder, "helper", "1.0")
    group = fractal.collect("my-tasks==1.0", pins={"helper": "1.0"})
    group.deactivate()
    again = fractal.collect("my-tasks==1.0", pins={"helper": "1.0"})
    assert (again.id, again.lock) == (group.id, group.lock)
    assert "helper==1.0" in again.freeze


def test_what_the_index_has_changed_is_not_taken_for_the_same(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    group = fractal.collect("my-tasks==1.0")
    group.deactivate()
    make_wheel(
        index.folder,
        "my-tasks",
        "1.0",
        manifest_text=json.dumps(manifest()),
        files={"do_it.py": "print('something else')\n"},
    )
    cache = Path(group.folder).parents[1] / ".cache"
    subprocess.run(["rm", "-rf", str(cache)], check=True)
    with pytest.raises(CollectionError) as raised:
        group.reactivate()
    assert "my-tasks" in str(raised.value)
    assert not group.active
    assert not Path(group.folder).exists()


def test_who_uses_it_is_named(fractal: Fractal, group: TaskGroup, index: PackageIndex) -> None:
    workflow = fractal.workflows.create("analysis", steps=[{"task": "Do it"}])
    fractal.workflows.create("other", steps=[{"task": "Project Image"}])
    with pytest.raises(InUse, match=r"my-tasks 1\.0 is used by the workflow 'analysis'\. First"):
        group.delete()
    make_task_wheel(index.folder, version="2.0")
    second = fractal.collect("my-tasks==2.0")
    # Either could run the step now.
    second.delete()
    fractal.workflows.remove(workflow.name)
    group.delete()
    assert fractal._store.activities.active() == []


def test_a_job_at_work_keeps_its_environment(fractal: Fractal, index: PackageIndex) -> None:
    waits = "import sys, time, pathlib\nwhile not pathlib.Path(%r).exists(): time.sleep(0.02)\n"
    flag = index.folder / "go on"
    make_wheel(
        index.folder,
        "my-tasks",
        manifest_text=json.dumps(manifest()),
        files={"do_it.py": waits % str(flag)},
    )
    group = fractal.collect("my-tasks==1.0")
    job = fractal.submit("Do it", make_dataset(fractal, 1))
    for action in (group.deactivate, group.delete):
        with pytest.raises(InUse, match=rf"is used by job {job.id} \(Do it\); wait"):
            action()
    flag.touch()
    assert job.wait(60).status == "done"
    group.delete()
    environment = job.environment()
    assert (environment.package, environment.version) == ("my-tasks", "1.0")
    assert environment.lock == group.lock
    assert environment.lock is not None
    assert environment.lock.python.startswith(group.python_version)
    assert all(each.hashes and each.content for each in environment.lock.distributions)
    with pytest.raises(NotFound, match="has no step 7"):
        job.environment(7)


def test_a_retry_needs_the_environment_that_the_job_ran_in(
    fractal: Fractal, index: PackageIndex
) -> None:
    flag = index.folder / "go on"
    fails = f"import pathlib, sys\nsys.exit(not pathlib.Path({str(flag)!r}).exists())\n"
    make_wheel(
        index.folder, "my-tasks", manifest_text=json.dumps(manifest()), files={"do_it.py": fails}
    )
    group = fractal.collect("my-tasks==1.0")
    job = fractal.submit("Do it", make_dataset(fractal, 1)).wait(60)
    assert job.status == "failed"
    flag.touch()
    group.deactivate()
    with pytest.raises(NotAllowed, match=r"environment of my-tasks 1\.0, .* not there any more"):
        job.retry()
    assert job.status == "failed"
    group.delete()
    # Another id perhaps, and the same environment.
    fractal.collect("my-tasks==1.0")
    assert job.retry().wait(60).status == "done"


def test_a_task_runs_in_its_own_task_group_though_the_version_is_there_twice(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    for version in ("1.0", "2.0"):
        make_wheel(index.folder, "helper", version)
    one, two = (
        fractal.collect("my-tasks==1.0", pins={"helper": version}) for version in ("1.0", "2.0")
    )
    dataset = make_dataset(fractal, 1)

    def runs_in(task: Task | str) -> dict[str, str]:
        lock = fractal.submit(task, dataset).wait(60).environment().lock
        assert lock is not None
        return {each.name: each.version for each in lock.distributions}

    for group, version in ((one, "1.0"), (two, "2.0")):
        assert runs_in(group.tasks[0])["helper"] == version
    assert runs_in("Do it")["helper"] == "2.0"  # that of the last collected
    first = one.tasks[0]
    one.deactivate()
    with pytest.raises(NotFound, match=r"my-tasks 1\.0, which is deactivated"):
        fractal.submit(first, dataset)


def test_no_job_is_submitted_to_what_goes_at_that_moment(fractal: Fractal) -> None:
    group = fractal.task_groups.get("toy-tasks")
    fractal._store.task_groups.deactivate(group.id)
    with pytest.raises(NotAllowed, match="a moment ago"):
        fractal._store.jobs.add({}, [{"request": {"task_group_id": group.id}}])


def test_it_goes_on_when_who_asked_for_it_dies(fractal: Fractal, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    starter = subprocess.Popen(
        [sys.executable, "-c", COLLECT, fractal.url],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    activity = begun(fractal, "collect")
    assert index.asked.wait(60)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    index.gate.set()
    ended = fractal.activities.get(activity.id).wait(60)
    assert ended.status == "OK", ended.error
    assert [each.name for each in fractal.task_groups.get("my-tasks").tasks] == ["Do it"]


def test_when_it_dies_itself_that_is_told_and_done_again(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    results = collect_aside(fractal)
    activity = begun(fractal, "collect")
    assert index.asked.wait(60)
    os.kill(activity.process["pid"], signal.SIGKILL)
    wait_until(lambda: results)
    assert isinstance(results[0], ActivityLost)
    assert fractal.activities.get(activity.id).status == "failed"
    index.gate.set()
    group = fractal.collect("my-tasks==1.0")
    assert Path(str(group.python)).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_when_it_is_told_to_end_it_leaves_nothing(
    fractal: Fractal, index: PackageIndex, number: int
) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    results = collect_aside(fractal)
    activity = begun(fractal, "collect")
    assert index.asked.wait(60)
    os.kill(activity.process["pid"], number)
    wait_until(lambda: results)
    assert isinstance(results[0], ActivityLost)
    assert "told to end" in str(results[0])
    assert not Path(activity.request["folder"]).exists()


def test_it_is_cancelled(fractal: Fractal, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    results = collect_aside(fractal)
    activity = begun(fractal, "collect")
    assert index.asked.wait(60)
    with pytest.raises(TimeoutError, match="it goes on"):
        fractal.activities.get(activity.id).wait(0.1)
    assert fractal.activities.get(activity.id).cancel().wait(60).status == "cancelled"
    wait_until(lambda: results)
    assert isinstance(results[0], ActivityCancelled)
    assert not Path(activity.request["folder"]).exists()
    assert fractal.activities.get(activity.id).cancel().status == "cancelled"


def test_what_another_machine_did_is_cancelled_although_nobody_answers(
    fractal: Fractal, group: TaskGroup
) -> None:
    activities = fractal._store.activities
    activity, _ = activities.queue(
        action="reactivate", subject="my-tasks 1.0", request={}, place=group._now().place
    )
    activities.hand_over(activity.id, {"host": "elsewhere", "boot": "another", "pid": 1})
    with pytest.raises(InUse, match="cancel it"):
        group.deactivate()
    assert fractal.activities.get(activity.id).cancel().status == "cancelled"
    group.deactivate()


def test_what_cannot_be_cancelled_says_so(fractal: Fractal) -> None:
    check = fractal._store.activities.begin(action="check", subject="Local resource")
    with pytest.raises(NotAllowed, match="cannot be cancelled"):
        fractal.activities.get(check.id).cancel()


def test_interrupting_the_cell_cancels_it(fractal: Fractal, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    cell = subprocess.Popen(
        [sys.executable, "-c", COLLECT, fractal.url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    activity = begun(fractal, "collect")
    assert index.asked.wait(60)
    cell.send_signal(signal.SIGINT)
    _, said = cell.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert fractal.activities.get(activity.id).status == "cancelled"
    assert not Path(activity.request["folder"]).exists()


def test_two_packages_at_once_do_not_disturb_each_other(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    make_task_wheel(index.folder, "more-tasks")
    index.gate.clear()
    both = [collect_aside(fractal), collect_aside(fractal, "more-tasks==1.0")]
    wait_until(lambda: len(fractal._store.activities.active()) == 2)
    index.gate.set()
    wait_until(lambda: all(both))
    assert {result[0].package for result in both if isinstance(result[0], TaskGroup)} == {
        "my-tasks",
        "more-tasks",
    }


def test_one_thing_at_a_time_is_done_to_it(fractal: Fractal, group: TaskGroup) -> None:
    record = group._now()
    activity, _ = fractal._store.activities.queue(
        action="reactivate", subject="my-tasks 1.0", request={}, place=record.place
    )
    with pytest.raises(InUse, match=rf"is busy: activity {activity.id} \(reactivate\) is pending"):
        group.deactivate()
    assert group.active


def test_a_removal_that_is_cut_off_leaves_the_state_after_it(
    fractal: Fractal, group: TaskGroup
) -> None:
    # what a process that is killed between its two steps has done
    fractal._store.task_groups.deactivate(group.id)
    assert Path(group.folder).exists()
    (left,) = [each for each in fractal.task_groups.clean() if each.kind == "leftover"]
    assert (left.folder, left.what) == (
        group.folder,
        "the environment of my-tasks 1.0, which is deactivated",
    )
    fractal.task_groups.clean(dry_run=False)
    assert not Path(group.folder).exists()
    group.reactivate()
    assert Path(group.folder).exists()


def test_no_process_can_be_started(fractal: Fractal, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    log = Path(fractal.url.removeprefix("sqlite:///")).parent / process.LOG_NAME
    log.mkdir()
    with pytest.raises(ActivityLost, match=r"No process can be started to collect my-tasks==1.0"):
        fractal.collect("my-tasks==1.0")
    assert fractal.activities.list()[0].status == "failed"


def test_what_nothing_uses_is_shown_and_deactivated(
    fractal: Fractal, group: TaskGroup, index: PackageIndex
) -> None:
    make_task_wheel(index.folder, version="2.0")
    kept = fractal.collect("my-tasks==2.0")
    fractal.workflows.create("w", steps=[{"task": "Do it", "version": "2.0"}])
    stranger = Fractal(f"sqlite:///{index.folder.parent}/other/fractal.db")
    document = fractal._store.resources.get("Local resource").document
    stranger.resources.update("Local resource", document)
    make_task_wheel(index.folder, version="3.0")
    of_another_store = stranger.collect("my-tasks==3.0")
    stranger.close()
    assert [each.kind for each in fractal.task_groups.clean() if each.kind == "task group"] == []
    listed = fractal.task_groups.clean(unused_for=0)
    assert {each.folder: each.kind for each in listed if each.kind != "cache"} == {
        group.folder: "task group",
        of_another_store.folder: "unknown",
    }
    assert all(each.frees > 0 for each in listed)
    assert group.active
    assert "nothing uses" in repr(listed)
    assert "another store" in listed._repr_html_()
    fractal.task_groups.clean(unused_for=0, dry_run=False)
    assert (group.active, kept.active) == (False, True)
    assert not Path(group.folder).exists()
    assert Path(of_another_store.folder).exists()
    group.reactivate()


def test_a_lock_file_makes_the_same_on_another_machine(
    fractal: Fractal, index: PackageIndex, tmp_path: Path
) -> None:
    make_task_wheel(index.folder)
    make_wheel(index.folder, "helper", "1.0")
    group = fractal.collect("my-tasks==1.0", pins={"helper": "1.0"})
    path = fractal.task_groups.export("my-tasks", tmp_path)
    assert path == tmp_path / "my-tasks-1.0.lock"
    make_wheel(index.folder, "helper", "2.0")
    elsewhere = Fractal(f"sqlite:///{tmp_path}/elsewhere/fractal.db")
    other = elsewhere.collect(path)
    assert (other.lock, other.origin) == (group.lock, "pypi")
    assert other.folder != group.folder
    assert elsewhere.collect(path).id == other.id
    with pytest.raises(InvalidArguments, match="exactly what to install"):
        elsewhere.collect(path, pins={"helper": "2.0"})
    elsewhere.close()


def test_a_lock_file_of_a_wheel_comes_with_it(
    fractal: Fractal, index: PackageIndex, tmp_path: Path
) -> None:
    wheel = make_task_wheel(tmp_path / "wheels")
    group = fractal.collect(wheel)
    # The file itself may go: the store has a copy.
    wheel.unlink()
    group.deactivate().reactivate()
    path = fractal.task_groups.export(group, tmp_path / "out" / "mine.lock")
    assert sorted(each.name for each in path.parent.iterdir()) == ["mine.lock", wheel.name]
    elsewhere = Fractal(f"sqlite:///{tmp_path}/elsewhere/fractal.db")
    assert elsewhere.collect(path).lock == group.lock
    path.with_name(wheel.name).write_bytes(b"something else")
    with pytest.raises(CollectionError, match=r"is not the wheel that mine\.lock was made with"):
        elsewhere.collect(path)
    elsewhere.close()
    with pytest.raises(NotAllowed, match=r"end with \.lock"):
        fractal.task_groups.export(group, tmp_path / "mine.txt")


def test_copies_of_files_go_with_what_was_made_of_them(
    fractal: Fractal, index: PackageIndex, tmp_path: Path
) -> None:
    wheels = [make_task_wheel(tmp_path / "wheels", version=version) for version in ("1.0", "2.0")]
    one, two = (fractal.collect(wheel) for wheel in wheels)
    again = fractal.collect(wheels[0], pins={"setuptools": "99.0"})
    folder = store_folder(fractal._store) / PACKAGES_FOLDER

    def kept() -> list[str]:
        return sorted(path.name for path in folder.glob("*/*"))

    one.delete()
    assert kept() == [wheel.name for wheel in wheels]  # the other one can be built again
    again.delete()
    assert kept() == [wheels[1].name]
    two.deactivate()
    uploads = [make_task_wheel(tmp_path / "more", version=version) for version in ("3.0", "4.0")]
    for upload in uploads:
        keep_file(fractal._store, upload)
    (old,) = folder.glob(f"*/{uploads[0].name}")
    os.utime(old, (0, 0))
    fractal.task_groups.clean(dry_run=False)
    assert kept() == [wheels[1].name, uploads[1].name]
    two.reactivate()


def test_a_source_folder_is_run_as_it_is_now(
    fractal: Fractal, index: PackageIndex, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    root = write_project(source)
    (source / "pyproject.toml").write_text(
        '[project]\nname = "my-tasks"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(BACKEND)
    (root / "do_it.py").write_text(TASK % "first")
    group = fractal.collect(source, editable=True)
    assert (group.origin, group.version) == ("editable", "1.0")
    dataset = make_dataset(fractal, 1)
    first = fractal.submit("Do it", dataset).wait(60)
    (root / "do_it.py").write_text(TASK % "second")
    second = fractal.submit("Do it", dataset).wait(60)
    assert (first.status, second.status) == ("done", "done")
    assert dataset.images[0].attributes["said"] == "second"
    before, after = first.environment().source, second.environment().source
    assert before is not None
    assert after is not None
    assert before["digest"] != after["digest"]
    (root / "__FRACTAL_MANIFEST__.json").write_text(json.dumps(manifest(task("Now this"))))
    assert fractal.submit("Now this", dataset).wait(60).status == "done"
    assert [each.name for each in group.tasks] == ["Now this"]
    with pytest.raises(NotAllowed, match="source folder"):
        fractal.task_groups.export(group)
    group.deactivate().reactivate()
    assert fractal.submit("Now this", dataset).wait(60).status == "done"
    project = (source / "pyproject.toml").read_text()
    (source / "pyproject.toml").write_text(
        project.replace('version = "1.0"', 'version = "1.0"\ndependencies = ["setuptools"]')
    )
    with pytest.raises(NotAllowed, match="Collect it again"):
        fractal.submit("Now this", dataset)
    again = fractal.collect(source, editable=True)
    assert again.folder != group.folder
    assert not Path(group.folder).exists()
    assert [each.id for each in fractal.task_groups.list() if each.origin == "editable"] == [
        again.id
    ]
    again.delete()
    assert (root / "do_it.py").exists()


# Installs a source folder in editable mode, without anything from an index.
BACKEND = """
import base64, hashlib, pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    here = pathlib.Path.cwd() / "src"
    info = "my_tasks-1.0.dist-info"
    files = {
        "__my_tasks.pth": str(here) + "\\n",
        info + "/METADATA": "Metadata-Version: 2.1\\nName: my-tasks\\nVersion: 1.0\\n"
            + requires(),
        info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "/RECORD": "",
    }
    name = "my_tasks-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name

def requires():
    text = pathlib.Path("pyproject.toml").read_text()
    return "Requires-Dist: setuptools\\n" if "dependencies" in text else ""

def get_requires_for_build_editable(config_settings=None):
    return []

def build_wheel(*_args, **_options):
    raise RuntimeError("never asked for")
"""


def test_an_environment_of_somebody_else_is_used_and_never_touched(
    fractal: Fractal, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    theirs = fractal.collect("my-tasks==1.0", pins={"setuptools": "99.0"})
    assert theirs.python is not None
    group = fractal.collect_custom("my_tasks", python=theirs.python)
    assert (group.origin, group.package, group.version) == ("custom", "my-tasks", "1.0")
    assert group.lock is not None
    assert theirs.lock is not None
    # The archives that it was installed from are not known.
    assert group.lock.differences(theirs.lock) == []
    assert fractal.collect_custom("my_tasks", python=theirs.python).id == group.id
    manifest_path = Path(group.folder, "__FRACTAL_MANIFEST__.json")
    group.deactivate()
    fractal.task_groups.clean(dry_run=False)
    assert manifest_path.exists()
    assert group.reactivate().active
    interpreter = Path(theirs.python)
    away = interpreter.rename(interpreter.with_name("away"))
    with pytest.raises(CollectionError):
        group.reactivate()
    assert manifest_path.exists()
    away.rename(interpreter)
    fractal._store.task_groups.deactivate(theirs.id)
    job = fractal.submit("Do it", make_dataset(fractal, 1)).wait(60)
    assert job.status == "done"
    manifest_path.write_text(json.dumps(manifest(task("Something new"))))
    assert fractal.submit("Something new", "plate").wait(60).status == "done"
    group.deactivate()
    assert manifest_path.exists()
    group.delete()
    assert manifest_path.exists()
    with pytest.raises(CollectionError, match="not an absolute path"):
        fractal.collect_custom("my-tasks", python="bin/python")
    with pytest.raises(CollectionError, match="no package absent"):
        fractal.collect_custom("absent", python=theirs.python)


def test_an_environment_that_others_run_in_stays(
    fractal: Fractal, index: PackageIndex, group: TaskGroup
) -> None:
    document = fractal._store.resources.get("Local resource").document
    fractal.resources.add({**document, "name": "Second"})
    fractal.profiles.add({"name": "second", "resource_type": "local"}, resource="Second")
    second = fractal.collect("my-tasks==1.0", profile="second")
    assert second.folder == group.folder
    assert not [each for each in fractal.task_groups.clean(unused_for=0) if each.kind != "cache"]
    group.deactivate()
    assert "stays: other task groups run in it" in group.activities[-1].log
    fractal.task_groups.clean(dry_run=False)
    dataset = make_dataset(fractal, 1)
    assert fractal.submit("Do it", dataset, profile="second").wait(60).status == "done"
    second.delete()
    assert not Path(group.folder).exists()
    group.reactivate()
    first = "Local profile"
    custom = fractal.collect_custom("my-tasks", python=str(group.python), profile=first)
    group.delete()
    assert fractal.submit("Do it", dataset, profile=first).wait(60).status == "done"
    custom.delete()


def test_a_place_that_cannot_be_looked_at_keeps_nobody_from_cleaning(
    fractal: Fractal, index: PackageIndex, group: TaskGroup
) -> None:
    document = fractal._store.resources.get("Local resource").document
    tasks = str(index.folder.parent / "gone")
    fractal.resources.add({**document, "name": "Second", "tasks_local_dir": tasks})
    fractal.profiles.add({"name": "second", "resource_type": "local"}, resource="Second")
    fractal.collect("my-tasks==1.0", profile="second")
    fractal.profiles.remove("second")
    with pytest.warns(UserWarning, match="no profile any more"):
        listed = fractal.task_groups.clean(unused_for=0)
    assert [each.what for each in listed if each.kind == "task group"] == ["my-tasks 1.0"]


def test_what_does_not_say_that_it_is_an_environment_stays(
    fractal: Fractal, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data.txt").write_text("keep this")
    entries = [{**task(), "type": "parallel"}]
    add_task_group(fractal._store, entries, package="other", folder=str(precious))
    group = fractal.task_groups.get("other")
    group.deactivate()
    fractal.task_groups.clean(dry_run=False)
    assert "is no environment of ours" in group.activities[0].log
    group.delete()
    assert (precious / "data.txt").read_text() == "keep this"


def test_a_folder_that_is_something_else_is_left_alone(
    fractal: Fractal, index: PackageIndex, group: TaskGroup
) -> None:
    group.deactivate()
    folder = Path(group.folder)
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("keep this")
    with pytest.raises(AlreadyExists, match="is no environment"):
        group.reactivate()
    assert (folder / "mine.txt").read_text() == "keep this"
    assert not group.active

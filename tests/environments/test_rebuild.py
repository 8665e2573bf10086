"""Environments built again from their locks, from an index that may have changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.environments.lock import (
    Distribution,
    Lock,
    LockFile,
    read_lock_file,
    write_lock_file,
)
from fractal_jupyter.environments.spec import PackageSpec
from fractal_jupyter.environments.venv import BuiltEnvironment
from fractal_jupyter.errors import (
    AlreadyExists,
    CollectionError,
    InterpreterError,
    PackageNotFound,
)

from .conftest import Workshop
from .packages import PackageIndex, make_task_wheel, make_wheel, manifest
from .test_venv import output_of, sha256_of, version_in

MakeWorkshop = Callable[[str], Workshop]
# pip takes its time.
LONG = pytest.mark.long
BOTH = pytest.mark.parametrize("tool", ["uv", pytest.param("pip", marks=LONG)])
PAIRS = pytest.mark.parametrize(
    ("first", "second"),
    [
        ("uv", "uv"),
        pytest.param("uv", "pip", marks=LONG),
        pytest.param("pip", "uv", marks=LONG),
        pytest.param("pip", "pip", marks=LONG),
    ],
)


def fill(index: PackageIndex) -> None:
    """Let the index have a task package that needs another package."""
    make_wheel(index.folder, "helper", "1.0")
    make_wheel(index.folder, "helper", "2.0")
    make_wheel(
        index.folder,
        "my-tasks",
        manifest_text=json.dumps(manifest()),
        metadata=["Requires-Dist: helper>=2"],
    )


def through_a_file(lock: Lock) -> Lock:
    """Return a lock as another machine gets it."""
    lock_file = LockFile(
        package="my-tasks", version="1.0", origin="pypi", python_version="3.11", lock=lock
    )
    return read_lock_file(write_lock_file(lock_file)).lock


def named(lock: Lock, name: str) -> Distribution:
    (found,) = (each for each in lock.distributions if each.name == name)
    return found


@PAIRS
def test_exactly_what_was_recorded(
    make_workshop: MakeWorkshop, index: PackageIndex, first: str, second: str
) -> None:
    fill(index)
    recorded = make_workshop(first).build("my-tasks")
    make_wheel(index.folder, "helper", "3.0")
    make_wheel(index.folder, "setuptools", "100.0")
    workshop = make_workshop(f"{second} again")
    again = workshop.build("my-tasks", "again", lock=through_a_file(recorded.lock))
    assert again.lock == recorded.lock
    assert version_in(again, "helper") == "2.0"
    assert workshop.left == ["again"]
    assert "Installing exactly what was recorded: 3 packages" in workshop.log
    fresh = workshop.build("my-tasks", "fresh", pins_before={"helper": "3.0"})
    assert recorded.lock.differences(fresh.lock)


@PAIRS
def test_pins_after_are_recorded(
    make_workshop: MakeWorkshop, index: PackageIndex, first: str, second: str
) -> None:
    fill(index)
    recorded = make_workshop(first).build("my-tasks", pins_after={"helper": "1.0"})
    assert named(recorded.lock, "helper").version == "1.0"
    workshop = make_workshop(f"{second} again")
    again = workshop.build("my-tasks", pins_after={"helper": "1.0"}, lock=recorded.lock)
    assert again.lock == recorded.lock


@PAIRS
def test_a_wheel_file(
    make_workshop: MakeWorkshop, index: PackageIndex, tmp_path: Path, first: str, second: str
) -> None:
    fill(index)
    wheel = make_task_wheel(tmp_path / "100 % mine")
    recorded = make_workshop(first).build(str(wheel))
    mine = named(recorded.lock, "my-tasks")
    assert (mine.url, mine.hashes) == (wheel.name, (f"sha256:{sha256_of(wheel)}",))
    workshop = make_workshop(f"{second} again")
    assert workshop.build(str(wheel), lock=recorded.lock).lock == recorded.lock
    if first == second == "uv":
        other = make_wheel(tmp_path / "other", "my-tasks", manifest_text=json.dumps(manifest()))
        other.write_bytes(other.read_bytes() + b"more")
        with pytest.raises(CollectionError, match="not the wheel file that was recorded"):
            workshop.build(str(other), "other", lock=recorded.lock)
        with pytest.raises(PackageNotFound, match="came from the wheel file my_tasks-"):
            workshop.build("my-tasks", "other", lock=recorded.lock)
    assert workshop.left == ["env"]


def make_source(folder: Path) -> Path:
    """Write the folder of a task package that needs another package, to be built with nothing."""
    package = folder / "src" / "my_tasks"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "do_it.py").write_text("print('done')\n")
    (package / "__FRACTAL_MANIFEST__.json").write_text(json.dumps(manifest()))
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "my-tasks"\nversion = "0.1"\ndependencies = ["helper>=2"]\n'
        '[project.optional-dependencies]\nmore = ["extra"]\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "backend.py").write_text(BACKEND)
    return folder


BACKEND = '''\
"""The smallest build backend that can do editable installations."""
import os, zipfile

METADATA = """Metadata-Version: 2.1
Name: my-tasks
Version: 0.1
Requires-Dist: helper>=2
Provides-Extra: more
Requires-Dist: extra; extra == "more"
"""
FILES = {
    "my_tasks.pth": os.path.join(os.getcwd(), "src"),
    "my_tasks-0.1.dist-info/METADATA": METADATA,
    "my_tasks-0.1.dist-info/WHEEL": "Wheel-Version: 1.0\\nTag: py3-none-any\\n"
    "Root-Is-Purelib: true\\n",
}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "my_tasks-0.1-py3-none-any.whl"
    record = "my_tasks-0.1.dist-info/RECORD"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in FILES.items():
            archive.writestr(path, text)
        archive.writestr(record, "".join(f"{path},,\\n" for path in [*FILES, record]))
    return name


build_editable = build_wheel
'''


@BOTH
def test_a_source_folder_in_editable_mode(
    make_workshop: MakeWorkshop, index: PackageIndex, tmp_path: Path, tool: str
) -> None:
    fill(index)
    make_wheel(index.folder, "extra", "4.0")
    source = make_source(tmp_path / "100 % mine")
    workshop = make_workshop(tool)
    package = PackageSpec("my-tasks", extras=("more",), source=str(source))
    built = workshop.build(package)
    assert built.package_root == str(source / "src" / "my_tasks")
    assert named(built.lock, "my-tasks") == Distribution(
        "my-tasks", "0.1", url=source.as_uri(), editable=True
    )
    assert {"helper==2.0", "extra==4.0"} <= set(built.freeze)
    (source / "src" / "my_tasks" / "new.py").write_text("VALUE = 1\n")
    assert output_of(built, "import my_tasks.new as new; print(new.VALUE)") == "1"
    make_wheel(index.folder, "helper", "3.0")
    again = workshop.build(package, "again", lock=built.lock)
    assert again.lock == built.lock
    assert version_in(again, "helper") == "2.0"


@BOTH
@pytest.mark.parametrize("tells_hashes", [True, False])
def test_an_archive_that_was_replaced(
    make_workshop: MakeWorkshop, index: PackageIndex, tool: str, tells_hashes: bool
) -> None:
    index.tells_hashes = tells_hashes
    fill(index)
    workshop = make_workshop(tool)
    recorded = workshop.build("my-tasks")
    make_wheel(index.folder, "helper", "2.0", files={"evil.py": "print('evil')\n"})
    workshop.cache = workshop.cache.with_name("another cache")
    with pytest.raises(CollectionError, match=r"helper 2\.0 is not what it was.*another hash"):
        workshop.build("my-tasks", "again", lock=recorded.lock)
    assert workshop.left == ["env"]


@BOTH
def test_a_version_that_the_index_does_not_have_any_more(
    make_workshop: MakeWorkshop, index: PackageIndex, tool: str
) -> None:
    fill(index)
    workshop = make_workshop(tool)
    recorded = workshop.build("my-tasks")
    workshop.cache = workshop.cache.with_name("another cache")
    (index.folder / "helper-2.0-py3-none-any.whl").unlink()
    with pytest.raises(
        PackageNotFound, match=r"recorded with helper 2\.0, which the package index"
    ):
        workshop.build("my-tasks", "again", lock=recorded.lock)
    for path in index.folder.glob("helper-*"):
        path.unlink()
    workshop.cache = workshop.cache.with_name("a third cache")
    with pytest.raises(PackageNotFound, match=r"recorded with helper.* does not have any more"):
        workshop.build("my-tasks", "again", lock=recorded.lock)
    assert workshop.left == ["env"]


@pytest.fixture
def recorded(workshop: Workshop, index: PackageIndex) -> BuiltEnvironment:
    """Return an environment with a lock."""
    fill(index)
    return workshop.build("my-tasks")


def changed(lock: Lock, name: str, **fields: Any) -> Lock:
    return replace(
        lock,
        distributions=tuple(
            replace(each, **fields) if each.name == name else each for each in lock.distributions
        ),
    )


def test_other_files_than_were_recorded(workshop: Workshop, recorded: BuiltEnvironment) -> None:
    other = changed(recorded.lock, "helper", content="sha256:00")
    with pytest.raises(CollectionError, match=r"helper 2\.0 has other files.*collect .* anew"):
        workshop.build("my-tasks", "again", lock=other)
    assert workshop.left == ["env"]


def test_hashes_that_nobody_knows(workshop: Workshop, recorded: BuiltEnvironment) -> None:
    lock = changed(recorded.lock, "helper", hashes=())
    assert workshop.build("my-tasks", "again", lock=lock).lock == lock


def test_another_patch_version_of_python_is_told(
    workshop: Workshop, recorded: BuiltEnvironment
) -> None:
    lock = replace(recorded.lock, python=f"{workshop.version}.99")
    again = workshop.build("my-tasks", "again", lock=lock)
    assert again.lock == recorded.lock
    assert f"Python is {recorded.lock.python} now, and was {lock.python}" in workshop.log


def test_another_python(workshop: Workshop, recorded: BuiltEnvironment) -> None:
    lock = replace(recorded.lock, python="3.99.1")
    with pytest.raises(InterpreterError, match=r"that is Python 3\."):
        workshop.build("my-tasks", "again", lock=lock)
    assert workshop.left == ["env"]


def test_another_platform(workshop: Workshop, recorded: BuiltEnvironment) -> None:
    lock = replace(recorded.lock, platform="darwin-arm64")
    with pytest.raises(CollectionError, match=r"recorded on darwin-arm64, and this is linux-"):
        workshop.build("my-tasks", "again", lock=lock)
    assert workshop.left == ["env"]


def test_what_is_there_already(workshop: Workshop, recorded: BuiltEnvironment) -> None:
    assert workshop.build("my-tasks", lock=recorded.lock) == recorded
    assert workshop.log[-1] == "This environment is there already."
    other = changed(recorded.lock, "helper", version="1.0")
    with pytest.raises(AlreadyExists, match="other versions than those recorded"):
        workshop.build("my-tasks", lock=other)


@pytest.mark.parametrize("tells_hashes", [True, False])
def test_nothing_is_fetched_again(
    workshop: Workshop, index: PackageIndex, tells_hashes: bool
) -> None:
    index.tells_hashes = tells_hashes
    fill(index)
    recorded = workshop.build("my-tasks")
    before = list(index.fetched)
    workshop.build("my-tasks", "again", lock=recorded.lock)
    assert index.fetched == before

"""Real packages from the package index, as this machine is configured to reach it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fractal_jupyter.environments.inspect import inspect_package
from fractal_jupyter.environments.lock import parse_lock
from fractal_jupyter.environments.venv import BuiltEnvironment
from fractal_jupyter.errors import (
    CollectionError,
    ManifestMissing,
    PackageNotFound,
    ResolverConflict,
    UnsupportedPython,
)
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.models.manifest import parse_manifest

from .conftest import Workshop

# In one process: two that fetch the same at once have a copy each in the cache.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real")]

CORE = "fractal-tasks-core==2.1.0"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, uv: str, shared_cache: Path) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("real"), uv, shared_cache)


@pytest.fixture(scope="module")
def core(workshop: Workshop) -> BuiltEnvironment:
    return workshop.build(CORE, "core", share=True)


def files_of(environment: BuiltEnvironment, pattern: str) -> dict[str, Path]:
    venv = Path(environment.python).parent.parent
    return {str(path.relative_to(venv)): path for path in venv.rglob(pattern)}


def test_fractal_tasks_core(core: BuiltEnvironment) -> None:
    tasks = parse_manifest(core.manifest_text, source=CORE).task_list
    assert {"Project Image", "Threshold Segmentation"} <= {task.name for task in tasks}
    assert "fractal-tasks-core==2.1.0" in core.freeze
    script = Path(core.package_root) / "projection.py"
    done = subprocess.run([core.python, str(script), "--help"], capture_output=True, check=True)
    assert b"--args-json" in done.stdout


def test_asking_the_environment_itself(core: BuiltEnvironment) -> None:
    inspected = inspect_package(LocalHost(), python=core.python, package="Fractal_Tasks.Core")
    assert inspected.root == core.package_root
    assert inspected.manifest_text == core.manifest_text
    assert core.lock.differences(inspected.lock) == []


@pytest.mark.long
def test_rebuilt_from_its_lock(workshop: Workshop, core: BuiltEnvironment) -> None:
    recorded = parse_lock(json.loads(json.dumps(core.lock.to_document())))
    assert all(each.hashes and each.content for each in recorded.distributions)
    again = workshop.build(CORE, "again", lock=recorded)
    assert again.lock == recorded
    # Nothing was fetched again: all of it was linked.
    assert again.own_bytes < 0.1 * again.size_bytes
    pip = replace(workshop, uv=None)
    assert pip.build(CORE, "by pip", lock=recorded).lock == recorded


def test_a_second_environment_costs_next_to_nothing(
    workshop: Workshop, core: BuiltEnvironment
) -> None:
    second = workshop.build(CORE, "second")
    first_files, second_files = files_of(core, "*"), files_of(second, "*")
    added = [
        path.stat().st_blocks * 512
        for name, path in second_files.items()
        if path.is_file() and not (name in first_files and path.samefile(first_files[name]))
    ]
    assert sum(added) < 0.1 * second.size_bytes
    sources = [name for name in files_of(second, "*.py") if "/tests/" not in name]
    assert len(files_of(second, "*.pyc")) > 0.95 * len(sources)


NO_PACKAGE = ("fractal-tasks-core-that-is-not", PackageNotFound, "no package fractal-tasks-core-")
FAILURES = [
    ("fractal-tasks-core==99.0.0", PackageNotFound, r"no version 99\.0\.0 of fractal-tasks-core"),
    ("six", ManifestMissing, r"six \S+ is no Fractal task package"),
]
if sys.version_info < (3, 12):
    NEEDS_3_12 = r"fractal-czi-converters 0\.1\.2 needs Python .*>=3\.12.* these fit: 3\.12"
    FAILURES.append(("fractal-czi-converters==0.1.2", UnsupportedPython, NEEDS_3_12))


# Every environment that pip fills takes several seconds.
@pytest.mark.parametrize(
    ("tool", "package", "error", "words"),
    [
        *(("uv", *case) for case in [*FAILURES, NO_PACKAGE]),
        *(pytest.param("pip", *case, marks=pytest.mark.long) for case in FAILURES),
    ],
)
def test_failures(
    make_workshop: Callable[[str], Workshop],
    shared_cache: Path,
    tool: str,
    package: str,
    error: type[CollectionError],
    words: str,
) -> None:
    workshop = make_workshop(tool)
    workshop.cache = shared_cache
    with pytest.raises(error, match=words):
        workshop.build(package, configured=("3.11", "3.12"))
    assert workshop.left == []


def test_pins_that_exclude_each_other(workshop: Workshop) -> None:
    before = workshop.left
    with pytest.raises(ResolverConflict, match=r"(?s)python-dateutil.*six|six.*python-dateutil"):
        workshop.build("six", pins_before={"six": "1.4.0", "python-dateutil": "2.8.2"})
    assert workshop.left == before

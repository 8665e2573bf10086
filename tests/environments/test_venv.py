"""Builds of small packages that the tests make, from an index of their own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from fractal_jupyter.environments.spec import BuildRequest, parse_requirement
from fractal_jupyter.environments.venv import BuiltEnvironment, Listener, VenvBuilder
from fractal_jupyter.errors import (
    AlreadyExists,
    BuildInProgress,
    CollectionError,
    FractalError,
    InterpreterError,
    ManifestBroken,
    ManifestMissing,
    PackageNotFound,
    ResolverConflict,
    UnsupportedPython,
)
from fractal_jupyter.hosts.fake import FakeHost, FakeOutcome
from fractal_jupyter.hosts.local import LocalHost
from tests.toy import wait_until

from .conftest import VERSION, Workshop
from .packages import PackageIndex, make_task_wheel, make_wheel, manifest, task

MakeWorkshop = Callable[[str], Workshop]
BOTH = pytest.mark.parametrize("tool", ["uv", pytest.param("pip", marks=pytest.mark.long)])


def output_of(environment: BuiltEnvironment, code: str) -> str:
    return subprocess.check_output([environment.python, "-c", code], text=True).strip()


def version_in(environment: BuiltEnvironment, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return output_of(environment, code)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# What is built


@BOTH
def test_builds_from_the_index(make_workshop: MakeWorkshop, index: PackageIndex, tool: str) -> None:
    for version in ("1.0", "2.0"):
        make_task_wheel(index.folder, "my-tasks", version)
    workshop = make_workshop(tool)
    built = workshop.build("My_Tasks==1.0")
    root = Path(built.package_root)
    assert (built.package_name, built.version) == ("my-tasks", "1.0")
    assert json.loads(built.manifest_text) == manifest()
    assert root.name == "my_tasks"
    done = subprocess.check_output([built.python, str(root / "do_it.py")], text=True)
    assert done == "done\n"
    assert {"my-tasks==1.0", "setuptools==99.0"} <= set(built.freeze)
    digests = {path.name: sha256_of(path) for path in index.folder.glob("*.whl")}
    (mine,) = (each for each in built.lock.distributions if each.name == "my-tasks")
    assert mine.hashes == (f"sha256:{digests['my_tasks-1.0-py3-none-any.whl']}",)
    assert mine.content
    text = (workshop.folder / "env" / "requirements.txt").read_text()
    assert f"my-tasks==1.0 \\\n    --hash={mine.hashes[0]}\n" in text
    assert built.size_bytes > 1000
    assert built.own_bytes > 1000
    assert sorted(path.name for path in (workshop.folder / "env").iterdir() if path.is_file()) in (
        ["bytecode", "environment.json", "requirements.txt"],
        ["environment.json", "requirements.txt"],
    )
    assert "Installing my-tasks==1.0, setuptools" in workshop.log
    assert workshop.left == ["env"]
    newest = workshop.build("my-tasks", "newest")
    assert newest.version == "2.0"
    assert version_in(built, "my-tasks") == "1.0"


@BOTH
def test_builds_from_a_wheel_file(
    make_workshop: MakeWorkshop, index: PackageIndex, tool: str, tmp_path: Path
) -> None:
    make_wheel(index.folder, "helper", "3.0")
    wheel = make_wheel(
        tmp_path / "folder with 100 % blanks",
        "my-tasks",
        manifest_text=json.dumps(manifest()),
        metadata=["Provides-Extra: more", 'Requires-Dist: helper; extra == "more"'],
    )
    workshop = make_workshop(tool)
    built = workshop.build(parse_requirement(f"{wheel}[more]"))
    assert version_in(built, "helper") == "3.0"
    # The wheel is kept with the environment: the user's copy may go.
    wheel.unlink()
    kept = workshop.folder / "env" / wheel.name
    assert kept.is_file()
    assert f"my-tasks @ {wheel.name}" in built.freeze


@BOTH
def test_pins_before_and_after(make_workshop: MakeWorkshop, index: PackageIndex, tool: str) -> None:
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(index.folder, "helper", version)
    make_wheel(
        index.folder,
        "my-tasks",
        manifest_text=json.dumps(manifest()),
        metadata=["Requires-Dist: helper>=2"],
    )
    workshop = make_workshop(tool)
    built = workshop.build("my-tasks", pins_before={"helper": "2.0"})
    assert version_in(built, "helper") == "2.0"
    # Pins after it replace what the package asks for.
    replaced = workshop.build("my-tasks", "after", pins_after={"helper": "1.0"})
    assert version_in(replaced, "helper") == "1.0"
    with pytest.raises(ResolverConflict, match=r"(?s)helper.*Change what is pinned"):
        workshop.build("my-tasks", "conflict", pins_before={"helper": "1.0"})
    assert workshop.left == ["after", "env"]


def test_the_package_may_be_called_otherwise_than_its_folder(
    workshop: Workshop, index: PackageIndex
) -> None:
    deeper = {"sub/other/__FRACTAL_MANIFEST__.json": "{}", "sub/do_it.py": "import my_lib\n"}
    make_wheel(
        index.folder,
        "my-tasks",
        root="my_lib",
        manifest_text=json.dumps(manifest(task(executable="sub/do_it.py"))),
        files=deeper,
    )
    built = workshop.build("my-tasks")
    assert Path(built.package_root).name == "my_lib"
    assert Path(built.package_root, "sub/do_it.py").is_file()


def test_others_may_read_what_the_umask_lets_them(workshop: Workshop, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    modes: dict[str, set[int]] = {}
    before = os.umask(0o022)
    try:
        for name, umask, share in [
            ("usual", 0o022, False),
            ("private", 0o077, False),
            ("shared", 0o077, True),
        ]:
            os.umask(umask)
            workshop.cache = workshop.cache.with_name(f"cache of {name}")
            workshop.build("my-tasks", name, share=share)
            paths = [workshop.folder / name, *(workshop.folder / name / "venv").rglob("*")]
            modes[name] = {
                stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths if not path.is_symlink()
            }
    finally:
        os.umask(before)
    assert modes == {"usual": {0o055, 0o044}, "private": {0}, "shared": {0o055, 0o044}}


def test_what_was_private_is_opened_when_others_need_it(
    workshop: Workshop, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    folder = workshop.folder / "my-tasks" / "env"
    before = os.umask(0o077)
    try:
        private = workshop.build("my-tasks", "my-tasks/env")
        wait_until((folder / "bytecode").exists)
        assert workshop.build("my-tasks", "my-tasks/env", share=True) == private
        # what the first one has compiled for itself is used here too
        workshop.build("my-tasks", "my-tasks/other", share=True)
    finally:
        os.umask(before)
    folders = (folder.parent, folder, folder.with_name("other"))
    paths = [*folders, *(path for each in folders[1:] for path in (each / "venv").rglob("*"))]
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths if not path.is_symlink()}
    assert modes == {0o055, 0o044}
    assert bytecode_of(private).is_file()
    written = (folder / "environment.json").stat().st_mtime_ns
    workshop.build("my-tasks", "my-tasks/env", share=True)
    assert (folder / "environment.json").stat().st_mtime_ns == written


def bytecode_of(environment: BuiltEnvironment) -> Path:
    return Path(cache_from_source(f"{environment.package_root}/do_it.py"))


def test_bytecode_appears_and_is_shared(workshop: Workshop, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    first = workshop.build("my-tasks", "first")
    wait_until((workshop.folder / "first" / "bytecode").exists)
    assert bytecode_of(first).is_file()
    second = workshop.build("my-tasks", "second")
    assert bytecode_of(second).samefile(bytecode_of(first))
    assert (workshop.folder / "second" / "bytecode").exists()
    source = Path(first.package_root, "do_it.py")
    assert Path(second.package_root, "do_it.py").samefile(source)


def test_bytecode_is_complete_at_once_for_others(workshop: Workshop, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    built = workshop.build("my-tasks", share=True)
    assert bytecode_of(built).is_file()
    assert (workshop.folder / "env" / "bytecode").exists()


def test_no_variable_leads_uv_to_another_cache(
    workshop: Workshop, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task_wheel(index.folder)
    elsewhere = workshop.folder.parent / "elsewhere"
    monkeypatch.setenv("UV_CACHE_DIR", str(elsewhere))
    workshop.build("my-tasks")
    assert not elsewhere.exists()
    assert (workshop.cache / "uv").is_dir()
    request = workshop.request("my-tasks", "without a cache of ours")
    VenvBuilder(workshop.host, uv=workshop.uv).build(request, log=str)
    assert not elsewhere.exists()


def test_works_without_caches_of_its_own(index: PackageIndex, uv: str, tmp_path: Path) -> None:
    make_task_wheel(index.folder)
    builder = VenvBuilder(LocalHost(), uv=uv)
    request = BuildRequest(
        parse_requirement("my-tasks"), sys.executable, VERSION, str(tmp_path / "env")
    )
    built = builder.build(request, log=str)
    wait_until((tmp_path / "env" / "bytecode").exists)
    assert bytecode_of(built).is_file()


# The same again, or something else in its place


def test_the_same_environment_is_built_once(workshop: Workshop, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    first = workshop.build("my-tasks==1.0")
    written = (workshop.folder / "env" / "environment.json").stat()
    assert workshop.build("my-tasks==1.0") == first
    assert (workshop.folder / "env" / "environment.json").stat().st_mtime_ns == written.st_mtime_ns
    assert workshop.log[-1] == "This environment is there already."


def test_another_environment_in_the_folder_is_left_alone(
    workshop: Workshop, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    built = workshop.build("my-tasks==1.0")
    with pytest.raises(AlreadyExists, match=r"another environment already \(my-tasks==1\.0"):
        workshop.build("my-tasks==1.0", pins_before={"helper": "1"})
    assert version_in(built, "my-tasks") == "1.0"


def test_a_folder_that_is_no_environment_is_left_alone(
    workshop: Workshop, index: PackageIndex
) -> None:
    (workshop.folder / "env").mkdir()
    (workshop.folder / "env" / "thesis.txt").write_text("precious")
    with pytest.raises(AlreadyExists, match="exists and is no environment"):
        workshop.build("my-tasks")
    assert (workshop.folder / "env" / "thesis.txt").read_text() == "precious"


# What goes wrong, and that nothing is left


def broken_packages(folder: Path) -> None:
    """Make packages, each with something wrong."""
    valid = json.dumps(manifest())
    make_wheel(folder, "no-manifest")
    make_wheel(folder, "half-json", manifest_text=valid[:-5])
    make_wheel(folder, "not-text", manifest_text=b"\xff\xfe{}")
    make_wheel(folder, "wrong-field", manifest_text=json.dumps(manifest({"name": ""})))
    make_wheel(folder, "wrong-version", manifest_text=json.dumps({"manifest_version": "1"}))
    make_wheel(folder, "no-script", manifest_text=valid, files={})
    make_wheel(folder, "has-extras", manifest_text=valid, metadata=["Provides-Extra: Plot_ting"])
    make_wheel(folder, "other-python", manifest_text=valid, metadata=["Requires-Python: >=3.99"])
    make_wheel(folder, "needs-ghost", manifest_text=valid, metadata=["Requires-Dist: ghost>1"])
    make_wheel(
        folder,
        "contradictory",
        manifest_text=valid,
        metadata=["Requires-Dist: setuptools<1", "Requires-Dist: setuptools>90"],
    )


FAILURES: list[tuple[str, type[FractalError], str]] = [
    ("no-manifest", ManifestMissing, r"no-manifest 1\.0 is no Fractal task package"),
    ("half-json", ManifestBroken, "half-json"),
    ("not-text", ManifestBroken, "not UTF-8"),
    ("wrong-field", ManifestBroken, "name"),
    ("wrong-version", ManifestBroken, "manifest_version"),
    ("no-script", ManifestBroken, r"scripts that the package does not have: do_it\.py"),
    ("other-python", UnsupportedPython, r"other-python.* needs Python .*>=3\.99"),
    ("needs-ghost", PackageNotFound, "no package ghost, which needs-ghost needs"),
    ("contradictory", ResolverConflict, "setuptools"),
    ("no-such-package", PackageNotFound, "no package no-such-package"),
    (
        "no-manifest==7.0",
        PackageNotFound,
        r"no version 7\.0 of no-manifest.* The newest that fits here is 1\.0\.",
    ),
    (
        "has-extras[plot-ting,more]",
        PackageNotFound,
        r"has-extras 1\.0 has no extra called more; it has Plot_ting\.",
    ),
    ("no-script[more]", PackageNotFound, r"has no extra called more; it has none\."),
]


# The others are found in the same way whoever installed the package, and pip takes its time.
WITH_PIP_TOO = {"other-python", "needs-ghost", "contradictory"}


@pytest.mark.parametrize(
    ("tool", "package", "error", "words"),
    [
        *(pytest.param("uv", *case, id=f"uv-{case[0]}") for case in FAILURES),
        *(
            pytest.param("pip", *case, id=f"pip-{case[0]}", marks=pytest.mark.long)
            for case in FAILURES
            if case[0] in WITH_PIP_TOO
        ),
    ],
)
def test_says_why_and_leaves_nothing(
    make_workshop: MakeWorkshop,
    index: PackageIndex,
    tool: str,
    package: str,
    error: type[FractalError],
    words: str,
) -> None:
    broken_packages(index.folder)
    workshop = make_workshop(tool)
    with pytest.raises(error, match=words):
        workshop.build(package)
    assert workshop.left == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"interpreter": "/nowhere/python"}, "There is no Python interpreter /nowhere/python"),
        ({"interpreter": "/bin/true"}, "does not work"),
        ({"python_version": "3.4"}, rf"as Python 3\.4, but that is Python {VERSION}"),
    ],
)
def test_an_interpreter_that_is_not_what_it_should_be(
    workshop: Workshop, fields: dict[str, str], words: str
) -> None:
    with pytest.raises(InterpreterError, match=words):
        workshop.build("my-tasks", **fields)
    assert workshop.left == []


def test_an_interpreter_that_cannot_make_environments(
    make_workshop: MakeWorkshop, index: PackageIndex, tmp_path: Path
) -> None:
    lacking = tmp_path / "python"
    lacking.write_text(
        f'#!/bin/sh\ncase "$*" in *venv*) echo "no ensurepip here"; exit 1;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    lacking.chmod(0o755)
    workshop = make_workshop("uv")
    workshop.uv = str(lacking)
    with pytest.raises(InterpreterError, match=r"(?s)ensurepip here.*switch uv on"):
        workshop.build("my-tasks")
    assert workshop.left == []


def test_an_installer_that_is_not_there(workshop: Workshop) -> None:
    workshop.uv = "/nowhere/uv"
    with pytest.raises(CollectionError, match="cannot be started: /nowhere/uv"):
        workshop.build("my-tasks")
    assert workshop.left == []


def test_a_wheel_that_is_not_there(workshop: Workshop) -> None:
    with pytest.raises(PackageNotFound, match="cannot be read: No such file"):
        workshop.build("/nowhere/x-1.0-py3-none-any.whl")


def test_a_damaged_wheel(workshop: Workshop, tmp_path: Path) -> None:
    wheel = tmp_path / "x-1.0-py3-none-any.whl"
    wheel.write_bytes(b"half a wheel")
    with pytest.raises(CollectionError, match="damaged"):
        workshop.build(str(wheel))
    assert workshop.left == []


def test_a_place_that_cannot_be_written_to(workshop: Workshop) -> None:
    with pytest.raises(CollectionError, match=r"cannot be built in /proc/.*Check that you may"):
        workshop.build("my-tasks", folder="/proc/tasks/env")


@BOTH
def test_an_index_that_does_not_answer(
    make_workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch, index: PackageIndex, tool: str
) -> None:
    nobody = "http://localhost:9/simple"
    for name, value in {
        "UV_INDEX_URL": nobody,
        "PIP_INDEX_URL": nobody,
        "UV_HTTP_RETRIES": "0",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    workshop = make_workshop(tool)
    # pip does not say so when it was told to try only once
    expected = "index"
    with pytest.raises(CollectionError, match=expected):
        workshop.build("my-tasks")
    assert workshop.left == []


# Secrets


def test_passwords_of_an_index_are_not_told(
    workshop: Workshop, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task_wheel(index.folder)
    for name, value in index.environ("user:pa55word@").items():
        monkeypatch.setenv(name, value)
    workshop.build("my-tasks")
    with pytest.raises(PackageNotFound) as caught:
        workshop.build("no-such-package", "other")
    assert "pa55word" not in "\n".join([*workshop.log, str(caught.value)])
    texts = [*(workshop.folder / "env").glob("*.*"), *workshop.folder.rglob("*.dist-info/*")]
    assert not [path for path in texts if b"pa55word" in path.read_bytes()]


def test_the_installer_sees_no_secret_of_the_notebook(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "must-not-leak")
    monkeypatch.setenv("PYTHONPATH", "/must-not-leak")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "77")
    spy = tmp_path / "uv"
    spy.write_text("#!/bin/sh\nenv\nexit 1\n")
    spy.chmod(0o755)
    workshop.uv = str(spy)
    with pytest.raises(CollectionError):
        workshop.build("my-tasks")
    assert "UV_HTTP_TIMEOUT=77" in workshop.log
    assert not [line for line in workshop.log if "must-not-leak" in line]


# Several at once, and ends in the middle


def in_thread(build: Callable[[], object]) -> Callable[[], object]:
    """Run a build in a thread; return what waits for its result, an error included."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(build())
        except FractalError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> object:
        thread.join(60)
        return results[0]

    return wait


def test_two_at_once_are_one(workshop: Workshop, index: PackageIndex) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    first = in_thread(lambda: workshop.build("my-tasks"))
    assert index.asked.wait(60)
    with pytest.raises(BuildInProgress, match=r"being built by process \d+"):
        workshop.builder.build(workshop.request("my-tasks"), log=str, wait=False)
    second = in_thread(lambda: workshop.build("my-tasks"))
    wait_until(lambda: any(line.startswith("Waiting for process") for line in workshop.log))
    index.gate.set()
    assert first() == second()
    assert isinstance(first(), BuiltEnvironment)
    assert len([line for line in workshop.log if line.startswith("Making")]) == 1


def test_who_waits_builds_when_the_first_one_fails(workshop: Workshop, index: PackageIndex) -> None:
    index.gate.clear()
    first = in_thread(lambda: workshop.build("my-tasks"))
    assert index.asked.wait(60)
    second = in_thread(lambda: workshop.build("my-tasks"))
    wait_until(lambda: any(line.startswith("Waiting for process") for line in workshop.log))
    index.gate.set()
    assert isinstance(first(), PackageNotFound)
    assert isinstance(second(), PackageNotFound)
    assert len([line for line in workshop.log if line.startswith("Making")]) == 2
    assert workshop.left == []


def owner(folder: Path) -> int:
    """Return the process that builds in a folder."""
    claim = json.loads((folder / ".claim-1" / "claim.json").read_text())
    return int(claim["pid"])


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def talkative(uv: object, index: PackageIndex) -> str:
    """Return a program that is uv, but does not stop talking once the index has been asked."""
    program = index.folder / "uv"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = venv ] && exec "{uv}" "$@"\n"{uv}" "$@" &\n'
        "while :; do echo working >&2; sleep 0.1; done\n"
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("where", ["log", "pulse"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_ends_everything_and_leaves_nothing(
    workshop: Workshop, index: PackageIndex, where: str, error: type[BaseException]
) -> None:
    index.gate.clear()
    group = 0

    def interrupt() -> None:
        nonlocal group
        if index.asked.is_set():
            group = owner(workshop.folder / "env")
            raise error

    request = workshop.request("my-tasks")
    if where == "pulse":
        with pytest.raises(error):
            workshop.builder.build(request, log=str, pulse=interrupt)
    else:
        workshop.uv = talkative(workshop.uv, index)
        with pytest.raises(error):
            workshop.builder.build(request, log=lambda line: interrupt())
    assert workshop.left == []
    assert members(group) == []


SCRIPT = """
import sys
from fractal_jupyter.environments.spec import BuildRequest, parse_requirement
from fractal_jupyter.environments.venv import VenvBuilder
from fractal_jupyter.hosts.local import LocalHost
uv, folder, version = sys.argv[1:]
request = BuildRequest(parse_requirement("my-tasks"), sys.executable, version, folder)
VenvBuilder(LocalHost(), uv=uv).build(request, log=print)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_who_asked_for_it_ends_everything(
    workshop: Workshop, index: PackageIndex, uv: str, number: signal.Signals
) -> None:
    index.gate.clear()
    folder = workshop.folder / "env"
    command = [sys.executable, "-c", SCRIPT, uv, str(folder), VERSION]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as asking:
        assert index.asked.wait(60)
        group = owner(folder)
        asking.send_signal(number)
    wait_until(lambda: workshop.left == [])
    wait_until(lambda: members(group) == [])


def test_a_build_that_was_killed_is_recognised_and_replaced(
    workshop: Workshop, index: PackageIndex
) -> None:
    make_task_wheel(index.folder)
    index.gate.clear()
    first = in_thread(lambda: workshop.build("my-tasks"))
    assert index.asked.wait(60)
    os.killpg(owner(workshop.folder / "env"), signal.SIGKILL)
    error = first()
    assert isinstance(error, CollectionError)
    assert "stopped from outside" in str(error)
    assert workshop.left == ["env"]
    index.gate.set()
    built = workshop.build("my-tasks")
    assert version_in(built, "my-tasks") == "1.0"
    assert any("did not get to its end" in line for line in workshop.log)
    assert not list((workshop.folder / "env").glob(".claim*"))


# What the program on the host may answer


def answering(outcome: FakeOutcome) -> VenvBuilder:
    return VenvBuilder(FakeHost(commands={"/python": lambda call: outcome}), uv=None)


REQUEST = BuildRequest(parse_requirement("my-tasks"), "/python", "3.12", "/tasks/env")


@pytest.mark.parametrize(
    ("outcome", "error", "words"),
    [
        (FakeOutcome(1, stderr=b"SyntaxError: old"), InterpreterError, "SyntaxError: old"),
        (FakeOutcome(-9), CollectionError, "stopped from outside"),
        (FakeOutcome(137), CollectionError, "stopped from outside"),
        (
            FakeOutcome(1, b'{"failed": {"reason": "venv", "output": "no"}}\n'),
            InterpreterError,
            "no",
        ),
        (
            FakeOutcome(1, b'{"failed": {"reason": "new", "output": "?"}}\n'),
            CollectionError,
            r"new: \?",
        ),
    ],
)
def test_answers_without_an_environment(
    outcome: FakeOutcome, error: type[FractalError], words: str
) -> None:
    with pytest.raises(error, match=words):
        answering(outcome).build(REQUEST, log=str)


def test_what_others_write_is_part_of_the_log() -> None:
    output = b'{"log": "one"}\nloader: two\n{"beat": 1}\n["three"]\n{"log": "http://u:pw@x"}\n'
    lines: list[str] = []
    with pytest.raises(InterpreterError):
        answering(FakeOutcome(1, output)).build(REQUEST, log=lines.append)
    assert lines == ["one", "loader: two", '["three"]', "http://u:****@x"]


def test_nobody_stops_what_is_built() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    listener = Listener(str, stop)
    with pytest.raises(KeyboardInterrupt):
        listener.hear(b'{"beat": 1}\n')
    listener.hear(b'{"built": {}}\n')
    assert listener.built == {}

"""Environments of pixi projects, built by a stand-in for pixi; see there."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from pwd import struct_passwd
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.environments.pixi import (
    PixiBuilder,
    PixiProject,
    PixiRequest,
    read_project,
    slimmed,
)
from fractal_jupyter.environments.venv import BuiltEnvironment
from fractal_jupyter.errors import (
    AlreadyExists,
    CollectionError,
    InterpreterError,
    ManifestMissing,
    NotFound,
    PackageNotFound,
)
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.hosts.sudo import SudoHost
from fractal_jupyter.models.python_config import PixiConfig, PixiSlurmConfig
from fractal_jupyter.schedulers import slurm_once, slurm_watch
from fractal_jupyter.schedulers.slurm_once import SlurmOnce, once_options
from tests.schedulers.test_slurm_once import Slurm
from tests.toy import wait_until
from tests.users import five_commands, sudoers

from .packages import make_task_wheel, make_wheel
from .test_venv import in_thread

STAND_IN = Path(__file__).with_name("pixi_stand_in.py")
MANIFEST = """\
[project]
name = "my-project"
version = "0.1"

[tool.pixi.workspace]  # a comment
channels = ["{channel}"]
platforms = [
    "linux-64",
    "osx-arm64",  # of the laptops
]

[tool.pixi.pypi-dependencies]
my-tasks = "==1.*"

[tool.pixi.environments]
default = []
dev = {{ features = ["dev"] }}

[tool.pixi.tasks]
x = "platforms = 3"
"""


def pack(path: Path, files: Mapping[str, str]) -> Path:
    """Write an archive: the same bytes for the same files."""
    with (
        gzip.GzipFile(path, "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


@dataclass
class Bench:
    """A machine with two versions of pixi, a channel, and a project.

    Attributes:
        folder: for environments and the rest.
        channel: the folder of wheels.
        config: the pixi settings of the resource.
        files: what is in the archive of the project.
        log: the lines of all builds.
        python: the interpreter that runs the build, and that pixi gives to environments.
    """

    folder: Path
    python: str = sys.executable
    files: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.channel = self.folder / "channel"
        self.channel.mkdir()
        (self.folder / "environments").mkdir()
        versions = {each: str(self.folder / "pixi" / each) for each in ("0.47.0", "0.50.1")}
        for home in versions.values():
            program = Path(home, "bin", "pixi")
            program.parent.mkdir(parents=True)
            text = STAND_IN.read_text(encoding="utf-8")
            program.write_text(f"#!{self.python}\n{text}", encoding="utf-8")
            program.chmod(0o755)
        self.config = PixiConfig(
            versions=versions, default_version="0.47.0", PIXI_CONCURRENT_SOLVES=3
        )
        self.files["project-0.1/pyproject.toml"] = MANIFEST.format(channel=self.channel.as_uri())

    @property
    def archive(self) -> Path:
        return pack(self.folder / "my-tasks-1.0.tar.gz", self.files)

    def request(self, name: str = "env", **more: Any) -> PixiRequest:
        return PixiRequest(
            **{
                "archive": self.archive,
                "folder": str(self.folder / "environments" / name),
                "interpreter": self.python,
                "config": self.config,
                "package": "my-tasks",
                **more,
            }
        )

    def build(self, name: str = "env", **more: Any) -> BuiltEnvironment:
        request = self.request(name, **more)
        return PixiBuilder(LocalHost()).build(request, log=self.log.append)

    def calls(self, version: str = "0.47.0") -> list[dict[str, Any]]:
        """How pixi was called."""
        noted = (self.folder / "pixi" / version / "calls").read_text().splitlines()
        return [json.loads(line) for line in noted]

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "environments").iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "the bench").mkdir()
    bench = Bench(tmp_path / "the bench")
    make_task_wheel(bench.channel)
    return bench


def run(built: BuiltEnvironment, *words: str) -> str:
    return subprocess.check_output([built.python, *words], text=True).strip()


# Building


def test_builds_what_the_project_asks_for(bench: Bench) -> None:
    make_task_wheel(bench.channel, version="1.5")
    make_task_wheel(bench.channel, version="2.0")
    built = bench.build()
    assert (built.package_name, built.version) == ("my-tasks", "1.5")
    assert run(built, f"{built.package_root}/do_it.py") == "done"
    # in the environment, with what its activation sets
    code = "import os, sys; print(sys.prefix == os.environ['CONDA_PREFIX'], os.environ['PATH'])"
    inside, path = run(built, "-c", code).split(" ", 1)
    assert inside == "True"
    assert path.startswith(str(bench.folder / "environments" / "env" / "project"))
    assert built.lock.pixi is not None
    assert "my_tasks-1.5" in built.lock.pixi
    assert {str(each) for each in built.lock.distributions} == {"my-tasks==1.5"}
    assert built.size_bytes > 0
    assert built.own_bytes > 0
    assert bench.left == ["env"]


def test_all_settings_are_used(bench: Bench) -> None:
    bench.config = bench.config.model_copy(
        update={
            "PIXI_CONCURRENT_DOWNLOADS": 7,
            "TOKIO_WORKER_THREADS": 5,
            "DEFAULT_ENVIRONMENT": "dev",
        }
    )
    bench.build(version="0.50.1", cache_dir="/cache of pixi")
    install, hook = bench.calls("0.50.1")
    assert install["verb"] == "install"
    assert (install["concurrent_solves"], install["concurrent_downloads"]) == (3, 7)
    assert install["environment"] == hook["environment"] == "dev"
    assert install["variables"] == {
        "PIXI_HOME": bench.config.versions["0.50.1"],
        "PIXI_CACHE_DIR": "/cache of pixi",
        "TOKIO_WORKER_THREADS": "5",
        "PIXI_NO_PROGRESS": "true",
    }
    assert not install["frozen"]
    # what was solved is not solved again
    assert (hook["verb"], hook["frozen"], hook["shell"]) == ("shell-hook", True, "bash")


def test_without_a_lock_file_one_environment_is_solved_for_one_platform(bench: Bench) -> None:
    bench.build()
    solved = tomllib.loads(bench.calls()[0]["manifest"])["tool"]["pixi"]
    assert solved["workspace"]["platforms"] == ["linux-64"]
    assert solved["environments"] == {"default": []}
    assert solved["tasks"] == {"x": "platforms = 3"}


def locked(bench: Bench) -> str:
    """The lock file of the project as of now."""
    lock = bench.build("for its lock").lock.pixi
    assert lock is not None
    return lock


def test_the_lock_file_of_the_archive_counts(bench: Bench) -> None:
    bench.files["project-0.1/pixi.lock"] = lock = locked(bench)
    make_task_wheel(bench.channel, version="1.5")
    built = bench.build()
    assert built.version == "1.0"
    assert built.lock.pixi == lock
    install = bench.calls()[-2]
    assert install["frozen"]
    assert install["manifest"] == bench.files["project-0.1/pyproject.toml"]
    anew = bench.build("anew", use_lock_file=False)
    assert anew.version == "1.5"
    assert not bench.calls()[-2]["frozen"]


def test_is_built_again_from_the_archive_exactly(bench: Bench) -> None:
    first = bench.build()
    make_task_wheel(bench.channel, version="1.5")
    again = bench.build("again", lock=first.lock)
    assert again.version == "1.0"
    assert again.lock == first.lock
    assert bench.calls()[-2]["frozen"]
    # the archive that was there may have gone from the channel, or be another one
    make_wheel(bench.channel, "my-tasks", "1.0", files={"do_it.py": "print('else')\n"})
    with pytest.raises(CollectionError, match="hash mismatch"):
        bench.build("different", lock=first.lock)
    assert bench.left == ["again", "env"]


def test_what_is_not_as_recorded_is_an_error(bench: Bench) -> None:
    first = bench.build()
    (distribution,) = first.lock.distributions
    other = replace(distribution, version="0.9")
    with pytest.raises(CollectionError, match=r"1\.0, and was 0\.9"):
        bench.build("again", lock=replace(first.lock, distributions=(other,)))
    assert bench.left == ["env"]


def test_is_built_once(bench: Bench) -> None:
    first = bench.build()
    calls = len(bench.calls())
    assert bench.build() == first
    assert len(bench.calls()) == calls
    assert bench.log[-1] == "This environment is there already."
    with pytest.raises(AlreadyExists, match="holds another environment"):
        bench.build(version="0.50.1")


def test_of_two_at_once_one_builds(bench: Bench) -> None:
    (bench.channel / "closed").touch()
    building = [in_thread(bench.build), in_thread(bench.build)]
    wait_until(lambda: any("Waiting for" in line for line in bench.log))
    (bench.channel / "closed").unlink()
    first, second = (each() for each in building)
    assert first == second
    assert len(bench.calls()) == 2


def test_an_interrupt_leaves_nothing(bench: Bench) -> None:
    (bench.channel / "closed").touch()

    def interrupt() -> None:
        if (bench.channel / "asked").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PixiBuilder(LocalHost()).build(bench.request(), log=str, pulse=interrupt)
    assert bench.left == []


def test_a_project_may_be_described_by_pixi_toml_at_the_top(bench: Bench) -> None:
    text = bench.files.pop("project-0.1/pyproject.toml").partition("[tool.pixi.workspace]")[2]
    text = "[workspace]" + text.replace("tool.pixi.", "")
    bench.files |= {"./pixi.toml": text, "./pyproject.toml": "[project]\nname = 'x'\n"}
    assert bench.build(package=None).version == "1.0"


def test_the_task_package_is_the_project_or_what_the_archive_is_called(bench: Bench) -> None:
    assert bench.build(package=None).package_name == "my-tasks"
    make_task_wheel(bench.channel, "my-project")
    manifest = "project-0.1/pyproject.toml"
    bench.files[manifest] = bench.files[manifest].replace(
        "my-tasks =", 'my-project = "==1.0"\nmy-tasks ='
    )
    assert bench.build("other", package=None).package_name == "my-project"


# In a job


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """SLURM's commands, which run jobs as processes."""
    slurm = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", slurm.path)
    monkeypatch.setattr(slurm_watch, "SHORTEST_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(slurm_once, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(slurm_once, "PULSE_SECONDS", 0.02)
    return slurm


def in_a_job(slurm: Slurm, bench: Bench) -> PixiBuilder:
    config = PixiSlurmConfig(partition="main", cpus=2, mem="1G", time="00:10:00")
    job = SlurmOnce(
        LocalHost(),
        username="ann",
        options=once_options(config),
        folder=str(slurm.folder / "jobs"),
        preamble=("export FROM_PREAMBLE=1",),
        poll_seconds=0.0,
        say=bench.log.append,
    )
    return PixiBuilder(LocalHost(), run=job.run)


def test_is_built_in_a_job(bench: Bench, slurm: Slurm) -> None:
    built = in_a_job(slurm, bench).build(bench.request(), log=bench.log.append)
    assert run(built, f"{built.package_root}/do_it.py") == "done"
    assert "#SBATCH --cpus-per-task=2\n" in slurm.script
    assert bench.log[0] == "Submitted as SLURM job 7"
    assert "Unpacking the project" in bench.log
    assert (bench.left, slurm.left) == (["env"], [])
    with pytest.raises(PackageNotFound, match="no package other-tasks"):
        in_a_job(slurm, bench).build(bench.request("other", package="other-tasks"), log=str)
    assert (bench.left, slurm.left) == (["env"], [])


def test_a_build_in_a_job_that_is_cancelled_leaves_nothing(bench: Bench, slurm: Slurm) -> None:
    (bench.channel / "closed").touch()

    def interrupt() -> None:
        if (bench.channel / "asked").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_a_job(slurm, bench).build(bench.request(), log=str, pulse=interrupt)
    assert (bench.left, slurm.left) == ([], [])


# Other users


def test_another_user_can_run_it(
    shared_folder: Path, second_user: struct_passwd, system_python: tuple[str, str]
) -> None:
    bench = Bench(shared_folder, system_python[0])
    make_task_wheel(bench.channel)
    before = os.umask(0o077)
    try:
        built = bench.build(share=True)
    finally:
        os.umask(before)
    # Not by sudo, of which other tests take away what it allows.
    command = ["runuser", "-u", second_user.pw_name, "--", built.python]
    script = f"{built.package_root}/do_it.py"
    done = subprocess.run([*command, script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "done\n"
    assert list(Path(built.package_root, "__pycache__").glob("do_it.*.pyc"))
    with sudoers(five_commands()):
        assert SudoHost(second_user.pw_name).read(script)


# What fails


def test_failures_are_told_and_leave_nothing(bench: Bench) -> None:
    with pytest.raises(NotFound, match=r"no pixi 0\.1; it has 0\.47\.0, 0\.50\.1"):
        bench.build(version="0.1")
    make_task_wheel(bench.channel).unlink()
    with pytest.raises(CollectionError, match=r"(?s)pixi could not build .*No candidates.*my-tas"):
        bench.build()
    make_task_wheel(bench.channel)
    with pytest.raises(PackageNotFound, match="no package other-tasks in that environment"):
        bench.build(package="other-tasks")
    with pytest.raises(InterpreterError, match=r"/no/python on this machine could not build"):
        bench.build(interpreter="/no/python")
    bench.files["project-0.1/pixi.lock"] = "version: 6\n- pypi: file:///gone.whl#sha256=0\n"
    with pytest.raises(CollectionError, match="pixi cannot reach a channel"):
        bench.build()
    del bench.files["project-0.1/pixi.lock"]
    make_wheel(bench.channel, "my-tasks", "1.1")
    with pytest.raises(ManifestMissing):
        bench.build()
    Path(bench.config.versions["0.47.0"], "bin", "pixi").unlink()
    with pytest.raises(CollectionError, match=r"bin/pixi cannot be run there: .*tasks_pixi_config"):
        bench.build()
    assert bench.left == []


# Archives


def test_reads_what_is_in_an_archive(bench: Bench, tmp_path: Path) -> None:
    project = read_project(bench.archive)
    assert project.manifest == "project-0.1/pyproject.toml"
    assert project.packages == ("my-project", "my-tasks")
    assert (project.version, project.has_lock) == ("0.1", False)
    top = pack(tmp_path / "tasks-2.0.tar.gz", {"pixi.toml": "[workspace]\n", "pixi.lock": ""})
    project = read_project(top)
    assert (project.packages, project.version, project.has_lock) == (("tasks",), "2.0", True)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "it is no pixi project"),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, "it is no pixi project"),
        ({"a/b/pixi.toml": ""}, "it is no pixi project"),
        ({"pixi.toml": "[x\n"}, r"pixi\.toml in x-1\.tar\.gz cannot be read"),
        ({"../pixi.toml": ""}, r"has '\.\./pixi\.toml' in it"),
        ({"/pixi.toml": ""}, r"has '/pixi\.toml' in it"),
        ({"a/../../pixi.toml": ""}, "which is no file or folder of a project"),
    ],
)
def test_refuses_other_archives(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(CollectionError, match=words):
        read_project(pack(tmp_path / "x-1.tar.gz", files))


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../etc"),
        (tarfile.LNKTYPE, "../x"),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_refuses_what_would_lead_out_of_the_folder(tmp_path: Path, kind: bytes, link: str) -> None:
    path = tmp_path / "x-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("a/link")
        member.type, member.linkname = kind, link
        archive.addfile(member)
    with pytest.raises(CollectionError, match="has 'a/link' in it"):
        read_project(path)


def test_refuses_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="not the name of a project's archive"):
        read_project(tmp_path / "x.zip")
    with pytest.raises(PackageNotFound, match="cannot be read: No such file"):
        read_project(tmp_path / "x-1.tar.gz")
    (tmp_path / "x-1.tar.gz").write_bytes(b"no archive")
    with pytest.raises(CollectionError, match=r"is damaged, or no \.tar\.gz"):
        read_project(tmp_path / "x-1.tar.gz")


# What pixi has to solve


def project_of(text: str) -> PixiProject:
    return PixiProject(Path("x-1.tar.gz"), "pixi.toml", text, False, ("x",), "1")


def test_a_project_that_cannot_be_slimmed_with_certainty_stays() -> None:
    """pixi refuses a target for a platform that the project is not made for."""
    with_target = '[workspace]\nplatforms = ["linux-64", "win-64"]\n[target.win-64.dependencies]\n'
    assert slimmed(project_of(with_target), environment="default", platform="linux-64") is None
    inline = 'workspace = { platforms = ["linux-64", "win-64"] }\n'
    assert slimmed(project_of(inline), environment="default", platform="linux-64") is None
    slim = '[workspace]\nplatforms = ["linux-64"]\n'
    assert slimmed(project_of(slim), environment="default", platform="linux-64") is None


def test_says_what_the_project_does_not_have() -> None:
    text = '[workspace]\nplatforms = ["osx-64"]\n[environments]\ndev = ["dev"]\n'
    with pytest.raises(CollectionError, match=r"no environment 'gpu' .*it has default, dev"):
        slimmed(project_of(text), environment="gpu", platform="osx-64")
    with pytest.raises(CollectionError, match="made for osx-64, and not for linux-64"):
        slimmed(project_of(text), environment="dev", platform="linux-64")


@given(
    st.lists(st.sampled_from(["linux-64", "osx-64", "win-64"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["default", "a", "b-c"]), unique=True),
    st.sampled_from(["\n", " # x\n", "\n\n"]),
    st.booleans(),
)
def test_slimming_takes_away_nothing_else(
    platforms: list[str], environments: list[str], end: str, after: bool
) -> None:
    platforms = sorted({*platforms, "linux-64"})
    lines = [
        "[workspace]",
        "platforms = [" + f",{end}".join(json.dumps(each) for each in platforms) + "]",
        'name = "x"',
        "[environments]",
        *(f'{name} = ["f"]' for name in environments),
        *(['[tasks]\na = """\n[environments]\na = 3\n"""'] if after else []),
        "",
    ]
    text = "\n".join(lines)
    before = tomllib.loads(text)
    slim = slimmed(project_of(text), environment="default", platform="linux-64")
    found = tomllib.loads(slim or text)
    assert found.get("tasks") == before.get("tasks")
    assert found["workspace"]["name"] == "x"
    if slim is not None:
        assert found["workspace"]["platforms"] == ["linux-64"]
        assert set(found["environments"]) <= {"default"}

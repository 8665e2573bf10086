"""What the tests of environments share: uv, an index of their own, and caches."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from pwd import struct_passwd
from typing import Any

import pytest

from fractal_jupyter.environments.spec import BuildRequest, PackageSpec, parse_requirement
from fractal_jupyter.environments.uv import CarriedUv, find_uv
from fractal_jupyter.environments.venv import BuiltEnvironment, VenvBuilder
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.hosts.ssh import SSHHost
from tests.slurm.fixtures import skip_for_machine
from tests.sshd import Sshd, why_no_sshd

from .packages import PackageIndex, make_wheel

VERSION = "{}.{}".format(*sys.version_info[:2])
_ELSEWHERE = ("UV_FIND_LINKS", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL")


@dataclass
class Workshop:
    """Builds environments in a folder, and keeps the log.

    Attributes:
        folder: the folder that environments are built in, and nothing else.
        uv: path of uv, or one that is brought along; None: pip builds.
        cache: the folder of caches.
        log: the lines of all builds.
        host: where it builds.
        interpreter: with which interpreter, by default.
        version: the version of that.
    """

    folder: Path
    uv: str | CarriedUv | None
    cache: Path
    log: list[str] = field(default_factory=list)
    host: Host = field(default_factory=LocalHost)
    interpreter: str = sys.executable
    version: str = VERSION

    @property
    def builder(self) -> VenvBuilder:
        return VenvBuilder(
            self.host, uv=self.uv, cache_dir=str(self.cache), pip_cache_dir=f"{self.cache}/pip"
        )

    def request(self, package: PackageSpec | str, name: str = "env", **more: Any) -> BuildRequest:
        """Return a request for a package, to be built in `folder / name`."""
        spec = parse_requirement(package) if isinstance(package, str) else package
        folder = str(self.folder / name)
        request = BuildRequest(spec, self.interpreter, self.version, folder)
        return replace(request, **more)

    def build(self, package: PackageSpec | str, name: str = "env", **more: Any) -> BuiltEnvironment:
        """Build an environment in `folder / name`."""
        return self.builder.build(self.request(package, name, **more), log=self.log.append)

    @property
    def left(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture(scope="session")
def uv() -> str:
    path = find_uv()
    assert path, "uv is a dependency of the package"
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """Return an index with nothing but a setuptools; uv and pip use no other."""
    make_wheel(tmp_path / "index", "setuptools", "99.0")
    for name in _ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    with PackageIndex(tmp_path / "index") as served:
        for name, value in served.environ().items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def make_workshop(tmp_path: Path, uv: str) -> Callable[[str], Workshop]:
    """Return what makes a workshop that uses "uv" or "pip", or "uv again"."""

    def make(tool: str) -> Workshop:
        folder = tmp_path / f"environments of {tool}"
        folder.mkdir()
        return Workshop(folder, uv if tool.startswith("uv") else None, tmp_path / "cache")

    return make


@pytest.fixture
def workshop(make_workshop: Callable[[str], Workshop], index: PackageIndex) -> Workshop:
    """Return a workshop with uv and the index of the tests."""
    return make_workshop("uv")


@pytest.fixture(scope="session")
def system_python() -> tuple[str, str]:
    """Return path and version of an interpreter that all users can run."""
    python = Path("/usr/bin/python3").resolve()
    if not python.exists():
        skip_for_machine("environments of a second user", f"no {python}")
    return str(python), python.name.removeprefix("python")


@pytest.fixture
def login(index: PackageIndex, second_user: struct_passwd, shared_folder: Path) -> Iterator[Sshd]:
    """Return a server that lets the second user in, where uv and pip use the tests' index."""
    if why := why_no_sshd():
        skip_for_machine("SSH", why)
    folder = shared_folder / "sshd"
    folder.mkdir()
    variables = " ".join(f'"{name}={value}"' for name, value in index.environ().items())
    user = second_user.pw_name
    with Sshd(folder, user=user, alias="login", options={"SetEnv": variables}) as server:
        yield server


@pytest.fixture
def remote_host(login: Sshd) -> Iterator[SSHHost]:
    """Return the other side of an SSH connection, as the second user."""
    host = SSHHost(login.alias, config_files=[login.config])
    yield host
    host.close()


@pytest.fixture
def remote_workshop(
    remote_host: SSHHost, user_folder: Path, uv: str, system_python: tuple[str, str]
) -> Workshop:
    """Return a workshop on that side, which has no uv yet."""
    python, version = system_python
    return Workshop(
        user_folder / "tasks",
        CarriedUv(uv, f"{user_folder}/uv"),
        user_folder / "cache",
        host=remote_host,
        interpreter=python,
        version=version,
    )


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache that all tests with packages from PyPI share, side by side too."""
    base = tmp_path_factory.getbasetemp()
    # The workers of one run have a folder each, side by side.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder

"""What the tests of environments share: uv, an index of their own, and caches."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.environments.spec import BuildRequest, PackageSpec, parse_requirement
from fractal_jupyter.environments.uv import find_uv
from fractal_jupyter.environments.venv import BuiltEnvironment, VenvBuilder
from fractal_jupyter.hosts.local import LocalHost

from .packages import PackageIndex, make_wheel

VERSION = "{}.{}".format(*sys.version_info[:2])
_ELSEWHERE = ("UV_FIND_LINKS", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL")


@dataclass
class Workshop:
    """Builds environments in a folder, and keeps the log.

    Attributes:
        folder: the folder that environments are built in, and nothing else.
        uv: path of uv; None: pip builds.
        cache: the folder of caches.
        log: the lines of all builds.
    """

    folder: Path
    uv: str | None
    cache: Path
    log: list[str] = field(default_factory=list)

    @property
    def builder(self) -> VenvBuilder:
        return VenvBuilder(
            LocalHost(), uv=self.uv, cache_dir=str(self.cache), pip_cache_dir=f"{self.cache}/pip"
        )

    def request(self, package: PackageSpec | str, name: str = "env", **more: Any) -> BuildRequest:
        """Return a request for a package, to be built in `folder / name`."""
        spec = parse_requirement(package) if isinstance(package, str) else package
        request = BuildRequest(spec, sys.executable, VERSION, str(self.folder / name))
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
    """Return what makes a workshop that uses "uv" or "pip"."""

    def make(tool: str) -> Workshop:
        folder = tmp_path / f"environments of {tool}"
        folder.mkdir()
        return Workshop(folder, uv if tool == "uv" else None, tmp_path / "cache")

    return make


@pytest.fixture
def workshop(make_workshop: Callable[[str], Workshop], index: PackageIndex) -> Workshop:
    """Return a workshop with uv and the index of the tests."""
    return make_workshop("uv")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache that all tests with packages from PyPI share, side by side too."""
    base = tmp_path_factory.getbasetemp()
    # The workers of one run have a folder each, side by side.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest

from fractal_jupyter.environments.inspect import InspectedPackage, inspect_package
from fractal_jupyter.environments.lock import Distribution
from fractal_jupyter.errors import (
    FractalError,
    InterpreterError,
    ManifestBroken,
    ManifestMissing,
    PackageNotFound,
)
from fractal_jupyter.hosts.local import LocalHost

from .packages import MANIFEST, manifest


@pytest.fixture
def python(tmp_path: Path) -> str:
    """Return the interpreter of an empty environment."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    home = Path(sys.executable).resolve().parent
    (venv / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    (venv / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    site_packages(tmp_path).mkdir(parents=True)
    return str(venv / "bin" / "python")


def site_packages(folder: Path) -> Path:
    version = "python{}.{}".format(*sys.version_info[:2])
    return folder / "venv" / "lib" / version / "site-packages"


def install(folder: Path, files: dict[str, str], *, record: list[str], name: str = "x") -> None:
    """Put a distribution into the environment by hand."""
    site = site_packages(folder)
    info = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"}
    info["RECORD"] = "".join(f"{path},,\n" for path in record)
    described = {f"{name}-1.5.dist-info/{each}": text for each, text in info.items()}
    for path, text in {**files, **described}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)


def inspect(python: str, package: str = "x") -> InspectedPackage:
    return inspect_package(LocalHost(), python=python, package=package)


def test_finds_the_manifest_among_the_files(tmp_path: Path, python: str) -> None:
    text = json.dumps(manifest())
    files = {f"lib/{MANIFEST}": text, "lib/do_it.py": "", f"lib/vendored/{MANIFEST}": "{}"}
    install(tmp_path, files, record=list(files), name="My_Tasks")
    found = inspect(python, "my.tasks")
    assert found == InspectedPackage(
        python=python,
        name="My_Tasks",
        version="1.5",
        root=str(site_packages(tmp_path) / "lib"),
        manifest_text=text,
        lock=found.lock,
    )
    assert found.lock.python == platform.python_version()
    assert found.lock.platform.startswith(f"{sys.platform}-{platform.machine()}")
    (distribution,) = found.lock.distributions
    assert distribution == Distribution("My_Tasks", "1.5", content=distribution.content)
    assert distribution.content


def test_finds_the_manifest_of_an_editable_package(tmp_path: Path, python: str) -> None:
    source = tmp_path / "source" / "my_lib"
    source.mkdir(parents=True)
    (source / MANIFEST).write_text(json.dumps(manifest()))
    (source / "do_it.py").touch()
    direct = {"url": (tmp_path / "source").as_uri(), "dir_info": {"editable": True}}
    files = {
        "__editable__.pth": f"{source.parent}\n",
        "x-1.5.dist-info/top_level.txt": "my_lib\n",
        "x-1.5.dist-info/direct_url.json": json.dumps(direct),
    }
    install(tmp_path, files, record=["__editable__.pth"])
    found = inspect(python)
    assert found.root == str(source)
    assert found.lock.distributions == (
        Distribution("x", "1.5", url=str(direct["url"]), editable=True),
    )


@pytest.mark.parametrize(
    ("direct", "url", "hashes"),
    [
        (
            {"url": "https://x/y.git", "vcs_info": {"vcs": "git", "commit_id": "0123"}},
            "git+https://x/y.git@0123",
            (),
        ),
        (
            {"url": "https://x/y.zip", "subdirectory": "z", "archive_info": {"hash": "sha256=ab"}},
            "https://x/y.zip#subdirectory=z",
            ("sha256:ab",),
        ),
        ({"url": None}, None, ()),
        ([], None, ()),
    ],
)
def test_tells_where_a_package_comes_from(
    tmp_path: Path, python: str, direct: object, url: str | None, hashes: tuple[str, ...]
) -> None:
    files = {f"x/{MANIFEST}": json.dumps(manifest()), "x/do_it.py": ""}
    described = {**files, "x-1.5.dist-info/direct_url.json": json.dumps(direct)}
    install(tmp_path, described, record=list(files))
    (distribution,) = inspect(python).lock.distributions
    assert (distribution.url, distribution.hashes) == (url, hashes)


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({}, ManifestMissing, r"x 1\.5 is no Fractal task package"),
        ({f"x/{MANIFEST}": "{"}, ManifestBroken, r"x 1\.5"),
        ({f"x/{MANIFEST}": "[]"}, ManifestBroken, r"x 1\.5"),
        ({f"x/{MANIFEST}": '{"task_list": 3}'}, ManifestBroken, "task_list"),
        ({f"x/{MANIFEST}": json.dumps(manifest())}, ManifestBroken, r"scripts .* do_it\.py"),
    ],
)
def test_says_what_is_wrong(
    tmp_path: Path, python: str, files: dict[str, str], error: type[FractalError], words: str
) -> None:
    install(tmp_path, files, record=list(files))
    with pytest.raises(error, match=words):
        inspect(python)


def test_a_package_that_is_not_installed(python: str) -> None:
    with pytest.raises(PackageNotFound, match="no package x in that environment"):
        inspect(python)


@pytest.mark.parametrize("interpreter", ["/nowhere/python", "/bin/true"])
def test_an_interpreter_that_does_not_work(interpreter: str) -> None:
    with pytest.raises(InterpreterError, match=f"{interpreter} on this machine cannot be used"):
        inspect(interpreter)


def test_a_program_that_is_no_python_is_not_quoted() -> None:
    with pytest.raises(InterpreterError, match=r"cannot be used: /bin/ls is no Python\.$"):
        inspect("/bin/ls")

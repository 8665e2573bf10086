import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.defaults import SUPPORTED_PYTHONS, find_pythons
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource

CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER, ANOTHER = [version for version in SUPPORTED_PYTHONS if version != CURRENT][:2]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any interpreter but our own; its search path is `bin`."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def install(path: Path, content: bytes = b"\x7fELF") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return str(path)


def test_our_own_interpreter_comes_first_and_is_not_that_of_an_environment(machine: Path) -> None:
    install(machine / "bin" / f"python{OTHER}")
    pythons = find_pythons()
    assert list(pythons) == [CURRENT, OTHER]
    assert Path(pythons[CURRENT]).resolve() == Path(sys.executable).resolve()
    assert not (Path(pythons[CURRENT]).parents[1] / "pyvenv.cfg").exists()


def test_scripts_that_may_start_an_interpreter_are_passed_over(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(machine / "bin" / f"python{OTHER}", b"#!/bin/sh\nexit 127\n")
    install(machine / "bin" / f"python{ANOTHER}", b"#!/bin/sh\nexit 127\n")
    second = install(machine / "second" / f"python{OTHER}")
    monkeypatch.setenv("PATH", f"{machine}/bin:second:{machine}/second")
    assert find_pythons() == {CURRENT: find_pythons()[CURRENT], OTHER: second}


def test_interpreters_of_pyenv_are_found(machine: Path) -> None:
    install(machine / "pyenv" / "shims" / f"python{OTHER}", b"#!/bin/sh\n")
    newest = install(machine / "pyenv" / "versions" / f"{OTHER}.9" / "bin" / f"python{OTHER}")
    install(machine / "pyenv" / "versions" / f"{OTHER}.1" / "bin" / f"python{OTHER}")
    assert find_pythons()[OTHER] == newest


def test_the_first_resource_and_profile_are_as_documents_must_be(fractal: Fractal) -> None:
    for resource in fractal._store.resources.all():
        assert parse_resource(resource.document).to_document() == resource.document
    for profile in fractal._store.profiles.all():
        assert parse_profile(profile.document).to_document() == profile.document


def test_the_first_line_of_a_notebook_imports_only_what_it_needs(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from fractal_jupyter import Fractal\n"
        f"Fractal('sqlite:///{tmp_path}/fractal.db')\n"
        "slow = {'pydantic', 'jsonschema', 'alembic', 'IPython'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from fractal_jupyter.environments.on_host import bytecode


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """Return an environment of a few files."""
    package = tmp_path / "tests" / "env" / "lib" / "package"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text("VALUE = 1\n")
    (package / "python2.py").write_text("print 'hello'\n")
    (package / "null.py").write_bytes(b"x = '\0'\n")
    (package / "tests" / "test_main.py").write_text("def test(): pass\n")
    (package / "data.bin").write_bytes(b"0" * 1000)
    (package / "link.py").symlink_to("main.py")
    return tmp_path / "tests" / "env"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "cache" / "bytecode")


def fill(env: Path, store: str | None) -> list[bytecode.Source]:
    """Give an environment its bytecode; return what had to be compiled."""
    sources = bytecode.survey(str(env)).sources
    missing = bytecode.link(sources, store)
    bytecode.compile_all(missing, store, alive=env)
    return missing


def compiled(env: Path, name: str = "main.py") -> Path:
    return Path(cache_from_source(str(env / "lib" / "package" / name)))


def copy_of(env: Path, name: str, *, share_sources: bool = True) -> Path:
    """Return another environment with the same sources, as an installer would make it."""
    other = env.parent / name
    copy = os.link if share_sources else shutil.copyfile
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(env, other, copy_function=copy, ignore=ignore, symlinks=True)
    return other


def run(env: Path) -> str:
    """Return the value in main.py, and whether it came from bytecode."""
    path = str(env / "lib")
    code = f"import sys; sys.path.insert(0, {path!r}); import package.main as m; print(m.VALUE)"
    command = [sys.executable, "-v", "-B", "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    from_bytecode = f"{compiled(env)} matches {env / 'lib' / 'package' / 'main.py'}" in done.stderr
    return f"{done.stdout.strip()} {'compiled' if from_bytecode else 'source'}"


def test_surveys_sources_and_sizes(env: Path, tmp_path: Path) -> None:
    os.link(env / "lib" / "package" / "data.bin", tmp_path / "shared")
    sources, size, own = bytecode.survey(str(env))
    names = [source.path.rpartition("package/")[2] for source in sources]
    assert names == ["__init__.py", "main.py", "null.py", "python2.py"]
    files = [path for path in env.rglob("*") if path.is_file() and not path.is_symlink()]
    assert size == sum(path.stat().st_size for path in files) > 1000
    # What is its own: all but the shared file, and a folder more for the bytecode.
    own_files = [path for path in files if path.name != "data.bin"]
    folders = [path for path in env.rglob("*") if path.is_dir()]
    paths = [*own_files, *folders, env / "lib" / "package"]
    assert own == sum(path.stat().st_blocks * 512 for path in paths)


@pytest.mark.parametrize("kept", [True, False])
def test_compiles_what_can_be_compiled(env: Path, store: str, kept: bool) -> None:
    fill(env, store if kept else None)
    assert compiled(env).is_file()
    assert not compiled(env, "tests/test_main.py").exists()
    assert not compiled(env, "python2.py").exists()
    assert run(env) == "1 compiled"


def test_the_second_environment_shares_the_bytecode_of_the_first(env: Path, store: str) -> None:
    fill(env, store)
    other = copy_of(env, "other")
    missing = fill(other, store)
    assert {Path(source.path).name for source in missing} == {"python2.py", "null.py"}
    assert compiled(other).samefile(compiled(env))
    assert run(other) == "1 compiled"


def test_sources_of_another_time_share_the_work_at_least(env: Path, store: str) -> None:
    fill(env, store)
    other = copy_of(env, "other", share_sources=False)
    os.utime(other / "lib" / "package" / "main.py", (10**9, 10**9))
    fill(other, store)
    assert run(env) == run(other) == "1 compiled"
    assert not compiled(other).samefile(compiled(env))
    third = copy_of(other, "third")
    fill(third, store)
    assert compiled(third).samefile(compiled(other))
    fourth = copy_of(env, "fourth")
    fill(fourth, store)
    assert compiled(fourth).samefile(compiled(env))


def test_an_edited_file_is_never_run_in_its_old_form(env: Path, store: str) -> None:
    fill(env, store)
    other = copy_of(env, "other", share_sources=False)
    fill(other, store)
    edited = other / "lib" / "package" / "main.py"
    edited.write_text("VALUE = 2\n")
    os.utime(edited, (10**9, 10**9))
    assert run(other) == "2 source"
    assert run(env) == "1 compiled"


def test_bytecode_that_is_there_stays(env: Path, store: str) -> None:
    fill(env, None)
    before = compiled(env).stat().st_ino
    fill(env, store)
    assert compiled(env).stat().st_ino == before


def test_without_hard_links_there_are_copies(
    env: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not here")

    fill(env, store)
    other = copy_of(env, "other")
    monkeypatch.setattr(os, "link", refuse)
    fill(other, store)
    assert run(other) == "1 compiled"


def test_stops_when_the_environment_has_gone(env: Path, store: str) -> None:
    sources = bytecode.survey(str(env)).sources
    bytecode.compile_all(sources, store, alive=env / "environment.json")
    assert not compiled(env).exists()
    assert not Path(store).exists()


def test_lets_everybody_read(env: Path) -> None:
    program = env / "lib" / "package" / "program"
    program.touch()
    program.chmod(0o700)
    for path in (env / "lib", env / "lib" / "package"):
        path.chmod(0o700)
    (env / "lib" / "package" / "main.py").chmod(0o600)
    bytecode.let_all_read(str(env))
    modes = {
        name: stat.S_IMODE((env / "lib" / "package" / name).stat().st_mode)
        for name in (".", "program", "main.py")
    }
    assert modes == {".": 0o755, "program": 0o755, "main.py": 0o644}

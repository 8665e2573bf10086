"""Source folders: what they say of themselves, what counts in them, and copies elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path
from pwd import struct_passwd
from typing import Any

import pytest

from fractal_jupyter.environments import source as source_module
from fractal_jupyter.environments.source import (
    MARK,
    RECORD,
    SourceFolder,
    check_readable,
    checkout_of,
    copy_place,
    read_source,
    sync,
    take_snapshot,
)
from fractal_jupyter.errors import CollectionError, PackageNotFound
from fractal_jupyter.hosts.base import Host
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.hosts.ssh import SSHHost
from fractal_jupyter.hosts.sudo import SudoHost
from tests.users import five_commands, sudoers

PROJECT = '[project]\nname = "my-tasks"\nversion = "1.0"\ndependencies = ["numpy"]\n'


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A source folder with what people have in theirs."""
    folder = tmp_path / "my tasks"
    counts = {
        "pyproject.toml": PROJECT,
        "src/my_tasks/__init__.py": "",
        "src/my_tasks/do_it.py": "print('done')\n",
        "src/my_tasks/_version.py": "version = '1.0'\n",
        "src/my_tasks/build/cells.py": "",
        ".gitignore": "_version.py\n",
    }
    does_not = [
        *(".git/HEAD", "src/my_tasks/__pycache__/do_it.cpython-311.pyc", "old.pyc"),
        *(".venv/pyvenv.cfg", "my-env/pyvenv.cfg", "my-env/lib/x.py", "conda/conda-meta/history"),
        *("src/my_tasks.egg-info/PKG-INFO", "build/lib/x.py", "dist/x.whl", ".pixi/envs/x"),
        *("tests/data/plate.zarr/0/0/0", "notebooks/.ipynb_checkpoints/x.ipynb", ".mypy_cache/x"),
    ]
    write(folder, {**counts, **dict.fromkeys(does_not, "")})
    return folder


COUNTS = [
    *(".gitignore", "pyproject.toml", "src/my_tasks/__init__.py", "src/my_tasks/_version.py"),
    *("src/my_tasks/build/cells.py", "src/my_tasks/do_it.py"),
]


def settle(folder: Path) -> None:
    """Let nothing look as if it had been changed just now."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 60, time.time() - 60))


# What it says of itself


def test_reads_name_and_version(project: Path) -> None:
    source = read_source(project)
    assert (source.path, source.name, source.version) == (str(project), "my-tasks", "1.0")
    write(project, {"pyproject.toml": '[project]\nname = "x"\ndynamic = ["version"]\n'})
    assert read_source(project).version is None


def test_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PackageNotFound, match=r"There is no folder /no/such. Give the folder"):
        read_source("/no/such")
    with pytest.raises(CollectionError, match=r"has no pyproject\.toml, so it is no package"):
        read_source(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(CollectionError, match=r"pyproject\.toml cannot be read: .*line 1"):
        read_source(tmp_path)
    for text in ("", "project = 3\n", "[project]\nname = 3\n"):
        (tmp_path / "pyproject.toml").write_text(text)
        with pytest.raises(CollectionError, match="does not say what the package is called"):
            read_source(tmp_path)


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        (lambda text: text.replace("numpy", "numpy>=2"), True),
        (lambda text: text + 'requires-python = ">=3.12"\n', True),
        (lambda text: text + '[build-system]\nrequires = ["hatchling"]\n', True),
        (lambda text: text + "[project.optional-dependencies]\nx = ['y']\n", True),
        (lambda text: text.replace("1.0", "1.1"), False),
        (lambda text: text + "description = 'Better'\n[tool.ruff]\nline-length = 80\n", False),
    ],
)
def test_tells_whether_an_environment_still_fits(
    project: Path, change: Callable[[str], str], is_another: bool
) -> None:
    before = read_source(project).dependencies_digest
    write(project, {"pyproject.toml": change(PROJECT)})
    assert (read_source(project).dependencies_digest != before) is is_another


def test_dependencies_may_be_in_other_files(project: Path) -> None:
    write(
        project,
        {
            "pyproject.toml": '[project]\nname = "x"\ndynamic = ["dependencies"]\n',
            "requirements.txt": "numpy\n",
        },
    )
    before = read_source(project).dependencies_digest
    write(project, {"requirements.txt": "numpy>=2\n"})
    assert read_source(project).dependencies_digest != before


# What is in it


def test_what_tools_make_does_not_count(project: Path) -> None:
    assert sorted(take_snapshot(str(project)).files) == COUNTS


def test_the_digest_is_that_of_the_content(project: Path, tmp_path: Path) -> None:
    before = take_snapshot(str(project)).digest
    shutil.copytree(project, tmp_path / "copy")
    assert take_snapshot(str(tmp_path / "copy")).digest == before
    (project / "src/my_tasks/do_it.py").write_text("print('DONE')\n")
    assert take_snapshot(str(project)).digest != before
    (project / "src/my_tasks/do_it.py").write_text("print('done')\n")
    assert take_snapshot(str(project)).digest == before
    (project / "src/my_tasks/do_it.py").rename(project / "src/my_tasks/do_that.py")
    assert take_snapshot(str(project)).digest != before


def test_a_change_at_once_that_keeps_the_size_is_seen(project: Path) -> None:
    """Even where a file gets no other time: it was too young to be believed."""
    path = project / "src/my_tasks/do_it.py"
    now = time.time()
    digests = set()
    for text in ("print('done')\n", "print('gone')\n", "print('tone')\n"):
        path.write_text(text)
        os.utime(path, (now, now))
        digests.add(take_snapshot(str(project)).digest)
    assert len(digests) == 3


def test_only_what_changed_is_read_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(project)
    take_snapshot(str(project))
    read: list[str] = []
    hashed = hashlib.file_digest

    def counted(file: BufferedReader, name: str) -> Any:
        read.append(file.name)
        return hashed(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    take_snapshot(str(project))
    assert read == []
    (project / "src/my_tasks/do_it.py").write_text("print('more')\n")
    take_snapshot(str(project))
    assert read == [f"{project}/src/my_tasks/do_it.py"]


def test_links_to_files_count_as_these(project: Path) -> None:
    (project / "src/my_tasks/link.py").symlink_to(project / "src/my_tasks/do_it.py")
    (project / "src/my_tasks/nowhere.py").symlink_to("nowhere")
    (project / "src/my_tasks/folder").symlink_to(project)
    files = take_snapshot(str(project)).files
    assert sorted(files) == sorted([*COUNTS, "src/my_tasks/link.py"])
    assert files["src/my_tasks/link.py"] == files["src/my_tasks/do_it.py"]


def test_the_folder_may_go(project: Path) -> None:
    shutil.rmtree(project)
    with pytest.raises(CollectionError, match=r"cannot be read: No such file or directory"):
        take_snapshot(str(project))


def test_files_that_are_as_they_were_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        path = tmp_path / f"src/package_{number // 10}/module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"value = {number}\n")
    settle(tmp_path)
    first = take_snapshot(str(tmp_path))
    monkeypatch.delattr(hashlib, "file_digest")
    again = take_snapshot(str(tmp_path))
    assert (len(again.files), again.digest) == (100, first.digest)


# Its commit


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_tells_the_commit_and_whether_it_is_clean(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / ".git")
    assert checkout_of(str(project)) is None
    git(project, "init", "-q")
    assert checkout_of(str(project)) is None
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "first")
    # as in a hook of another repository
    monkeypatch.setenv("GIT_DIR", "/no/such")
    checkout = checkout_of(str(project))
    monkeypatch.delenv("GIT_DIR")
    assert checkout is not None
    assert checkout.commit == git(project, "rev-parse", "HEAD")
    assert not checkout.dirty
    write(project, {"new.py": ""})
    dirty = checkout_of(str(project))
    assert dirty is not None
    assert dirty.dirty
    assert dirty.commit == checkout.commit
    # what is beside the folder does not make it dirty
    inner = checkout_of(str(project / "src"))
    assert inner is not None
    assert not inner.dirty


# Other machines


def copied(target: Path) -> list[str]:
    paths = (path for path in target.rglob("*") if path.is_file())
    paths = (path for path in paths if path.name not in (MARK, RECORD))
    return sorted(str(path.relative_to(target)) for path in paths)


def test_a_copy_has_what_counts(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "copy"
    (project / "src/my_tasks/do_it.py").chmod(0o755)
    snapshot = sync(read_source(project), LocalHost(), str(target))
    assert copied(target) == COUNTS
    assert snapshot.digest == take_snapshot(str(project)).digest
    assert take_snapshot(str(target)).digest == snapshot.digest
    modes = {path: (target / path).stat().st_mode & 0o777 for path in COUNTS}
    assert modes.pop("src/my_tasks/do_it.py") == 0o700
    assert set(modes.values()) == {0o600}


def test_a_copy_is_kept_in_step(project: Path, tmp_path: Path) -> None:
    target, host = tmp_path / "copy", LocalHost()
    source = read_source(project)
    write(project, {"src/old/deep/x.py": "", "src/either/x.py": "", "src/or": ""})
    sync(source, host, str(target))
    write(target, {"src/my_tasks/made_there.so": "", "src/old/deep/__pycache__/x.pyc": ""})
    untouched = (target / "pyproject.toml").stat().st_mtime_ns
    shutil.rmtree(project / "src/old")
    shutil.rmtree(project / "src/either")
    (project / "src/or").unlink()
    write(
        project,
        {
            "src/my_tasks/do_it.py": "print('more')\n",
            "src/new/__init__.py": "",
            "src/either": "a file now",
            "src/or/x.py": "in a folder now",
        },
    )
    (project / "src/my_tasks/_version.py").unlink()
    sync(source, host, str(target))
    expected = sorted(take_snapshot(str(project)).files)
    assert copied(target) == sorted([*expected, "src/my_tasks/made_there.so"])
    assert (target / "src/my_tasks/do_it.py").read_text() == "print('more')\n"
    assert not (target / "src/old").exists()
    assert (target / "pyproject.toml").stat().st_mtime_ns == untouched


def test_what_was_cut_off_is_done_the_next_time(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    source = read_source(project)
    sync(source, LocalHost(), str(target))
    write(
        project,
        {
            "src/my_tasks/new.py": "new",
            "src/my_tasks/do_it.py": "changed",
            "src/fresh/x.py": "in a new folder",
        },
    )

    class Cut(LocalHost):
        """Writes what is first written, and then no more."""

        def __init__(self) -> None:
            super().__init__()
            self.wrote = False

        def write_many(self, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:
            if self.wrote:
                raise KeyboardInterrupt
            self.wrote = True
            super().write_many(files, mode=mode)

    with pytest.raises(KeyboardInterrupt):
        sync(source, Cut(), str(target))
    sync(source, LocalHost(), str(target))
    assert take_snapshot(str(target)).digest == take_snapshot(str(project)).digest
    # and what is taken back after it was cut off
    (project / "src/my_tasks/do_it.py").unlink()
    write(project, {"src/my_tasks/new.py": "newer"})
    with pytest.raises(KeyboardInterrupt):
        sync(source, Cut(), str(target))
    write(project, {"src/my_tasks/do_it.py": "changed", "src/my_tasks/new.py": "new"})
    sync(source, LocalHost(), str(target))
    assert take_snapshot(str(target)).digest == take_snapshot(str(project)).digest


def test_what_a_copy_says_of_itself_leads_nowhere_else(project: Path, tmp_path: Path) -> None:
    target, precious = tmp_path / "copy", tmp_path / "precious"
    precious.write_text("x")
    named = f'{{"../precious": "x", "{precious}": "x", "a/../../precious": "x"}}'
    write(target, {RECORD: named, MARK: '{"changing": ["../precious"]}'})
    sync(read_source(project), LocalHost(), str(target))
    assert precious.exists()
    (target / RECORD).write_text("[]")
    (target / MARK).write_text("{")
    sync(read_source(project), LocalHost(), str(target))
    assert copied(target) == COUNTS


def test_data_is_not_copied(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "MOST_BYTES", 1000)
    (project / "cells.tif").write_bytes(bytes(2000))
    with pytest.raises(CollectionError, match=r"too much to be copied to .*file is cells\.tif"):
        sync(read_source(project), LocalHost(), str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_the_copy_is_beside_the_environment() -> None:
    assert copy_place("/tasks/x/1.0-py3.12") == "/tasks/x/1.0-py3.12.source"


def test_a_copy_on_a_real_host(project: Path, remote_host: SSHHost, user_folder: Path) -> None:
    target = user_folder / "tasks" / "my tasks.source"
    source = read_source(project)
    sync(source, remote_host, str(target))
    assert copied(target) == COUNTS
    assert target.owner() == user_folder.owner()
    write(project, {"src/my_tasks/do_it.py": "print('more')\n"})
    (project / "src/my_tasks/_version.py").unlink()
    sync(source, remote_host, str(target))
    assert sorted(take_snapshot(str(project)).files) == copied(target)
    assert (target / "src/my_tasks/do_it.py").read_text() == "print('more')\n"


class Counted:
    """A host that counts what it is asked."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name in ("run", "read", "write_many"):
            self.asked.append(name)
        return getattr(self._host, name)


def test_nothing_new_is_one_question(project: Path, tmp_path: Path) -> None:
    host = Counted(LocalHost())
    source = read_source(project)
    sync(source, host, str(tmp_path / "copy"))  # type: ignore[arg-type]
    host.asked.clear()
    sync(source, host, str(tmp_path / "copy"))  # type: ignore[arg-type]
    assert host.asked == ["read"]


# Other users


@pytest.fixture
def open_project(project: Path, shared_folder: Path) -> SourceFolder:
    """The source folder where another user reaches it."""
    folder = shared_folder / "my tasks"
    shutil.copytree(project, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return read_source(folder)


def test_says_what_is_closed_to_another_user(
    open_project: SourceFolder, second_user: struct_passwd, shared_folder: Path
) -> None:
    folder, reader = Path(open_project.path), SudoHost(second_user.pw_name)
    root = f"{folder}/src/my_tasks"

    def check(package_root: str | None = root) -> None:
        check_readable(take_snapshot(str(folder)), reader, package_root=package_root)

    with sudoers(five_commands()):
        check()
        check(None)
        (folder / "src/my_tasks/do_it.py").chmod(0o600)
        with pytest.raises(CollectionError, match=r"do_it\.py is closed .*chmod -R o\+rX"):
            check()
        # who is in its group may read it all the same
        os.chown(folder / "src/my_tasks/do_it.py", -1, second_user.pw_gid)
        (folder / "src/my_tasks/do_it.py").chmod(0o640)
        check()
        (folder / "src/my_tasks/build").chmod(0o700)
        with pytest.raises(CollectionError, match=r"my_tasks/build is closed"):
            check()
        (folder / "src/my_tasks/build").chmod(0o755)
        (folder / ".gitignore").chmod(0o600)
        check()
        with pytest.raises(CollectionError, match=r"\.gitignore is closed"):
            check(None)
        shared_folder.chmod(0o700)
        with pytest.raises(CollectionError, match=rf"^{shared_folder} is closed .*chmod o\+x "):
            check()
        shared_folder.chmod(0o755)

import gc
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter.errors import StoreError
from fractal_jupyter.store import database as database_module
from fractal_jupyter.store.database import Database, _deepest_mount
from tests.open_files import open_files

# The version for writing in the header of a file of SQLite.
ROLLBACK, WAL = 1, 2
MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/me/scratch\\040pad tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/var/lib", "ext4"),
        ("/home/me/.local", "nfs4"),
        ("/home/me/scratch pad/x", "tmpfs"),
        ("/homestead", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_deepest_mount(folder: str, expected: str) -> None:
    assert _deepest_mount(MOUNTS, Path(folder)) == expected


def test_a_relative_line_in_the_mounts_does_no_harm() -> None:
    assert _deepest_mount("nonsense\n" + MOUNTS, Path("/var")) == "ext4"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no url at all"])
def test_urls_that_cannot_be_shared_are_refused(url: str) -> None:
    with pytest.raises(StoreError):
        Database(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+asyncpg://me:secret@host/x", "write postgresql+psycopg://"),
        ("postgresql+psycopg://me:secret@host:port/x", "is not a database URL"),
        ("postgresql//me:secret@", "is not a database URL"),
        ("nonsense://me:secret@host/x", "SQLite files"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, words: str) -> None:
    with pytest.raises(StoreError) as raised:
        Database(url)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_driver_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'fractal-jupyter\[postgresql\]'"):
        Database("postgresql://me@host/x")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be created"):
        Database(f"sqlite:///{tmp_path}/file/fractal.db")


def test_the_file_is_private(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/sub/fractal.db")
    assert (tmp_path / "sub" / "fractal.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "sub").stat().st_mode & 0o777 == 0o700


def test_data_version_changes_when_another_connection_commits(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    before = database.data_version()
    assert database.data_version() == before
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute("create table t (x)")
    other.commit()
    other.close()
    assert database.data_version() != before
    database.close()


@pytest.fixture(params=["ext4", "nfs4"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the store is on, as far as it knows."""
    monkeypatch.setattr(database_module, "file_system_type", lambda _folder: request.param)
    return str(request.param)


def test_what_was_committed_outlasts_a_power_cut(tmp_path: Path, file_system: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with database.read() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    extra = 3
    assert found == [{"ext4": "wal", "nfs4": "delete"}[file_system], extra, 1]
    database.close()


ADD_ONE = """
import sys, sqlalchemy as sa
from fractal_jupyter.store import database as module
from fractal_jupyter.store.database import Database
module.file_system_type = lambda folder: sys.argv[2]
database = Database(sys.argv[1])
for _ in range(200):
    with database.write() as connection:
        count = connection.execute(sa.text("select n from counter")).scalar()
        connection.execute(sa.text("update counter set n = :n"), {"n": count + 1})
"""


def test_processes_that_read_and_write_at_once_lose_no_update(
    tmp_path: Path, file_system: str
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.executescript("create table counter (n integer); insert into counter values (0);")
    connection.close()
    command = [sys.executable, "-c", ADD_ONE, url, file_system]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert (tmp_path / "a.db").read_bytes()[18] == {"ext4": WAL, "nfs4": ROLLBACK}[file_system]
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("select n from counter").fetchone() == (800,)
    connection.close()


def test_a_relative_path_is_of_the_folder_that_we_run_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database("sqlite:///sub/fractal.db")
    assert database.url == f"sqlite:///{tmp_path}/sub/fractal.db"
    assert (tmp_path / "sub" / "fractal.db").exists()


def test_a_database_that_is_dropped_closes_its_connections(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    assert database.data_version() is not None
    assert open_files(tmp_path)
    del database
    gc.collect()
    assert not open_files(tmp_path)


def test_a_closed_database_can_be_used_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    for _ in range(2):
        assert database.data_version() is not None
        database.close()
        assert not open_files(tmp_path)

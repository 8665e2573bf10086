"""One database: connections, transactions, and how SQLite is told to share itself.

What is different on PostgreSQL is in `postgresql.py`.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from fractal_jupyter.errors import StoreError, StoreUnavailable
from fractal_jupyter.store import postgresql

# Write-ahead logging needs shared memory between all processes that have the file open: on a
# network file system it loses data. Only file systems known to be local get it.
LOCAL_FILE_SYSTEMS = frozenset(
    (
        *("apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "overlay"),
        *("ramfs", "reiserfs", "tmpfs", "xfs", "zfs"),
    )
)
BUSY_TIMEOUT_SECONDS = 60.0

# What to do about an error of SQLite, by the beginning of its name.
_DAMAGED = (
    "If the file is damaged, move it away (or put the newest of its .backup files in its place) "
    "and start again."
)
_CURES = {
    "SQLITE_BUSY": "Another program keeps it locked: see which one has the file open.",
    "SQLITE_FULL": "Free some space there; jobs go on by themselves then.",
    "SQLITE_READONLY": "See that you may write the file and the folder that it is in.",
    "SQLITE_CANTOPEN": "See that the file is there, and that you may read and write it.",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
# Errors of statements, which no waiting mends; repositories know what some of them mean.
_OF_STATEMENTS = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.NotSupportedError)
# A name and a password at the beginning of a URL, of one that cannot be read, too.
_CREDENTIALS = re.compile(r"//.*@")


class Database:
    """Connections to the database at `url`; usable from any thread.

    Args:
        url: SQLAlchemy URL (`sqlite:///…` or `postgresql+psycopg://…`).

    Attributes:
        version: The version of its tables that this process writes; set once it is known to be
            that. On PostgreSQL, whose tables somebody else may change, each write looks again.
    """

    version: str | None = None

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.engine.make_url(url)
        except (sa.exc.ArgumentError, ValueError):
            raise StoreError(
                f"{_CREDENTIALS.sub('//…@', url)!r} is not a database URL; write for instance "
                "sqlite:////home/me/fractal.db."
            ) from None
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database in (None, "", ":memory:"):
            raise StoreError(
                "The store is shared by several processes, so it cannot be in memory; "
                "give the URL of a file, for instance sqlite:////home/me/fractal.db."
            )
        self.path: Path | None = None
        if self.is_sqlite:
            # Absolute: the supervisor does not run in the folder that we run in.
            self.path = Path(str(parsed.database)).absolute()
            parsed = parsed.set(database=str(self.path))
        self.url = parsed.render_as_string(hide_password=False)
        if self.path is not None:
            _make_private(self.path)
            self.engine = sa.create_engine(
                parsed, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}, **_JSON
            )
            _prepare_sqlite(self.engine, journal_mode=_journal_mode(self.path.parent))
        else:
            self.engine = _engine_of_server(parsed)
        # The connection of `data_version`, once that was asked for.
        self._watcher: list[sa.Connection] = []
        self._watching = threading.Lock()
        # Notebooks drop a store without a word: its connections are closed then.
        weakref.finalize(self, _close, self.engine, self._watcher).atexit = False

    @property
    def name(self) -> str:
        """What to call the store in messages; without the password that its URL may hold."""
        return str(self.path or self.shown_url)

    @property
    def shown_url(self) -> str:
        """Its URL without the password that may be in it."""
        return postgresql.shown(self.engine.url)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one consistent state and writes nothing.

        Raises:
            StoreUnavailable: The database cannot be read.
        """
        with self.errors_in_words(), self.engine.connect() as connection:
            yield connection.execution_options(**({} if self.is_sqlite else postgresql.READING))

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its start; committed at the end.

        On SQLite a transaction that begins by reading and then writes can fail half-way when
        somebody else wrote in between: taking the lock first makes others wait instead. On
        PostgreSQL there is such a lock for each role.

        Raises:
            StoreError: The tables are of another version by now.
            StoreUnavailable: The database cannot be written; nothing was.
        """
        with self.errors_in_words(), self.engine.connect() as connection:
            connection = connection.execution_options(fractal_write=True)
            with connection.begin():
                if not self.is_sqlite:
                    self._check_version(postgresql.begin_write(connection))
                yield connection

    def _check_version(self, found: str | None) -> None:
        if found != self.version:
            raise StoreError(
                f"The tables of the store {self.name} were changed meanwhile: they are of version "
                f"{found} now, and this process knows {self.version}. Start it again, with the "
                "version of fractal-jupyter that the administrator of the store uses."
            )

    def data_version(self) -> int | None:
        """A number that changes when somebody has written; None where that is not known.

        Cheap enough to ask ten times a second: SQLite reads one counter (microseconds),
        PostgreSQL one row (a fraction of a millisecond).
        """
        if not self.is_sqlite:
            return postgresql.revision(self.engine)
        try:
            with self._watching:
                if not self._watcher:
                    self._watcher.append(self.engine.connect())
                raw: Any = self._watcher[0].connection.dbapi_connection
                return int(raw.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, sa.exc.DBAPIError):
            return None

    def close(self) -> None:
        """Close all connections."""
        with self._watching:
            _close(self.engine, self._watcher)

    @contextmanager
    def errors_in_words(self) -> Iterator[None]:
        """Say of errors of the database what to do about them."""
        try:
            yield
        except _OF_STATEMENTS:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            cause = getattr(error, "orig", None) or error
            server = None if self.is_sqlite else postgresql
            what = server.words(cause) if server else str(cause)
            cure = server.cure(cause) if server else _cure(cause)
            if not cure and isinstance(error, sa.exc.ProgrammingError):
                raise
            raise StoreUnavailable(
                f"The store {self.name} cannot be used: {what}. {cure}".rstrip()
            ) from error


def _cure(error: BaseException) -> str:
    name = getattr(error, "sqlite_errorname", "")
    return next((cure for known, cure in _CURES.items() if name.startswith(known)), "")


def _close(engine: sa.Engine, watcher: list[sa.Connection]) -> None:
    while watcher:
        watcher.pop().close()
    engine.dispose()


def _encode(value: object) -> str:
    to_json, refused = _pydantic_core()
    try:
        return to_json(value).decode()
    except refused:  # halves of surrogate pairs: as escapes
        return json.dumps(value)


@cache
def _pydantic_core() -> tuple[Callable[[object], bytes], type[Exception]]:
    """Its writer of JSON; imported when it is needed first."""
    from pydantic_core import PydanticSerializationError, to_json

    return to_json, PydanticSerializationError


def decode(text: str | bytes) -> Any:
    """Read JSON from a column, as fast as can be."""
    return _raw_decode(text if isinstance(text, str) else text.decode())[0]


_raw_decode = json.JSONDecoder().raw_decode
# A hundred thousand images and units are a million small values: these take a fifth of the time
# that `json.dumps` and `json.loads` take for such.
_JSON: Mapping[str, Any] = {"json_serializer": _encode, "json_deserializer": decode}


def _engine_of_server(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "postgresql":
        raise StoreError(
            f"{postgresql.shown(url)} names a kind of database that is not supported "
            f"({url.drivername}). Stores are SQLite files (sqlite:////home/me/fractal.db) or "
            "PostgreSQL databases (postgresql+psycopg://me@host/database)."
        )
    return postgresql.create_engine(url, **_JSON)


def _make_private(path: Path) -> None:
    """Make the folder of the database, and an empty file that only its owner reads."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"The store {path} cannot be created: {error.strerror or error}. Choose another place "
            "with Fractal(url='sqlite:////some/folder/fractal.db')."
        ) from error


def _prepare_sqlite(engine: sa.Engine, *, journal_mode: str) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver must not begin transactions by itself: `on_begin` says how they begin.
        connection.isolation_level = None
        try:
            connection.execute(f"PRAGMA journal_mode={journal_mode}")
            # What was committed is on the disk, and a power cut does not undo it: a job that was
            # intended must be known before it is given to a scheduler. (EXTRA is FULL, and with a
            # rollback journal the folder, too.)
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("fractal_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _journal_mode(folder: Path) -> str:
    return "WAL" if file_system_type(folder) in LOCAL_FILE_SYSTEMS else "DELETE"


def file_system_type(folder: Path) -> str | None:
    """The type of the file system that holds `folder`, or None where it cannot be told."""
    if os.uname().sysname == "Darwin" if hasattr(os, "uname") else False:
        return "apfs" if not str(folder.resolve()).startswith("/Volumes/") else None
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return _deepest_mount(mounts, folder.resolve())


def _deepest_mount(mounts: str, folder: Path) -> str | None:
    """The type of the mount in `mounts` (the text of /proc/self/mounts) that `folder` is below."""
    best: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t"))
        if folder.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), fields[2])
    return best[1]

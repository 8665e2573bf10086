"""PostgreSQL: how a process connects, how it writes, and what errors of the server mean.

Each user has a role of their own, and sees the rows of that role alone (`isolation.py`). What
SQLite's write lock is for a file, a row of the table `revisions` is for a role: every transaction
that writes begins by raising the number in it, so those of one role follow each other, those of
different roles have nothing to do with each other, and the number says whether anything has
changed. An advisory lock could be taken by anybody; that row is out of the reach of others.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from fractal_jupyter.errors import StoreError

# What libpq finds its server, its user and its credentials by. A supervisor gets these, too.
LIBPQ_VARIABLES = (
    *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE"),
    *("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGTARGETSESSIONATTRS", "PGCONNECT_TIMEOUT"),
    *("PGSSLMODE", "PGSSLNEGOTIATION", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLCRL"),
    *("PGSSLCRLDIR", "PGSSLMINPROTOCOLVERSION", "PGREQUIREAUTH", "PGREQUIREPEER"),
    *("PGCHANNELBINDING", "PGKRBSRVNAME", "PGGSSENCMODE", "PGGSSLIB", "KRB5CCNAME", "KRB5_CONFIG"),
)

# Connections that a process keeps, and how many more it opens for a moment, at most.
KEPT_CONNECTIONS = 2
MORE_CONNECTIONS = 3
# A connection that is not used is given back after this time.
IDLE_SECONDS = 60
# How long a transaction waits for another one of the same role; a process that stands still in
# the middle of one is cut off before.
LOCK_SECONDS = 60
STANDSTILL_SECONDS = 45
# A server, or a network, that says nothing for so long is taken for dead.
SILENCE_SECONDS = 30
_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "fractal_jupyter",
    "keepalives_idle": SILENCE_SECONDS,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": SILENCE_SECONDS * 1000,
}
# Reading sees one consistent state.
READING = {"isolation_level": "REPEATABLE READ"}
_SETTINGS = (
    f"SET lock_timeout = '{LOCK_SECONDS}s'; "
    f"SET idle_in_transaction_session_timeout = '{STANDSTILL_SECONDS}s'; "
    f"SET idle_session_timeout = '{IDLE_SECONDS}s'"
)

_WAIT = "Jobs go on by themselves then."
_SILENT = f"The server is down, or not where the URL says: wait until it answers. {_WAIT}"
_DENIED = (
    "The administrator of the database lets a role in with: "
    "python -m fractal_jupyter.store allow URL ROLE."
)
# What to do about an error, by the beginning of its code (SQLSTATE).
_CURES = {
    "53100": f"Its disk is full: the administrator of the server has to free some space. {_WAIT}",
    "53200": f"The server is out of memory: its administrator has to look after it. {_WAIT}",
    "53300": (
        "It has as many connections as it allows: close notebooks that are not needed, or have its "
        f"administrator raise max_connections, or the CONNECTION LIMIT of the role. {_WAIT}"
    ),
    "08": _SILENT,
    "57P": _SILENT,
    "25006": (
        "The server takes no changes; perhaps it is a standby. Name the primary one in the URL "
        "(with several hosts: ?target_session_attrs=read-write)."
    ),
    "40": "Others used the same tables at that moment: try again.",
    "55P03": (
        "Another process of the same role has been writing all the while; pg_stat_activity says "
        "which."
    ),
    "42501": _DENIED,
    "42P01": "Its administrator has to run: python -m fractal_jupyter.store create URL.",
    "28": (
        "The server does not believe that you are that role. Give credentials by ~/.pgpass or a "
        "certificate, or let the server know you by your user name (peer)."
    ),
    "3D000": "The administrator of the server makes databases, with createdb.",
}
# While a connection is being made there are no codes, but words.
_CODES_BY_WORDS = {
    "too many clients": "53300",
    "too many connections": "53300",
    "connection slots are reserved": "53300",
    "is starting up": "57P03",
    "is shutting down": "57P03",
    "in recovery mode": "57P03",
    "refused": "08001",
    "No such file or directory": "08001",
    "timeout expired": "08001",
    "unreachable": "08001",
    "No route to host": "08001",
    "could not translate host name": "08001",
    "failed to resolve host": "08001",
    "closed the connection": "08006",
    "connection is closed": "08006",
    "authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "permission denied for database": "42501",
    "FATAL:  role": "42501",
    "does not exist": "3D000",
}

_BEGIN_WRITE = sa.text(
    "INSERT INTO revisions DEFAULT VALUES "
    "ON CONFLICT (role) DO UPDATE SET number = revisions.number + 1 "
    "RETURNING (SELECT version_num FROM alembic_version)"
)
_REVISION = sa.text("SELECT number FROM revisions WHERE role = current_user")
# Where names of parameters of a URL say that their values are secret.
_SECRET = re.compile(r"password", re.IGNORECASE)


def create_engine(url: sa.URL, **options: Any) -> sa.Engine:
    """An engine with few connections, which are checked before they are used again.

    Raises:
        StoreError: The URL names another driver than psycopg, or that is not installed.
    """
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise StoreError(
            f"{shown(url)} names a driver that is not supported ({url.drivername}); "
            "write postgresql+psycopg://…."
        )
    url = url.set(drivername="postgresql+psycopg")
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=KEPT_CONNECTIONS,
            max_overflow=MORE_CONNECTIONS,
            pool_timeout=LOCK_SECONDS,
            # What is not needed rests long enough to be closed.
            pool_use_lifo=True,
            connect_args={key: value for key, value in _CONNECT.items() if key not in url.query},
            use_native_hstore=False,
            **options,
        )
    except ImportError as error:
        raise StoreError(
            f"The store {shown(url)} needs the Python package psycopg, which is not installed "
            "here. Install it: pip install 'fractal-jupyter[postgresql]'."
        ) from error
    event.listen(engine, "connect", _on_connect)
    return engine


def shown(url: sa.URL) -> str:
    """A URL without the passwords that may be in it."""
    query = {key: "***" if _SECRET.search(key) else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string()


def _on_connect(connection: Any, _record: object) -> None:
    connection.adapters.register_dumper(str, _text_dumper())
    connection.autocommit = True
    connection.execute(_SETTINGS)
    connection.autocommit = False


@cache
def _text_dumper() -> Any:
    """How psycopg writes text: PostgreSQL has none with NUL in it, which logs of tasks may have."""
    from psycopg.types.string import StrDumperUnknown

    class TextDumper(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    return TextDumper


def begin_write(connection: sa.Connection) -> str | None:
    """Wait until no other transaction of this role writes; return the version of the tables."""
    return connection.execute(_BEGIN_WRITE).scalar()


def revision(engine: sa.Engine) -> int | None:
    """A number that grows with each transaction of this role that writes; None where unknown."""
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            return int(connection.execute(_REVISION).scalar() or 0)
    except sa.exc.SQLAlchemyError:
        return None


def words(error: BaseException | None) -> str:
    """What the server says is wrong, in one line."""
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    return " ".join(said.split()).rstrip(".")


def cure(error: BaseException) -> str:
    """What to do about an error of the server, or of connecting to it; empty where unknown."""
    code = getattr(error, "sqlstate", None) or next(
        (code for words, code in _CODES_BY_WORDS.items() if words in str(error)), ""
    )
    return next((cure for known, cure in _CURES.items() if code.startswith(known)), "")

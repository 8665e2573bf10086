"""A real PostgreSQL server for the tests; a plugin of pytest, so that any folder may use it.

It is started once per session (and worker of pytest-xdist), on a Unix socket in a folder of its
own, and believes every role by its word, but for members of the role
`with_password`. A test
that asks for `shared_store` gets a database of its own, into which the roles `alice` and `bob` are
let. Where the machine has no PostgreSQL, tests skip and say so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fractal_jupyter.store import sharing
from fractal_jupyter.store.database import Database
from tests.slurm.fixtures import skip_for_machine

ADMINISTRATOR = "administrator"
USERS = ("alice", "bob")
MAX_CONNECTIONS = 40
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": MAX_CONNECTIONS,
    "shared_buffers": "16MB",
    "fsync": "off",
}
# Patterns are for newer servers than many have.
_HBA = """
local all +with_password scram-sha-256
local all,replication all trust
"""
_numbers = count()


@dataclass(frozen=True)
class Server:
    """A server in a folder of its own, run as a user who is not root, as PostgreSQL wants it."""

    programs: Path
    folder: Path
    user: str

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL on the folder of the server; fail with what it says."""
        log = self.folder / "programs.log"
        with log.open("w") as output:
            done = subprocess.run(
                [self.programs / program, f"--pgdata={self.folder / 'data'}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                **self._identity(),
            )
        assert done.returncode == 0, log.read_text()

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam(self.user)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def make(self) -> None:
        """Make what the server works on."""
        self.run("initdb", "--username=postgres", "--encoding=UTF8", "--no-sync", "--auth=trust")
        (self.folder / "data" / "pg_hba.conf").write_text(_HBA)

    @contextmanager
    def standby(self) -> Iterator[Server]:
        """Another server that follows this one, and takes no changes before it is promoted."""
        with _new_server(self.programs, self.user) as other:
            options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
            other.run("pg_basebackup", f"--host={self.folder}", "--username=postgres", *options)
            other.start()
            try:
                yield other
            finally:
                other.stop("immediate")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = {**_SETTINGS, "unix_socket_directories": self.folder}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = self.folder / "server.log"
        self.run("pg_ctl", "start", "--wait", f"--log={log}", f"--options={options}")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `smart`, `fast` or `immediate`."""
        self.run("pg_ctl", "stop", "--wait", f"--mode={mode}")

    def url(self, role: str, database: str, *, password: str = "") -> str:
        """The URL of a database, for a role."""
        who = f"{role}:{password}" if password else role
        return f"postgresql+psycopg://{who}@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres", *, role: str = "postgres") -> psycopg.Connection:
        """A connection that commits each statement; of the superuser if no role is named."""
        return psycopg.connect(f"host={self.folder} dbname={database} user={role}", autocommit=True)

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the superuser; return its rows, if it has any."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, *, template: str = "template0") -> str:
        """Make a database that the administrator owns, an empty one or a copy; return its name."""
        name = f"fractal_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER {ADMINISTRATOR} TEMPLATE {template}")
        return name

    def cut_connections(self, role: str) -> int:
        """End all connections of a role, as an administrator may; return how many there were."""
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        return len(self.execute(query))


@dataclass(frozen=True)
class SharedStore:
    """A database with the tables of a store, into which `USERS` are let."""

    server: Server
    database: str

    @property
    def administration(self) -> str:
        """Its URL for the administrator."""
        return self.url(ADMINISTRATOR)

    def url(self, role: str) -> str:
        """Its URL for a role."""
        return self.server.url(role, self.database)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as a superuser, who sees all rows."""
        return self.server.execute(statement, database=self.database)


@contextmanager
def _new_server(programs: Path, user: str) -> Iterator[Server]:
    """A server that has not been made yet; its folder is removed afterwards."""
    # Short, for the socket, and within reach of that user.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/var/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, user)
        folder.chmod(0o755)
        yield Server(programs, folder, user)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    if program is None:
        skip_for_machine("PostgreSQL", "not on this machine: initdb")
    return Path(program).resolve().parent


def _version(program: Path) -> int:
    return int(program.parent.parent.name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server that runs, with the roles of the administrator and of the users."""
    programs = _programs()
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with _new_server(programs, user) as server:
        server.make()
        server.start()
        try:
            server.execute(f"CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE")
            server.execute("CREATE ROLE with_password")
            for role in USERS:
                server.execute(f"CREATE ROLE {role} LOGIN")
            yield server
        finally:
            server.stop("immediate")


def _prepare(store: SharedStore) -> None:
    with closing(Database(store.administration)) as database:
        sharing.create(database)
        sharing.allow(database, USERS)


@pytest.fixture(scope="session")
def _prepared(postgresql: Server) -> str:
    """A database to copy: that is quicker than making tables."""
    store = SharedStore(postgresql, postgresql.create_database())
    _prepare(store)
    return store.database


@pytest.fixture
def shared_store(postgresql: Server, _prepared: str) -> Iterator[SharedStore]:
    """A database with tables, into which the users are let; removed afterwards."""
    store = SharedStore(postgresql, postgresql.create_database(template=_prepared))
    try:
        # Who may connect is not copied.
        _prepare(store)
        yield store
    finally:
        postgresql.execute(f"DROP DATABASE {store.database} WITH (FORCE)")

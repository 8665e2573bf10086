"""What the administrator of a PostgreSQL store does, and what users are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from fractal_jupyter.errors import StoreError, StoreTooNew
from fractal_jupyter.store import isolation, schema, sharing
from fractal_jupyter.store.__main__ import main
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.store import Store
from tests.postgresql import ADMINISTRATOR, Server, SharedStore
from tests.store.test_leases import add_job
from tests.store.test_schema import alembic_config

NEXT = '''
"""Another column, with values, and another key."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None
def upgrade() -> None:
    op.add_column("datasets", sa.Column("colour", sa.String()))
    op.execute("UPDATE datasets SET colour = 'red'")
    own = ["role"] if op.get_context().dialect.name == "postgresql" else []
    op.create_unique_constraint("uq_datasets_zarr_dir", "datasets", [*own, "zarr_dir"])
    op.create_table("notes", sa.Column("id", sa.BigInteger(), primary_key=True))
'''
KEYS = """
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
ORDER BY 1, 2
"""
COLUMNS = """
SELECT table_name::text, column_name::text, data_type::text, is_nullable::text
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""


@pytest.fixture
def empty(postgresql: Server) -> Iterator[SharedStore]:
    """A database of the administrator's without tables."""
    store = SharedStore(postgresql, postgresql.create_database())
    yield store
    postgresql.execute(f"DROP DATABASE {store.database} WITH (FORCE)")


def test_from_an_empty_database_to_a_user(
    empty: SharedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    url = empty.url("dave")
    empty.server.execute("CREATE ROLE dave LOGIN")
    try:
        with pytest.raises(StoreError, match=r"no tables.*administrator.*store create URL"):
            Store(url)
        assert main(["allow", empty.administration, "dave"]) == 1
        assert main(["create", empty.administration]) == 0
        assert main(["create", empty.administration]) == 0
        said = capsys.readouterr()
        assert "store create URL" in said.err
        assert "has its tables now" in said.out
        assert "is up to date" in said.out
        # Nobody may even connect who was not let in.
        with pytest.raises(StoreError, match=r"permission denied.*store allow URL ROLE"):
            Store(url)
        assert main(["check", url]) == 1
        assert "store allow URL ROLE" in capsys.readouterr().err
        assert main(["allow", empty.administration, "dave", "alice"]) == 0
        assert main(["check", url]) == 0
        Store(url).close()
    finally:
        empty.server.execute(f"DROP DATABASE {empty.database} WITH (FORCE)")
        empty.server.execute("DROP ROLE dave")
        empty.server.execute(f"CREATE DATABASE {empty.database}")


def test_roles_can_be_made_on_the_way(shared_store: SharedStore) -> None:
    database = Database(shared_store.administration)
    role = 'erin "the 2%" o\'neill'
    with closing(database):
        with pytest.raises(StoreError, match=r"has no role.*--make"):
            sharing.allow(database, [role])
        sharing.allow(database, [role], make=True)
        # They are let into tables that come later, too.
        assert "up to date" in sharing.create(database)
    with shared_store.server.connect(shared_store.database, role=f"'{escaped(role)}'") as erin:
        assert erin.execute("SELECT current_user::text").fetchone() == (role,)
        assert erin.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def escaped(text: str) -> str:
    """A value in quotes, as libpq reads it."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


@pytest.mark.parametrize(
    ("power", "words"),
    [
        ("SUPERUSER", "is a superuser"),
        ("BYPASSRLS", "has BYPASSRLS"),
        ("CREATEROLE", "has CREATEROLE"),
        (f"IN ROLE {ADMINISTRATOR}", "owns the tables"),
        ("IN ROLE bob", "is a member of 'bob'"),
    ],
)
def test_roles_from_whom_rows_are_not_safe_are_refused(
    shared_store: SharedStore, power: str, words: str
) -> None:
    shared_store.server.execute(f"CREATE ROLE mighty LOGIN {power}")
    try:
        with (
            closing(Database(shared_store.administration)) as database,
            pytest.raises(StoreError, match=words),
        ):
            sharing.allow(database, ["mighty"])
        # Whoever lets it in by hand:
        shared_store.execute(f"GRANT CONNECT ON DATABASE {shared_store.database} TO mighty")
        for table in ("ALL TABLES", "ALL SEQUENCES"):
            shared_store.execute(f"GRANT ALL ON {table} IN SCHEMA public TO mighty")
        with closing(Database(shared_store.url("mighty"))) as database:
            (said,) = sharing.check(database)
            assert words in said
    finally:
        shared_store.execute("DROP OWNED BY mighty")
        shared_store.execute("DROP ROLE mighty")


def test_a_table_that_shows_its_rows_is_told_and_mended(shared_store: SharedStore) -> None:
    shared_store.execute("ALTER TABLE jobs DISABLE ROW LEVEL SECURITY")
    shared_store.execute("CREATE POLICY everybody ON units USING (true)")
    with pytest.raises(StoreError, match=r"units, jobs|jobs, units"):
        Store(shared_store.url("alice"))
    shared_store.execute("DROP POLICY everybody ON units")
    with closing(Database(shared_store.administration)) as database:
        sharing.create(database)
    Store(shared_store.url("alice")).close()


def test_the_tables_are_those_that_migrations_make(
    shared_store: SharedStore, empty: SharedStore
) -> None:
    config = alembic_config()
    with closing(Database(empty.administration)) as database:
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            # Later migrations come to tables whose keys have the role.
            isolation.isolate(connection)
        sharing.create(database)
    for query in (KEYS, COLUMNS):
        assert empty.execute(query) == shared_store.execute(query)


def test_a_migration_changes_the_rows_of_all_and_ends_those_who_know_the_old_tables(
    shared_store: SharedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = {role: Store(shared_store.url(role)) for role in ("alice", "bob")}
    for store in stores.values():
        store.datasets.add("plate", zarr_dir="/data", project_dir="/data")
    migrations = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, migrations)
    (migrations / "versions" / "0002_colour.py").write_text(NEXT)
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "HEAD", "0002")
    monkeypatch.setattr(isolation, "TABLES", (*isolation.TABLES, "notes"))
    with pytest.raises(StoreError, match=r"of version 0001.*needs 0002.*store create URL"):
        Store(shared_store.url("alice"))

    with closing(Database(shared_store.administration)) as database:
        assert "from version 0001 to 0002" in sharing.create(database)

    rows = shared_store.execute("SELECT role::text, colour FROM datasets ORDER BY role")
    assert rows == [("alice", "red"), ("bob", "red")]
    (unique,) = [key for key in shared_store.execute(KEYS) if key[1] == "uq_datasets_zarr_dir"]
    assert unique[2] == "UNIQUE (role, zarr_dir)"
    with shared_store.server.connect(shared_store.database, role=ADMINISTRATOR) as owner:
        assert owner.execute("SELECT count(*) FROM datasets").fetchone() == (0,)
    with pytest.raises(StoreError, match=r"changed meanwhile.*0002.*knows 0001"):
        stores["alice"].workflows.add("w", [])
    for store in stores.values():
        store.close()
    with closing(Store(shared_store.url("alice"))) as store, store.database.write() as connection:
        connection.exec_driver_sql("INSERT INTO notes DEFAULT VALUES")
    with closing(Store(shared_store.url("bob"))) as store, store.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar() == 0


def test_tables_of_a_newer_version_are_refused_in_words(shared_store: SharedStore) -> None:
    shared_store.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(StoreTooNew, match=r"newer version of fractal-jupyter.*0099"):
        Store(shared_store.url("alice"))
    with closing(Database(shared_store.administration)) as database, pytest.raises(StoreTooNew):
        sharing.create(database)


def test_who_is_forgotten_has_nothing_and_others_have_all(shared_store: SharedStore) -> None:
    for role in ("alice", "bob"):
        with closing(Store(shared_store.url(role))) as store:
            add_job(store)
    with closing(Database(shared_store.administration)) as database:
        assert "alice (4 rows)" in sharing.forget(database, ["alice"])
        assert sharing.allow(database, ["carl"], make=True)
        assert isolation_is_whole(shared_store)
    with pytest.raises(StoreError, match="permission denied"):
        Store(shared_store.url("alice"))
    rows = shared_store.execute("SELECT DISTINCT role::text FROM steps")
    assert rows == [("bob",)]


def isolation_is_whole(shared_store: SharedStore) -> bool:
    """Whether row-level security is forced on every table but that of the version."""
    query = """SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind = 'r' AND NOT relforcerowsecurity"""
    return shared_store.execute(query) == [(1,)]


def test_a_database_with_other_tables_is_left_alone(empty: SharedStore) -> None:
    empty.execute("CREATE TABLE jobs (x integer)")
    with (
        closing(Database(empty.administration)) as database,
        pytest.raises(StoreError, match=r"has other tables already.*createdb"),
    ):
        sharing.create(database)
    assert empty.execute("SELECT count(*) FROM pg_policy") == [(0,)]


def test_who_does_not_own_the_database_is_told(shared_store: SharedStore) -> None:
    with closing(Database(shared_store.url("alice"))) as database:
        with pytest.raises(StoreError, match=r"does not own the database.*createdb"):
            sharing.create(database)
        with pytest.raises(StoreError, match=r"does not own the database"):
            sharing.allow(database, ["bob"])


def test_sqlite_needs_no_administrator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", f"sqlite:///{tmp_path}/fractal.db"]) == 1
    assert "belongs to one user" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["postgresql://me:hush@host/x", "postgresql:///x?password=hush"])
def test_a_password_on_the_command_line_is_refused(url: str) -> None:
    argv = [sys.executable, "-m", "fractal_jupyter.store", "check", url]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 1
    assert "list of processes" in done.stderr
    assert "hush" not in done.stderr

"""Users of one PostgreSQL store are out of each other's reach, in every table."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors

from fractal_jupyter.errors import NotFound, StoreError
from fractal_jupyter.models.images import Image
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store
from tests.postgresql import SharedStore
from tests.store.test_leases import add_job, take
from tests.toy import add_toy_tasks

TABLES = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = {}"
PUBLIC = "'public'::regnamespace"


@pytest.fixture
def alices(shared_store: SharedStore) -> Iterator[Store]:
    """A store of alice's that has something in every table."""
    store = Store(shared_store.url("alice"))
    store.add_first_resource({"name": "r"}, {"name": "p"})
    add_toy_tasks(store)
    store.environments.remember({"package": "toy-tasks"})
    store.activities.begin(action="collect", subject="x")
    store.workflows.add("w", [])
    job = add_job(store)
    store.datasets.add_images(job.dataset_id, [Image("/data/a.zarr")])
    lease = take(store)
    assert lease is not None
    running = Running(store.database, lease)
    (step,) = store.jobs.steps(job.id)
    running.add_units(step, phase="parallel", planned=[("/data/a.zarr", {})], type_filter={})
    running.add_batches(step, "parallel", name="n", planned=[(0, "/b", [0])])
    yield store
    store.close()


@pytest.fixture
def bobs(shared_store: SharedStore) -> Iterator[Store]:
    """The store as bob sees it."""
    store = Store(shared_store.url("bob"))
    yield store
    store.close()


@pytest.fixture
def bob(shared_store: SharedStore) -> Iterator[psycopg.Connection]:
    """A connection of bob's, who writes SQL himself."""
    with shared_store.server.connect(shared_store.database, role="bob") as connection:
        yield connection


def tables_of(shared_store: SharedStore) -> list[str]:
    """All tables that there are, but for the one that says their version."""
    found = shared_store.execute(TABLES.format(PUBLIC))
    return sorted({str(row[0]) for row in found} - {"alembic_version"})


def key_columns(shared_store: SharedStore, kinds: str) -> list[tuple[str, list[str]]]:
    """The names of keys of some kinds, with their columns."""
    rows = shared_store.execute(
        "SELECT conname::text, ARRAY(SELECT attname::text FROM pg_attribute"
        " WHERE attrelid = conrelid AND attnum = ANY(conkey)) FROM pg_constraint"
        f" WHERE connamespace = {PUBLIC} AND contype IN ({kinds})"
    )
    return [(str(name), list(columns)) for name, columns in rows]  # type: ignore[call-overload]


def test_no_table_shows_or_gives_up_a_row_of_somebody_else(
    shared_store: SharedStore, alices: Store, bob: psycopg.Connection
) -> None:
    tables = tables_of(shared_store)
    assert len(tables) == 15
    for table in tables:
        counted = f"SELECT count(*) FROM {table}"
        ((there,),) = shared_store.execute(counted)
        assert there, f"the test has put nothing into {table}"
        assert bob.execute(counted.encode()).fetchone() == (0,), table
        assert bob.execute(f"UPDATE {table} SET role = role".encode()).rowcount == 0, table
        assert bob.execute(f"DELETE FROM {table}".encode()).rowcount == 0, table
        assert shared_store.execute(counted) == [(there,)]
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            bob.execute(f"INSERT INTO {table} (role) VALUES ('alice')".encode())


def test_rows_cannot_be_given_to_somebody_else(bobs: Store, bob: psycopg.Connection) -> None:
    bobs.workflows.add("mine", [])
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        bob.execute("UPDATE workflows SET role = 'alice'")


def test_every_key_has_the_role(shared_store: SharedStore) -> None:
    named = key_columns(shared_store, "'p', 'u', 'f'")
    assert len(named) > 30
    others = {name for name, columns in named if "role" not in columns}
    assert others == {"alembic_version_pkey"}


def test_what_others_have_does_not_stand_in_the_way(
    shared_store: SharedStore, alices: Store, bobs: Store, bob: psycopg.Connection
) -> None:
    bobs.add_first_resource({"name": "r"}, {"name": "p"})
    assert bobs.workflows.add("w", []).name == "w"
    (theirs,) = alices.datasets.all()
    # The same number, even: nothing says that somebody has it.
    bob.execute(
        "INSERT INTO datasets (id, name, zarr_dir, project_dir, revision, created)"
        f" VALUES ({theirs.id}, 'plate', '/d', '/d', 0, 0)".encode()
    )
    assert [dataset.id for dataset in bobs.datasets.all()] == [theirs.id]
    assert bobs.datasets.images(theirs.id) == []
    assert take(bobs) is not None


def test_references_to_what_others_have_are_those_to_nothing(alices: Store, bobs: Store) -> None:
    (theirs,) = alices.datasets.all()

    def refused(dataset: int) -> str:
        with pytest.raises(sa.exc.IntegrityError) as raised:
            bobs.datasets.add_images(dataset, [Image("/data/b.zarr")])
        return str(raised.value.orig)

    words = refused(theirs.id)
    assert "not present" in words
    assert words == refused(10**12).replace(str(10**12), str(theirs.id))
    with pytest.raises(NotFound):
        bobs.jobs.get(alices.jobs.all()[0].id)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x integer)",
        "CREATE TEMPORARY TABLE mine (x integer)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE jobs ADD COLUMN mine integer",
        "ALTER TABLE jobs DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_rows ON jobs",
        "DROP TABLE jobs",
        "TRUNCATE jobs",
        "UPDATE alembic_version SET version_num = '9999'",
        "SELECT setval('jobs_id_seq', 1)",
        "SELECT last_value FROM jobs_id_seq",
        "SET SESSION AUTHORIZATION alice",
        "SET ROLE alice",
        "SET ROLE administrator",
    ],
)
def test_a_user_can_change_rows_and_nothing_else(bob: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        bob.execute(statement.encode())


def test_row_level_security_cannot_be_left_out(alices: Store, bob: psycopg.Connection) -> None:
    bob.execute("SET row_security = off")
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        bob.execute("SELECT * FROM jobs")


def test_statistics_say_nothing_of_the_values_of_others(
    shared_store: SharedStore, alices: Store, bob: psycopg.Connection
) -> None:
    shared_store.execute("ANALYZE")
    query = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename <> '{}'"
    assert shared_store.execute(query.format("alembic_version")) != [(0,)]
    assert bob.execute(query.format("alembic_version").encode()).fetchone() == (0,)


def test_the_owner_of_the_tables_sees_no_rows_either(
    shared_store: SharedStore, alices: Store
) -> None:
    server, database = shared_store.server, shared_store.database
    with server.connect(database, role="administrator") as owner:
        assert owner.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    with pytest.raises(StoreError, match="owns the tables"):
        Store(shared_store.administration)

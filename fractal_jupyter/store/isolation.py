"""PostgreSQL: users who share tables see their own rows only.

The tables are those of `tables.py`, made as for SQLite; `isolate` then gives to each a column
`role` that the rest of the code does not know of, makes it a part of every key, and lets the server
show and take only rows of the role that asks. Keys have it because the server checks them without
regard to who may see what: else a name that somebody else has taken would be refused.

A migration that makes a key, or refers to one, names `role` in it on PostgreSQL; what it changes
are the rows of all (`open_to_owner`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.store.tables import metadata

POLICY = "own_rows"
_REVISIONS = """
CREATE TABLE IF NOT EXISTS revisions (
    role name DEFAULT current_user PRIMARY KEY,
    number bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 20)
"""
# The table that each of them uses first.
_NO_WRITERS = "LOCK TABLE revisions IN ACCESS EXCLUSIVE MODE"
TABLES = (*(table.name for table in metadata.sorted_tables), "revisions")
VERSIONS = "alembic_version"

_KEYS_WITHOUT_ROLE = sa.text("""
SELECT k.conrelid::regclass::text AS of_table, k.conname AS name, k.contype AS kind,
       pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint AS k
JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = 'role'
WHERE k.connamespace = 'public'::regnamespace AND k.conrelid::regclass::text = ANY(:tables)
  AND k.contype IN ('p', 'u', 'f') AND NOT a.attnum = ANY(k.conkey)
""")
_OPEN_TABLES = sa.text("""
SELECT t.name FROM unnest(CAST(:tables AS text[])) AS t(name)
LEFT JOIN pg_class AS c ON c.relname = t.name AND c.relnamespace = 'public'::regnamespace
WHERE c.oid IS NULL OR NOT (c.relrowsecurity AND c.relforcerowsecurity)
   OR (SELECT array_agg(p.polname::text) FROM pg_policy AS p WHERE p.polrelid = c.oid)
      IS DISTINCT FROM ARRAY[:policy]
""")
_POWERS = sa.text("""
SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole,
       COALESCE(pg_has_role(r.oid, c.relowner, 'MEMBER'), false) AS owns
FROM pg_roles AS r
LEFT JOIN pg_class AS c ON c.oid = to_regclass('public.revisions')
WHERE r.rolname = COALESCE(:role, current_user)
""")
_ALLOWED = sa.text("""
SELECT r.rolname
FROM pg_class AS c, aclexplode(c.relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = to_regclass('public.revisions') AND a.privilege_type = 'INSERT'
  AND r.oid <> c.relowner
""")
_ALSO_AS = sa.text("""
SELECT other.rolname FROM pg_roles AS r
JOIN pg_roles AS other ON other.oid <> r.oid AND other.rolcanlogin
WHERE r.rolname = COALESCE(:role, current_user) AND pg_has_role(r.oid, other.oid, 'MEMBER')
ORDER BY other.rolname
""")


def isolate(connection: sa.Connection) -> None:
    """Let each role see and change its own rows only, in every table; again changes nothing."""
    run = connection.exec_driver_sql
    run(_REVISIONS)
    if open_tables(connection) or _keys_without_role(connection):
        _close_tables(connection)
    for table in TABLES:
        run(f"REVOKE ALL ON {table} FROM PUBLIC")
    # The database is there for this alone.
    run(f"REVOKE ALL ON DATABASE {_database(connection)} FROM PUBLIC")
    run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")


def _close_tables(connection: sa.Connection) -> None:
    """Do so with the tables; nobody uses them meanwhile."""
    run = connection.exec_driver_sql
    run(_NO_WRITERS)
    for table in TABLES:
        run(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS role name NOT NULL DEFAULT current_user")
    _widen_keys(connection)
    for table in TABLES:
        run(f"DROP POLICY IF EXISTS {POLICY} ON {table}")
        run(
            f"CREATE POLICY {POLICY} ON {table} "
            "USING (role = current_user) WITH CHECK (role = current_user)"
        )
        run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def open_to_owner(connection: sa.Connection) -> None:
    """Let the owner of the tables see all rows, for the rest of the transaction and `isolate`.

    Writers are waited for; those that come meanwhile wait.
    """
    connection.exec_driver_sql(_NO_WRITERS)
    for table in TABLES:
        # A migration may be about to make it.
        connection.exec_driver_sql(f"ALTER TABLE IF EXISTS {table} NO FORCE ROW LEVEL SECURITY")


def _keys_without_role(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.execute(_KEYS_WITHOUT_ROLE, {"tables": list(TABLES)}).all()


def _widen_keys(connection: sa.Connection) -> None:
    """Put the role in front of each primary, unique and foreign key that lacks it."""
    keys = _keys_without_role(connection)
    # Foreign keys need those that they refer to.
    foreign = [key for key in keys if key.kind == "f"]
    others = [key for key in keys if key.kind != "f"]
    for key in (*foreign, *others):
        connection.exec_driver_sql(f'ALTER TABLE {key.of_table} DROP CONSTRAINT "{key.name}"')
    for key in (*others, *foreign):
        connection.exec_driver_sql(
            f'ALTER TABLE {key.of_table} ADD CONSTRAINT "{key.name}" {_with_role(key.definition)}'
        )


def _with_role(definition: str) -> str:
    """The definition of a key as the server writes it, with the role as its first column."""
    own = re.search(r"\((.*?)\)", definition)
    assert own is not None
    # Of a reference to what is gone, only the reference is emptied.
    return definition.replace("(", "(role, ").replace("SET NULL", f"SET NULL ({own[1]})")


def grant(connection: sa.Connection, role: str) -> None:
    """Let a role use the store."""
    to = f"TO {_quoted(connection, role)}"
    connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE {_database(connection)} {to}")
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public {to}")
    connection.exec_driver_sql(f"GRANT SELECT ON {VERSIONS} {to}")
    tables = ", ".join(TABLES)
    connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} {to}")
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public {to}")


def forget(connection: sa.Connection, role: str) -> int:
    """Delete all rows of a role, and do not let it in any more; return how many rows it had.

    `open_to_owner` comes before this, `isolate` after it.
    """
    delete = "DELETE FROM {} WHERE role = :role"
    rows = sum(
        connection.execute(sa.text(delete.format(table)), {"role": role}).rowcount
        for table in reversed(TABLES)
    )
    if role_exists(connection, role):
        gone = f"FROM {_quoted(connection, role)}"
        connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {_database(connection)} {gone}")
        for what in ("ALL TABLES IN", "ALL SEQUENCES IN", ""):
            connection.exec_driver_sql(f"REVOKE ALL ON {what} SCHEMA public {gone}")
    return rows


def create_role(connection: sa.Connection, role: str) -> None:
    """Make a role that may log in, and nothing else; its password is for others to set."""
    connection.exec_driver_sql(f"CREATE ROLE {_quoted(connection, role)} LOGIN")


def role_exists(connection: sa.Connection, role: str) -> bool:
    """Whether the server has that role."""
    query = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
    return bool(connection.execute(query, {"role": role}).scalar())


def allowed_roles(connection: sa.Connection) -> list[str]:
    """The roles that may use the store."""
    return list(connection.execute(_ALLOWED).scalars())


def powers(connection: sa.Connection, role: str | None = None) -> Iterator[str]:
    """What makes a role (ourselves, if none is named) see or take rows of others, in words."""
    row = connection.execute(_POWERS, {"role": role}).one()
    if row.rolsuper:
        yield "is a superuser"
    elif row.owns:
        yield "owns the tables, or is a member of the role that does"
    if row.rolbypassrls and not row.rolsuper:
        yield "has BYPASSRLS"
    if row.rolcreaterole and not row.rolsuper:
        yield "has CREATEROLE, and may make itself a member of other roles"


def also_as(connection: sa.Connection, role: str | None = None) -> list[str]:
    """Other roles of people that a role may act as, since it is a member of them."""
    return list(connection.execute(_ALSO_AS, {"role": role}).scalars())


def open_tables(connection: sa.Connection) -> list[str]:
    """The tables that are not there, or show their rows to others."""
    query = _OPEN_TABLES
    return list(connection.execute(query, {"tables": list(TABLES), "policy": POLICY}).scalars())


def _database(connection: sa.Connection) -> str:
    return _quoted(
        connection, str(connection.execute(sa.text("SELECT current_database()")).scalar())
    )


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)

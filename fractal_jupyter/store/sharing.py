"""A PostgreSQL store that many share: what its administrator does, and what users are told.

The administrator's role owns the tables, brings them up to date and lets roles in. A user's role
can do neither, so whatever is wrong with them is said in words, with who has to do what.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from fractal_jupyter.errors import StoreError, StoreUnavailable
from fractal_jupyter.store import isolation, schema
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.postgresql import words

COMMAND = "python -m fractal_jupyter.store"
# References that are emptied, but for the role in them, came with it.
OLDEST_SERVER = 15
_OWNS_DATABASE = sa.text("""
SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()
""")


def create(database: Database) -> str:
    """Make the tables, or bring them up to date; return what was done, in words.

    Raises:
        StoreError: This cannot be done, or not by this role.
    """
    with _administrating(database) as connection:
        version = schema.version_in(connection)
        if version is None:
            with _taken_names(database):
                schema.create(connection)
            done = f"The store {database.name} has its tables now."
        elif version == schema.HEAD:
            done = f"The store {database.name} is up to date."
        else:
            schema.check_known(database, version)
            isolation.open_to_owner(connection)
            schema.migrate(connection)
            done = (
                f"The store {database.name} was brought from version {version} to {schema.HEAD}. "
                "Notebooks and servers that have it open have to be started again, with this "
                "version of fractal-jupyter; supervisors end, and are started anew by them."
            )
        isolation.isolate(connection)
        for role in isolation.allowed_roles(connection):
            isolation.grant(connection, role)
    return done


def allow(database: Database, roles: Sequence[str], *, make: bool = False) -> str:
    """Let roles use the store; with `make`, make those that the server does not have.

    Raises:
        StoreError: A role is not there, or may do too much; none was let in.
    """
    with _administrating(database) as connection:
        if schema.version_in(connection) is None:
            raise StoreError(_no_tables(database))
        for role in roles:
            if not isolation.role_exists(connection, role):
                if not make:
                    raise StoreError(
                        f"The server of {database.name} has no role {role!r}. Make it (createuser "
                        f"{role}), or let this command do so: {COMMAND} allow --make URL {role}."
                    )
                isolation.create_role(connection, role)
            _refuse_powers(connection, role)
            isolation.grant(connection, role)
    return f"{', '.join(roles)} may use the store {database.name}."


def forget(database: Database, roles: Sequence[str]) -> str:
    """Delete all that roles have in the store, and let them in no more; return what was done.

    Raises:
        StoreError: Nothing was deleted; the message says why.
    """
    with _administrating(database) as connection:
        if schema.version_in(connection) != schema.HEAD:
            raise StoreError(
                f"The tables of the store {database.name} are not those of this fractal-jupyter; "
                f"first: {COMMAND} create URL."
            )
        isolation.open_to_owner(connection)
        counts = [f"{role} ({isolation.forget(connection, role)} rows)" for role in roles]
        isolation.isolate(connection)
    return f"Deleted from the store {database.name}: {', '.join(counts)}."


def require_usable(database: Database) -> None:
    """Raise unless this role may use the store, and sees its own rows only.

    Raises:
        StoreTooNew: A newer version of the package has made the tables.
        StoreError: Something else is wrong; the message says who has to do what.
    """
    with database.read() as connection:
        wrong = next(_what_is_wrong(connection, database), None)
    if wrong is not None:
        raise StoreError(wrong)
    database.version = schema.HEAD


def check(database: Database) -> list[str]:
    """All that is wrong with the store, for the role that we are; each in words."""
    try:
        with database.read() as connection:
            wrong = list(_what_is_wrong(connection, database))
            others = [] if wrong else isolation.also_as(connection)
        wrong += [
            f"Your role is a member of {other!r}, and may act as that role; the administrator of "
            f"the server can take it back: REVOKE {other} FROM …."
            for other in others
        ]
        if not wrong:
            database.version = schema.HEAD
            with database.write():
                pass
    except StoreError as error:
        return [str(error)]
    return wrong


def _what_is_wrong(connection: sa.Connection, database: Database) -> Iterator[str]:
    """What keeps this role from using the store; what is said first makes the rest unknown."""
    state = connection.execute(_STATE, {"tables": list(isolation.TABLES)}).one()
    if state.server < OLDEST_SERVER * 10_000:
        yield _too_old(database)
        return
    if state.encoding != "UTF8":
        yield f"The database {database.name} has the encoding {state.encoding}, and needs UTF8."
    if not state.has_tables:
        yield _no_tables(database)
        return
    if not state.may_use:
        yield (
            f"The role {state.role!r} may not use the store {database.name}. Its administrator "
            f"lets it in: {COMMAND} allow URL {state.role}."
        )
        return
    version = schema.version_in(connection)
    if version != schema.HEAD:
        schema.check_known(database, str(version))
        yield (
            f"The tables of the store {database.name} are of version {version}, and this "
            f"fractal-jupyter needs {schema.HEAD}. Its administrator brings them up to date: "
            f"{COMMAND} create URL."
        )
        return
    for power in isolation.powers(connection):
        yield (
            f"The role {state.role!r} {power}, so that rows of others would not be safe from it "
            f"in the store {database.name}. Use a role that is for this alone."
        )
    if open_tables := isolation.open_tables(connection):
        yield (
            f"In the store {database.name}, {', '.join(open_tables)} would show your rows to "
            f"others. Its administrator mends that: {COMMAND} create URL."
        )


_STATE = sa.text("""
SELECT current_user::text AS role, current_setting('server_version_num')::integer AS server,
       current_setting('server_encoding') AS encoding,
       to_regclass('public.alembic_version') IS NOT NULL AS has_tables,
       COALESCE(has_table_privilege(to_regclass('public.alembic_version'), 'SELECT')
           AND bool_and(COALESCE(
               has_table_privilege(to_regclass('public.' || name), needed), true)),
           false) AS may_use
FROM unnest(CAST(:tables AS text[])) AS tables(name),
     unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needs(needed)
""")


@contextmanager
def _administrating(database: Database) -> Iterator[sa.Connection]:
    """A transaction of the administrator, one at a time."""
    if database.is_sqlite:
        raise StoreError(
            f"{database.name} is a SQLite store: it belongs to one user, and needs no "
            "administrator."
        )
    with database.errors_in_words(), database.engine.begin() as connection:
        if (connection.dialect.server_version_info or ()) < (OLDEST_SERVER,):
            raise StoreError(_too_old(database))
        if not connection.execute(_OWNS_DATABASE).scalar():
            raise StoreError(_not_owner(database))
        if schema.version_in(connection) is not None:
            # One at a time, by what no user could hold up.
            connection.exec_driver_sql("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE")
        try:
            yield connection
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != "42501":
                raise
            raise StoreError(
                f"This role may not do that with the store {database.name}: {words(error.orig)}. "
                "It has to be the one that has made the tables, and to have CREATEROLE to make "
                "roles."
            ) from error


@contextmanager
def _taken_names(database: Database) -> Iterator[None]:
    try:
        yield
    except sa.exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != "42P07":
            raise
        raise StoreUnavailable(
            f"The database {database.name} has other tables already: {words(error.orig)}. "
            "Use a database that is for this alone: createdb --owner=ROLE NAME."
        ) from error


def _refuse_powers(connection: sa.Connection, role: str) -> None:
    if powers := " and ".join(isolation.powers(connection, role)):
        raise StoreError(
            f"The role {role!r} {powers}: rows of others would not be safe from it. Let in a role "
            "that is for this alone."
        )
    if others := isolation.also_as(connection, role):
        raise StoreError(
            f"The role {role!r} is a member of {', '.join(map(repr, others))}, and may act as "
            "what others log in as. Take that back first (REVOKE … FROM …)."
        )


def _not_owner(database: Database) -> str:
    return (
        f"This role does not own the database of {database.name}, as its administrator has to. "
        "Use that role, or a database of this role's: createdb --owner=ROLE NAME."
    )


def _too_old(database: Database) -> str:
    return f"The server of {database.name} is too old: PostgreSQL {OLDEST_SERVER} is needed."


def _no_tables(database: Database) -> str:
    return (
        f"The database {database.name} has no tables for fractal-jupyter yet. Its administrator "
        f"makes them: {COMMAND} create URL."
    )

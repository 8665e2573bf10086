"""The version of a store's tables: created, checked, migrated (with a backup before).

Whoever opens a SQLite store does all that. On PostgreSQL it is the administrator's (`sharing.py`);
others only check.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import sqlalchemy as sa

from fractal_jupyter.errors import StoreError, StoreTooNew
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.tables import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
# The newest migration that this version of the package has. A test compares it with the folder:
# asking Alembic here would cost its import at every start.
HEAD = "0001"


def prepare(database: Database) -> None:
    """Bring the tables of `database`, a SQLite file, to this version of the package.

    Raises:
        StoreTooNew: A newer version of the package has written the store.
        StoreUnavailable: The file is no database, or cannot be read.
    """
    version = current_version(database)
    if version == HEAD:
        return
    if version is not None:
        check_known(database, version)
        if database.path is not None:
            backup(database.path, version)
    with database.write() as connection:
        if version is not None:
            migrate(connection)
        elif version_in(connection) is None:
            # Still none, under the write lock: several may start together.
            create(connection)


def current_version(database: Database) -> str | None:
    """The version of the tables in `database`; None when there are none."""
    with database.read() as connection:
        return version_in(connection)


def version_in(connection: sa.Connection) -> str | None:
    """The version of the tables that a connection sees; None when there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def check_known(database: Database, version: str) -> None:
    """Raise `StoreTooNew` if this version of the package does not know that of the tables."""
    known = {path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}
    if version not in known:
        raise StoreTooNew(
            f"The store {database.name} was written by a newer version of fractal-jupyter "
            f"(its tables are of version {version}, this one knows up to {HEAD}). "
            "Upgrade fractal-jupyter, or use another store: Fractal(url='sqlite:///…')."
        )


def create(connection: sa.Connection) -> None:
    """Create the newest tables at once."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(
        sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    )
    connection.execute(sa.text("INSERT INTO alembic_version VALUES (:v)"), {"v": HEAD})


def migrate(connection: sa.Connection) -> None:
    """Bring older tables to the newest version."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def backup(path: Path, version: str) -> Path:
    """Copy the SQLite file at `path`, consistently, to a file beside it; return the copy's path."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    copy = path.with_name(f"{path.name}.{version}.{stamp}.backup")
    needed, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * needed:
        raise StoreError(
            f"The store {path} must be migrated, and there is no room for a backup before: "
            f"{needed / 1e6:.0f} MB are needed twice, {free / 1e6:.0f} MB are free. "
            "Free some space."
        )
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    copy.chmod(0o600)
    return copy

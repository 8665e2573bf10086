"""The version of a store's tables: created, checked, migrated (with a backup before)."""

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
    """Bring the tables of `database` to this version of the package.

    Raises:
        StoreTooNew: A newer version of the package has written the store.
        StoreUnavailable: The file is no database, or cannot be read.
    """
    version = current_version(database)
    if version == HEAD:
        return
    if version is None:
        _create(database)
    elif version in _known_versions():
        _migrate(database, version)
    else:
        raise StoreTooNew(
            f"The store {database.name} was written by a newer version of fractal-jupyter "
            f"(its tables are of version {version}, this one knows up to {HEAD}). "
            "Upgrade fractal-jupyter, or use another store: Fractal(url='sqlite:///…')."
        )


def current_version(database: Database) -> str | None:
    """The version of the tables in `database`; None when there are none."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _known_versions() -> set[str]:
    return {path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _create(database: Database) -> None:
    """Create the newest tables at once, under the write lock: several may start together."""
    with database.write() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            return
        metadata.create_all(connection)
        connection.execute(
            sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:v)"), {"v": HEAD})


def _migrate(database: Database, version: str) -> None:
    from alembic import command
    from alembic.config import Config

    if database.path is not None:
        backup(database.path, version)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.write() as connection:
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

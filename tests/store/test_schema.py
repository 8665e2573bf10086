import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from fractal_jupyter.errors import StoreError, StoreTooNew
from fractal_jupyter.store import schema
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.store import Store
from tests.open_files import open_files

NEXT = '''
"""Another column."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None
def upgrade() -> None:
    op.add_column("datasets", sa.Column("colour", sa.String()))
'''


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return config


def described(database: Database) -> dict[str, object]:
    with database.read() as connection:
        inspector = sa.inspect(connection)
        return {
            table: (
                sorted(
                    (c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)
                ),
                sorted((i["name"] or "", i["column_names"]) for i in inspector.get_indexes(table)),
                sorted(
                    (u["name"] or "", u["column_names"])
                    for u in inspector.get_unique_constraints(table)
                ),
                sorted(
                    (f["constrained_columns"], f["referred_table"], f["options"].get("ondelete"))
                    for f in inspector.get_foreign_keys(table)
                ),
            )
            for table in inspector.get_table_names()
            if table != "alembic_version"
        }


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == schema.HEAD


def test_a_new_store_has_the_tables_that_the_migrations_make(tmp_path: Path) -> None:
    with (
        closing(Database(f"sqlite:///{tmp_path}/created.db")) as created,
        closing(Database(f"sqlite:///{tmp_path}/migrated.db")) as migrated,
    ):
        schema.prepare(created)
        config = alembic_config()
        with migrated.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        assert described(created) == described(migrated)
        assert schema.current_version(created) == schema.current_version(migrated) == schema.HEAD


def test_a_store_of_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    Store(url).close()
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("update alembic_version set version_num = '0099'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreTooNew, match=r"newer version of fractal-jupyter.*0099"):
        Store(url)
    assert not open_files(tmp_path)


def test_a_migration_keeps_the_data_and_makes_a_backup_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    store = Store(url)
    store.datasets.add("plate", zarr_dir="/data", project_dir="/data")
    store.close()
    migrations = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, migrations)
    (migrations / "versions" / "0002_colour.py").write_text(NEXT)
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "HEAD", "0002")

    migrated = Store(url)

    with migrated.database.read() as connection:
        row = connection.execute(sa.text("select name, colour from datasets")).one()
    assert tuple(row) == ("plate", None)
    (backup,) = tmp_path.glob("a.db.0001.*.backup")
    old = sqlite3.connect(backup)
    assert old.execute("select version_num from alembic_version").fetchone() == ("0001",)
    assert old.execute("select name from datasets").fetchone() == ("plate",)
    old.close()
    migrated.close()


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match=r"cannot be used.*damaged"):
        Store(f"sqlite:///{tmp_path}/a.db")
    assert not open_files(tmp_path)

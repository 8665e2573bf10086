"""What goes wrong with a PostgreSQL server, and what users are told to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from fractal_jupyter.errors import StoreUnavailable
from fractal_jupyter.models.images import Image
from fractal_jupyter.store import postgresql as module
from fractal_jupyter.store.store import Store
from tests.postgresql import MAX_CONNECTIONS, Server, SharedStore
from tests.slurm.fixtures import skip_for_machine
from tests.toy import wait_until


@pytest.fixture
def store(shared_store: SharedStore) -> Iterator[Store]:
    store = Store(shared_store.url("alice"))
    yield store
    store.close()


def test_a_server_that_is_not_there(store: Store, postgresql: Server) -> None:
    postgresql.stop()
    try:
        assert store.database.data_version() is None
        with pytest.raises(StoreUnavailable, match=r"wait until it answers.*go on by themselves"):
            store.workflows.all()
    finally:
        postgresql.start()
    assert store.workflows.all() == []
    assert store.database.data_version() is not None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://alice@localhost:1/x", "wait until it answers"),
        ("postgresql://alice@nowhere.invalid/x", "wait until it answers"),
        ("postgresql://alice@/nowhere?host={folder}", "makes databases, with createdb"),
        ("postgresql://nobody@/{database}?host={folder}", "store allow URL ROLE"),
    ],
)
def test_what_is_not_there(shared_store: SharedStore, url: str, words: str) -> None:
    folder, database = shared_store.server.folder, shared_store.database
    with pytest.raises(StoreUnavailable, match=words) as raised:
        Store(url.format(folder=folder, database=database))
    assert "\n" not in str(raised.value)


def test_a_server_that_stops_in_the_middle_of_a_transaction(
    store: Store, postgresql: Server
) -> None:
    def write() -> None:
        with store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM workflows")
            postgresql.stop("immediate")
            connection.exec_driver_sql("DELETE FROM workflows")

    store.workflows.add("v", [])
    try:
        with pytest.raises(StoreUnavailable, match=r"wait until it answers"):
            write()
    finally:
        postgresql.start()
    store.workflows.add("w", [])
    assert store.workflows.names() == ["v", "w"]


def test_too_many_connections(shared_store: SharedStore, store: Store) -> None:
    store.close()
    server, database = shared_store.server, shared_store.database
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            try:
                stack.enter_context(server.connect(database, role="bob"))
            except Exception:
                break
        with pytest.raises(StoreUnavailable, match=r"as many connections as it allows"):
            store.workflows.all()
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bob'"
    wait_until(lambda: server.execute(query) == [(0,)])
    assert store.workflows.all() == []


def test_a_standby_is_read_and_is_written_once_it_is_promoted(shared_store: SharedStore) -> None:
    with shared_store.server.standby() as standby:
        url = standby.url("alice", shared_store.database)
        hosts = f"?host={standby.folder},{shared_store.server.folder}&"
        primary = url.replace(f"?host={standby.folder}", f"{hosts}target_session_attrs=read-write")
        with closing(Store(url)) as store, closing(Store(primary)) as written:
            assert store.workflows.all() == []
            with pytest.raises(StoreUnavailable, match=r"standby.*target_session_attrs"):
                store.workflows.add("w", [])
            before = store.database.data_version()
            written.workflows.add("v", [])
            wait_until(lambda: store.database.data_version() != before)
            standby.run("pg_ctl", "promote", "--wait")
            store.workflows.add("w", [])
            assert store.workflows.names() == ["v", "w"]


def test_a_role_that_may_not_any_more(shared_store: SharedStore, store: Store) -> None:
    shared_store.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM alice")
    with pytest.raises(StoreUnavailable, match=r"permission denied.*store allow URL ROLE"):
        store.workflows.all()


def test_a_process_that_stands_still_keeps_others_waiting_for_a_while_only(
    shared_store: SharedStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = store.database.engine.connect()
    with limits:
        shown = limits.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
        assert shown == f"{module.STANDSTILL_SECONDS}s"
        assert module.STANDSTILL_SECONDS < module.LOCK_SECONDS
    monkeypatch.setattr(module, "_SETTINGS", "SET lock_timeout = '100ms'")
    with closing(Store(shared_store.url("alice"))) as other, store.database.write():
        with pytest.raises(StoreUnavailable, match=r"Another process of the same role"):
            other.workflows.add("w", [])
        # Another user has a turn of their own.
        with closing(Store(shared_store.url("bob"))) as bobs:
            bobs.workflows.add("w", [])


def test_connections_are_few_and_end_when_they_are_not_used(
    shared_store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTINGS", "SET idle_session_timeout = '100ms'")
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice'"
    with closing(Store(shared_store.url("alice"))) as store:
        wait_until(lambda: shared_store.execute(query) == [(0,)])
        assert store.workflows.all() == []


def test_text_with_nul_is_kept_but_for_that(store: Store) -> None:
    activity = store.activities.begin(action="collect", subject="x")
    store.activities.append_log(activity.id, "a\0b")
    store.workflows.add("w", [{"text": "a\0b"}])
    assert store.activities.get(activity.id).log == "a\N{REPLACEMENT CHARACTER}b"
    assert store.workflows.get("w").steps == [{"text": "a\0b"}]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of a few MB, in memory, that belongs to the server."""
    if os.geteuid() != 0:
        skip_for_machine("a full disk under PostgreSQL", "only root may mount a file system")
    folder = Path(tempfile.mkdtemp(prefix="pg-disk-", dir="/var/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "small-disk", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        skip_for_machine("a full disk under PostgreSQL", "no file system can be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


def test_a_full_disk(small_disk: Path, shared_store: SharedStore, store: Store) -> None:
    store.close()
    server = shared_store.server
    shutil.chown(small_disk, server.user)
    server.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    try:
        shared_store.execute("ALTER TABLE images SET TABLESPACE small")
        key = store.datasets.add("d", zarr_dir="/d", project_dir="/d").id
        filler = small_disk / "filler"
        _fill(filler)
        many = [Image(f"/d/{n}.zarr") for n in range(2000)]
        with pytest.raises(StoreUnavailable, match=r"disk is full.*go on by themselves"):
            store.datasets.add_images(key, many)
        filler.unlink()
        store.datasets.add_images(key, many)
        assert store.datasets.count_images(key) == 2000
    finally:
        shared_store.execute("ALTER TABLE images SET TABLESPACE pg_default")
        server.execute("DROP TABLESPACE small")

"""Jobs on a PostgreSQL store, with real supervisors; and what becomes of them in trouble."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import StoreError
from fractal_jupyter.runner.launch import log_path
from fractal_jupyter.server.events import Watch
from fractal_jupyter.store import sharing
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.schema import HEAD
from fractal_jupyter.store.store import Store
from tests.postgresql import Server, SharedStore
from tests.toy import make_dataset, supervisor_pid, toy_fractal, wait_until


@pytest.fixture
def fractal(
    shared_store: SharedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fractal]:
    """A client of alice's with the toy tasks; jobs land below `tmp_path`."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    with toy_fractal(tmp_path, url=shared_store.url("alice")) as fractal:
        yield fractal


def test_a_job_fails_is_retried_and_another_one_is_cancelled(
    fractal: Fractal, tmp_path: Path
) -> None:
    dataset = make_dataset(fractal, 6)
    job = fractal.submit(
        "Toy Parallel", dataset, args={"behaviour": "raise", "only": "-3.zarr"}
    ).wait(60)
    assert job.status == "failed"
    assert "1 failed of 6 units" in str(job.error)
    job.retry().wait(60)
    assert [len(job.units(status=status)) for status in ("done", "failed")] == [5, 1]

    first = fractal.submit("Toy Parallel", dataset, args={"gate": str(tmp_path / "gate")})
    second = fractal.submit("Toy Parallel", dataset)
    wait_until(lambda: first.steps[0].running)
    wait_until(lambda: f"job {first.id}" in (second.waiting_for or ""))
    first.cancel().wait(60)
    assert first.status == "cancelled"
    assert second.wait(60).status == "done"


def test_a_server_that_is_killed_and_comes_back_does_not_lose_a_job(
    fractal: Fractal, postgresql: Server, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 3), args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running)
    pid = supervisor_pid(fractal._store)
    log = log_path(fractal._store)
    postgresql.stop("immediate")
    try:
        with pytest.raises(StoreError, match=r"wait until it answers.*go on by themselves"):
            fractal.jobs.list()
        wait_until(lambda: "the next attempt is in" in log.read_text())
        gate.touch()
    finally:
        postgresql.start()
    assert job.wait(60).status == "done"
    assert supervisor_pid(fractal._store) == pid


def test_the_server_extension_sees_what_others_write(shared_store: SharedStore) -> None:
    with closing(Store(shared_store.url("alice"))) as store:
        watch = Watch(store)
        assert watch.look() == []
        with closing(Store(shared_store.url("bob"))) as bobs:
            bobs.workflows.add("w", [])
        assert watch.look() == []
        with closing(Store(shared_store.url("alice"))) as other:
            record = other.workflows.add("w", [])
        assert watch.look() == [("workflow", record.id)]
        assert watch.look() == []


@pytest.mark.slow
def test_a_job_says_that_the_store_took_no_changes(
    fractal: Fractal, shared_store: SharedStore, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 3), args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running)
    log = log_path(fractal._store)
    shared_store.execute("REVOKE UPDATE ON revisions FROM alice")
    gate.touch()
    wait_until(lambda: "the next attempt is in 4 s" in log.read_text())
    shared_store.execute("GRANT UPDATE ON revisions TO alice")
    wait_until(lambda: "cannot go on for now" in (job.waiting_for or ""))
    assert "permission denied" in str(job.waiting_for)
    assert job.wait(60).status == "done"
    assert job.waiting_for is None


def test_a_supervisor_of_an_older_version_ends_and_the_next_one_goes_on(
    fractal: Fractal, shared_store: SharedStore, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 3), args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running)
    before = supervisor_pid(fractal._store)
    version = "UPDATE alembic_version SET version_num = '{}'"
    shared_store.execute(version.format("0099"))
    wait_until(lambda: "were changed meanwhile" in log_path(fractal._store).read_text())
    wait_until(lambda: has_ended(before))
    shared_store.execute(version.format(HEAD))
    gate.touch()
    assert job.wait(60).status == "done"
    assert supervisor_pid(fractal._store) != before


def has_ended(pid: int) -> bool:
    """Whether a process is over, its parent told or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_connections_that_are_cut_are_made_again(
    fractal: Fractal, postgresql: Server, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 3), args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running)
    for _ in range(3):
        # The supervisor's, and our own.
        wait_until(lambda: postgresql.cut_connections("alice"))
        assert job.status == "running"
    gate.touch()
    assert job.wait(60).status == "done"


def test_the_supervisor_finds_the_password_that_we_found_and_nobody_else_does(
    shared_store: SharedStore,
    postgresql: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    role, password = "carol", "a-secret-of-carol"
    postgresql.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE with_password")
    database = Database(shared_store.administration)
    sharing.allow(database, [role])
    database.close()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    url = shared_store.url(role)
    with pytest.raises(StoreError, match=r"not believe that you are that role.*pgpass"):
        Fractal(url)

    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:*:{role}:{password}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    _run_job(url, tmp_path)
    monkeypatch.delenv("PGPASSFILE")
    passwords.unlink()
    _run_job(postgresql.url(role, shared_store.database, password=password), tmp_path)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "supervisor.log" for path in files)
    assert not [path for path in files if password.encode() in path.read_bytes()]
    postgresql.execute(f"ALTER ROLE {role} RENAME TO carol_is_gone")


def _run_job(url: str, folder: Path) -> None:
    """Run a job whose tasks see nothing of the password, nor does anybody in `ps`."""
    with toy_fractal(folder, url=url) as fractal:
        name = f"plate-{len(fractal.datasets.list())}"
        job = fractal.submit("Toy Parallel", make_dataset(fractal, 2, name)).wait(60)
        assert job.status == "done"
        pid = supervisor_pid(fractal._store)
        assert b"secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "secret" not in repr(fractal)

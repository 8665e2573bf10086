"""Jobs on a PostgreSQL store, with real supervisors; and what becomes of them in trouble."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import StoreError
from fractal_jupyter.runner.launch import log_path
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
    dataset = make_dataset(fractal, 3)
    job = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate)})
    wait_until(lambda: job.steps[0].running)
    pid = supervisor_pid(fractal._store)
    postgresql.stop("immediate")
    try:
        with pytest.raises(StoreError, match=r"stopping or starting.*go on by themselves"):
            fractal.jobs.list()
        log = log_path(fractal._store)
        wait_until(lambda: "the next attempt is in" in log.read_text())
        gate.touch()
    finally:
        postgresql.start()
    wait_until(lambda: "cannot go on for now" in (job.waiting_for or "") or job.status == "done")
    assert job.wait(90).status == "done"
    assert supervisor_pid(fractal._store) == pid

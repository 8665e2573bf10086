"""Jobs as clients see them, on both databases."""

from __future__ import annotations

from collections import Counter

import pytest

from fractal_jupyter.errors import NotAllowed, NotFound
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store
from tests.store.test_leases import add_job, take


def test_a_job_from_its_units_to_its_end_and_again(store: Store) -> None:
    lease = take(store)
    assert lease is not None
    running, job = Running(store.database, lease), add_job(store)
    (step,) = store.jobs.steps(job.id)
    planned = [(f"/data/{number}.zarr", {"number": number}) for number in range(20)]
    running.add_units(step, phase="parallel", planned=planned, type_filter={"is_3D": True})
    batches = running.add_batches(
        step,
        "parallel",
        name="n",
        planned=[(0, "/0", range(10)), (1, "/1", range(10, 20)), (2, "/2", ())],
    )
    assert [batch.number for batch in batches] == [0, 1, 2]
    assert [len(running.batch_units(batch)) for batch in batches] == [10, 10, 0]
    assert (running.count_units_of(job.id, "n"), running.count_units_of(job.id, "m")) == (20, 0)
    running.record_results(
        step,
        changes={
            **{index: {"status": "done", "output": {"at": index}} for index in range(19)},
            19: {"status": "failed", "exit_code": 3_221_225_477, "error": "No.\0"},
        },
        counters=Counter(done=19, failed=1),
        positions={batch.id: {"results-0000": [1, 2]} for batch in batches},
    )
    page, total = store.jobs.unit_page(job.id, statuses=["done"], offset=15, limit=10)
    assert [unit.index for unit in page] == [15, 16, 17, 18]
    assert total == 19
    assert store.jobs.unit(job.id, 7).output == {"at": 7}
    assert store.jobs.unit(job.id, 19).exit_code == 3_221_225_477
    assert [batch.positions for batch in store.jobs.batches(job.id)] == [
        {"results-0000": [1, 2]}
    ] * 3
    running.end_job(job.id, status="failed", error="No.")
    assert store.jobs.counts("me")["failed"] == 1

    retried = store.jobs.request_retry(job.id)
    assert (retried.status, retried.error) == ("submitted", None)
    assert [unit.index for unit in store.jobs.units(job.id, status="pending")] == [19]
    with pytest.raises(NotAllowed):
        store.jobs.remove(job.id)


def test_listings_go_back_in_pages(store: Store) -> None:
    keys = [add_job(store).id for _ in range(5)]
    assert [job.id for job in store.jobs.all(owner="me", limit=2)] == keys[:2:-1]
    older = store.jobs.all(owner="me", status="submitted", before=keys[2])
    assert [job.id for job in older] == keys[1::-1]
    assert [len(steps) for steps in store.jobs.steps_of(keys).values()] == [1] * 5


def test_numbers_that_nothing_has(store: Store) -> None:
    for key in (0, 10**6, 10**12):
        with pytest.raises(NotFound):
            store.jobs.get(key)

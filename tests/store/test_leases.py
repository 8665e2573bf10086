import pytest

from fractal_jupyter.errors import LeaseLost
from fractal_jupyter.store.leases import Lease
from fractal_jupyter.store.records import JobRecord
from fractal_jupyter.store.running import Running
from fractal_jupyter.store.store import Store


def take(store: Store, **options: object) -> Lease | None:
    return store.leases.take("me", process={"pid": 1}, address=None, **options)  # type: ignore[arg-type]


def add_job(store: Store, *, dataset: str = "plate", owner: str = "me") -> JobRecord:
    record = store.datasets.find(dataset) or store.datasets.add(
        dataset, zarr_dir="/data", project_dir="/data"
    )
    return store.jobs.add(
        {
            "owner": owner,
            "name": "job",
            "dataset_id": record.id,
            "dataset_name": record.name,
            "resource_name": "r",
            "profile_name": "p",
            "request": {},
        },
        [{"task_name": "t", "package": "p", "version": "1", "request": {}}],
    )


def test_only_one_holds_a_lease(store: Store) -> None:
    assert take(store) is not None
    assert take(store) is None
    other = store.leases.take("you", process={}, address=None)
    assert other is not None


def test_a_released_lease_can_be_taken_with_the_next_epoch(store: Store) -> None:
    first = take(store)
    assert first is not None
    store.leases.release(first)
    second = take(store)
    assert second is not None
    assert second.epoch == first.epoch + 1
    with pytest.raises(LeaseLost):
        store.leases.beat(first)
    store.leases.beat(second)


def test_a_silent_holder_is_replaced_and_cannot_write_any_more(store: Store) -> None:
    first = take(store)
    assert first is not None
    second = take(store, silent=store.leases.get("me"))
    assert second is not None
    with pytest.raises(LeaseLost):
        Running(store.database, first).end_job(1, status="done", error=None)
    store.leases.release(first)  # a late goodbye does not release what another one holds
    store.leases.beat(second)


def test_a_holder_that_beats_again_is_not_replaced(store: Store) -> None:
    first = take(store)
    assert first is not None
    seen = store.leases.get("me")
    store.leases.beat(first)
    assert take(store, silent=seen) is None
    store.leases.beat(first)


def test_a_lease_is_kept_while_there_are_active_jobs(store: Store) -> None:
    lease = take(store)
    assert lease is not None
    job = add_job(store)
    assert not store.leases.release_if_idle(lease)
    Running(store.database, lease).end_job(job.id, status="done", error=None)
    assert store.leases.release_if_idle(lease)


def test_one_job_at_a_time_works_on_a_dataset_in_the_order_of_submission(store: Store) -> None:
    lease = take(store)
    assert lease is not None
    running = Running(store.database, lease)
    first, second = add_job(store), add_job(store)
    elsewhere = add_job(store, dataset="other")
    waiting = running.start_job(second)
    assert waiting is not None
    assert f"job {first.id}" in waiting
    assert "'plate'" in waiting
    assert running.start_job(first) is None
    assert running.start_job(elsewhere) is None
    assert store.jobs.get(second.id).waiting_for == running.start_job(second)
    running.end_job(first.id, status="done", error=None)
    assert running.start_job(store.jobs.get(second.id)) is None
    assert store.jobs.get(second.id).waiting_for is None

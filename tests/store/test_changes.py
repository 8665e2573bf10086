"""Pictures of the store, and what is different between them."""

from __future__ import annotations

import sqlalchemy as sa

from fractal_jupyter.models.images import Image
from fractal_jupyter.store.changes import Change, Picture, changes
from fractal_jupyter.store.store import Store
from fractal_jupyter.store.tables import jobs
from tests.store.test_leases import add_job


class Looks:
    """Looks again and again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: Picture = store.changes.picture("me")

    def new(self) -> list[Change]:
        now = self._store.changes.picture("me", before=self._last)
        found, self._last = changes(self._last, now), now
        return sorted(found, key=str)


def test_things_that_come_change_and_go(store: Store) -> None:
    looks = Looks(store)
    assert looks.new() == []
    record = store.workflows.add("w", [{"task": "t"}])
    assert looks.new() == [("workflow", record.id)]
    store.workflows.update(record.id, "w", [{"task": "u"}])
    assert looks.new() == [("workflow", record.id)]
    store.workflows.remove(record)
    assert looks.new() == [("workflow", record.id)]
    assert looks.new() == []


def test_image_lists(store: Store) -> None:
    record = store.datasets.add("d", zarr_dir="/d", project_dir="/d")
    looks = Looks(store)
    image = Image("/d/a.zarr")
    store.datasets.add_images(record.id, [image])
    assert looks.new() == [("dataset", record.id)]
    store.datasets.update_images(record.id, [Image("/d/a.zarr", types={"is_3D": True})])
    assert looks.new() == [("dataset", record.id)]
    store.datasets.remove_images(record.id, ["/d/a.zarr"])
    assert looks.new() == [("dataset", record.id)]
    store.datasets.remove_images(record.id, ["/d/a.zarr"])
    assert looks.new() == []


def test_jobs(store: Store) -> None:
    looks = Looks(store)
    job = add_job(store)
    add_job(store, owner="somebody else")
    assert looks.new() == [("dataset", 1), ("job", job.id)]
    store.jobs.request_cancel(job.id)
    assert looks.new() == [("job", job.id)]
    assert looks.new() == []


def test_a_job_that_is_over_is_told_when_it_runs_again_and_when_it_is_gone(store: Store) -> None:
    job = add_job(store)
    looks = Looks(store)
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET status = 'failed'")
    assert looks.new() == [("job", job.id)]
    assert looks.new() == []
    store.jobs.request_retry(job.id)
    assert looks.new() == [("job", job.id)]
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET status = 'failed'")
    assert looks.new() == [("job", job.id)]
    looks.new()
    store.jobs.remove(job.id)
    assert looks.new() == [("job", None)]


def test_activities(store: Store) -> None:
    looks = Looks(store)
    activity = store.activities.begin(action="collect", subject="x")
    assert looks.new() == [("activity", activity.id)]
    store.activities.append_log(activity.id, "line\n")
    assert looks.new() == [("activity", activity.id)]
    store.activities.end(activity.id, error=None)
    assert looks.new() == [("activity", activity.id)]
    assert looks.new() == []


def test_a_counter_says_whether_anybody_has_written(store_url: str, store: Store) -> None:
    before = store.database.data_version()
    assert before is not None
    store.workflows.all()
    assert store.database.data_version() == before
    other = Store(store_url)
    assert store.database.data_version() == before
    other.workflows.add("w", [])
    other.close()
    assert store.database.data_version() != before


def test_a_job_that_was_over_and_is_over_again_is_told(store: Store) -> None:
    """Jobs of a second are retried and end between two looks."""
    job = add_job(store)

    def end(status: str, ended: float) -> None:
        with store.database.write() as connection:
            connection.execute(sa.update(jobs).values(status=status, ended=ended))

    end("failed", 10.0)
    looks = Looks(store)
    assert looks.new() == []
    store.jobs.request_retry(job.id)
    end("done", 11.0)
    assert looks.new() == [("job", job.id)]
    assert looks.new() == []

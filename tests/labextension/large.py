"""A store with many jobs, one of them with many units."""

from __future__ import annotations

import sqlalchemy as sa

from fractal_jupyter import Fractal
from fractal_jupyter.store.tables import jobs, steps, units

JOBS, UNITS, FAILED = 1_000, 10_000, 7
NODES, SIDE_BY_SIDE, SECONDS = 4, 8, 0.2


def add_large_job(fractal: Fractal) -> int:
    """Run a job, and copy it many times; return the number of the one with many units."""
    done = fractal.submit("Toy Parallel", "plate").wait(60)
    with fractal._store.database.write() as connection:
        job = connection.execute(sa.select(jobs).where(jobs.c.id == done.id)).one()._asdict()
        step = connection.execute(sa.select(steps).where(steps.c.job_id == done.id)).one()
        unit = connection.execute(
            sa.select(units).where(units.c.job_id == done.id, units.c.index == 0)
        ).one()
        key = done.id + JOBS
        keys = range(done.id + 1, key + 1)
        connection.execute(
            sa.insert(jobs), [{**job, "id": one, "name": f"Many {one}"} for one in keys]
        )
        numbers = {"total": UNITS, "done": UNITS - FAILED, "failed": FAILED}
        rows = [{**step._asdict(), "job_id": one, **numbers} for one in keys]
        connection.execute(sa.insert(steps), rows)
        every = UNITS // FAILED
        begun = [unit.started + index // SIDE_BY_SIDE * SECONDS for index in range(UNITS)]
        connection.execute(
            sa.insert(units),
            [
                {
                    **unit._asdict(),
                    "job_id": key,
                    "index": index,
                    "zarr_url": f"/data/{index}.zarr",
                    "status": "failed" if index % every == every - 1 else "done",
                    "started": started,
                    "ended": started + 0.95 * SECONDS,
                    "node": f"node{index % NODES}",
                }
                for index, started in enumerate(begun)
            ],
        )
    return key

"""Jobs, steps and units as clients see and submit them; supervisors write with `Running`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import NotAllowed, NotFound
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.leases import ACTIVE_JOBS
from fractal_jupyter.store.records import BatchRecord, JobRecord, StepRecord, UnitRecord
from fractal_jupyter.store.tables import batches, jobs, steps, units
from fractal_jupyter.store.task_groups import use

UNIT_COUNTERS = ("total", "running", "done", "failed", "cancelled", "interrupted")
FINAL_JOBS = ("done", "failed", "cancelled")
JOB_STATUSES = (*ACTIVE_JOBS, *FINAL_JOBS)
# What a unit's row has without what may be large: its output, and for pages its arguments.
_SLIM = [sa.literal(None).label(c.name) if c.name == "output" else c for c in units.c]
_NOTHING: dict[str, Any] = {"args": sa.literal({}, sa.JSON), "output": sa.literal(None)}
_PAGED = [_NOTHING[c.name].label(c.name) if c.name in _NOTHING else c for c in units.c]


class Jobs:
    """All jobs of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: dict[str, Any], job_steps: Sequence[dict[str, Any]]) -> JobRecord:
        """Add a job with its steps, as `submitted`.

        Raises:
            NotAllowed: A task group that a step uses is not active any more.
        """
        used = {step["request"].get("task_group_id") for step in job_steps} - {None}
        with self._database.write() as connection:
            use(connection, used)
            row = connection.execute(
                sa.insert(jobs)
                .values(status="submitted", cancel_requested=False, created=time.time(), **job)
                .returning(*jobs.c)
            ).one()
            connection.execute(
                sa.insert(steps),
                [
                    {
                        "job_id": row.id,
                        "position": position,
                        "status": "pending",
                        "phases_planned": 0,
                        **dict.fromkeys(UNIT_COUNTERS, 0),
                        **step,
                    }
                    for position, step in enumerate(job_steps)
                ],
            )
        return JobRecord.from_row(row)

    def get(self, key: int) -> JobRecord:
        """The job with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == key)).one_or_none()
        if row is None:
            raise NotFound(f"There is no job {key}.")
        return JobRecord.from_row(row)

    def all(
        self,
        *,
        owner: str | None = None,
        status: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[JobRecord]:
        """Jobs, the newest first; with `before`, only those older than the one with this id."""
        # Rows are large, and an index has what is asked of them.
        ids = sa.select(jobs.c.id).order_by(jobs.c.id.desc())
        if owner is not None:
            ids = ids.where(jobs.c.owner == owner)
        if status is not None:
            ids = ids.where(jobs.c.status == status)
        if before is not None:
            ids = ids.where(jobs.c.id < before)
        if limit is not None:
            ids = ids.limit(limit)
        query = sa.select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id.desc())
        with self._database.read() as connection:
            return [JobRecord.from_row(row) for row in connection.execute(query)]

    def counts(self, owner: str) -> dict[str, int]:
        """How many jobs of `owner` there are, by status."""
        query = (
            sa.select(jobs.c.status, sa.func.count())
            .where(jobs.c.owner == owner)
            .group_by(jobs.c.status)
        )
        with self._database.read() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {status: found.get(status, 0) for status in JOB_STATUSES}

    def active(self, owner: str) -> list[JobRecord]:
        """The jobs of `owner` that are not over, the oldest first."""
        query = (
            sa.select(jobs)
            .where(jobs.c.owner == owner, jobs.c.status.in_(ACTIVE_JOBS))
            .order_by(jobs.c.id)
        )
        with self._database.read() as connection:
            return [JobRecord.from_row(row) for row in connection.execute(query)]

    def steps(self, key: int) -> list[StepRecord]:
        """The steps of a job, in order."""
        query = sa.select(steps).where(steps.c.job_id == key).order_by(steps.c.position)
        with self._database.read() as connection:
            return [StepRecord.from_row(row) for row in connection.execute(query)]

    def steps_of(self, keys: Sequence[int]) -> dict[int, list[StepRecord]]:
        """The steps of several jobs, by job."""
        found: dict[int, list[StepRecord]] = {key: [] for key in keys}
        query = (
            sa.select(steps)
            .where(steps.c.job_id.in_(keys))
            .order_by(steps.c.job_id, steps.c.position)
        )
        with self._database.read() as connection:
            for row in connection.execute(query):
                found[row.job_id].append(StepRecord.from_row(row))
        return found

    def units(
        self,
        key: int,
        *,
        status: str | None = None,
        step: int | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[UnitRecord]:
        """Units of a job in the order of their indexes, without their outputs."""
        query = sa.select(*_SLIM).where(units.c.job_id == key).order_by(units.c.index)
        if status is not None:
            query = query.where(units.c.status == status)
        if step is not None:
            query = query.where(units.c.step == step)
        if offset or limit is not None:
            query = query.offset(offset).limit(limit)
        with self._database.read() as connection:
            return [UnitRecord.from_row(row) for row in connection.execute(query)]

    def unit_page(
        self,
        key: int,
        *,
        statuses: Sequence[str] = (),
        step: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> tuple[list[UnitRecord], int]:
        """Some units of a job in the order of their indexes, without arguments and outputs.

        Args:
            key: The job.
            statuses: Only units of these statuses; of all when there are none.
            step: Only units of that step.
            offset: How many to pass over.
            limit: At most so many.

        Returns:
            The units, and how many there are of these statuses and that step.
        """
        which = [units.c.job_id == key]
        if statuses:
            which.append(units.c.status.in_(statuses))
        if step is not None:
            which.append(units.c.step == step)
        page = sa.select(*_PAGED).where(*which).order_by(units.c.index)
        with self._database.read() as connection:
            total = connection.execute(sa.select(sa.func.count()).where(*which)).scalar_one()
            rows = connection.execute(page.offset(offset).limit(limit))
            return [UnitRecord.from_row(row) for row in rows], total

    def unit_times(self, key: int) -> Sequence[sa.Row[Any]]:
        """When and where all units of a job ran, in the order of their indexes.

        Returns:
            Rows with `index`, `step`, `status`, `started`, `ended` and `node`.
        """
        columns = (
            units.c[name] for name in ("index", "step", "status", "started", "ended", "node")
        )
        query = sa.select(*columns).where(units.c.job_id == key).order_by(units.c.index)
        with self._database.read() as connection:
            return connection.execute(query).all()

    def unit(self, key: int, index: int) -> UnitRecord:
        """One unit, with its output; raises `NotFound`."""
        query = sa.select(units).where(units.c.job_id == key, units.c.index == index)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                count = connection.execute(
                    sa.select(sa.func.count()).where(units.c.job_id == key)
                ).scalar_one()
                has = f"0 to {count - 1}" if count else "none yet"
                raise NotFound(f"Job {key} has no unit {index}; its units: {has}.")
        return UnitRecord.from_row(row)

    def batch(self, batch_id: int) -> BatchRecord:
        """One batch."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(batches).where(batches.c.id == batch_id)).one()
        return BatchRecord.from_row(row)

    def batches(self, key: int, *, step: int | None = None) -> list[BatchRecord]:
        """The batches of a job, in order."""
        query = sa.select(batches).where(batches.c.job_id == key).order_by(batches.c.id)
        if step is not None:
            query = query.where(batches.c.step == step)
        with self._database.read() as connection:
            return [BatchRecord.from_row(row) for row in connection.execute(query)]

    def request_cancel(self, key: int) -> JobRecord:
        """Ask the supervisor to cancel a job; a job that is over stays as it is."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == key, jobs.c.status.in_(ACTIVE_JOBS))
                .values(cancel_requested=True)
            )
        return self.get(key)

    def request_retry(
        self,
        key: int,
        *,
        meta: Mapping[str, Any] | None = None,
        task_groups: Mapping[int, int] | None = None,
        environments: Mapping[int, str] | None = None,
    ) -> JobRecord:
        """Submit again what of a job did not succeed.

        Args:
            key: The id of the job.
            meta: Laid over what the steps that are left ask for.
            task_groups: The ids of what these steps run in now, by the position of the step.
            environments: The digests of that, by the position of the step.

        Raises:
            NotAllowed: The job is not over, or one of the task groups is not active any more.
        """
        groups = task_groups or {}
        with self._database.write() as connection:
            job = connection.execute(sa.select(jobs).where(jobs.c.id == key)).one_or_none()
            if job is None:
                raise NotFound(f"There is no job {key}.")
            if job.status not in ("failed", "cancelled"):
                raise NotAllowed(
                    f"Job {key} is {job.status}; only a failed or cancelled job can be retried."
                )
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == key)
                .values(
                    status="submitted",
                    error=None,
                    cancel_requested=False,
                    folder=_folder_of_retry(job),
                    **_another_run(jobs),
                )
            )
            use(connection, set(groups.values()))
            _change_requests(connection, key, meta or {}, groups, environments or {})
            connection.execute(
                sa.update(steps)
                .where(steps.c.job_id == key, steps.c.status.in_(["failed", "cancelled"]))
                .values(
                    status="pending",
                    error=None,
                    failed=0,
                    cancelled=0,
                    interrupted=0,
                    **_another_run(steps),
                )
            )
            connection.execute(
                sa.update(units)
                .where(units.c.job_id == key, units.c.status != "done")
                .values(
                    status="pending",
                    batch_id=None,
                    **dict.fromkeys(
                        (
                            *("error", "problem", "exit_code", "signal", "started", "ended"),
                            *("peak_memory", "cpu_seconds", "node", "log"),
                        )
                    ),
                )
            )
        return self.get(key)

    def mark_cleaned(self, key: int) -> bool:
        """Record that the folder of a job is about to be removed; False when it is not over.

        A retry after this has a folder of its own, so nothing of it is removed.
        """
        with self._database.write() as connection:
            marked = connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == key, jobs.c.status.in_(FINAL_JOBS))
                .values(cleaned=time.time())
            ).rowcount
        return bool(marked)

    def remove(self, key: int) -> JobRecord:
        """Forget a job that is over; its folder is the caller's business."""
        job = self.get(key)
        with self._database.write() as connection:
            removed = connection.execute(
                sa.delete(jobs).where(jobs.c.id == key, jobs.c.status.in_(FINAL_JOBS))
            ).rowcount
        if not removed:
            # It was not over, or somebody has retried it at this moment: its folder is needed.
            raise NotAllowed(f"Job {key} is not over; cancel it before you remove it.")
        return job


def _folder_of_retry(job: sa.Row[Any]) -> str | None:
    cleaned = job.cleaned is not None and job.cleaned >= (job.ended or 0.0)
    return f"{job.folder}-again" if cleaned and job.folder else job.folder


def _another_run(table: sa.Table) -> dict[str, Any]:
    """What a retry sets: the time of the run that is over is added to that of those before."""
    took = sa.func.coalesce(table.c.ended - table.c.started, 0.0)
    return {"started": None, "ended": None, "seconds_before": table.c.seconds_before + took}


def _change_requests(
    connection: sa.Connection,
    key: int,
    meta: Mapping[str, Any],
    groups: Mapping[int, int],
    environments: Mapping[int, str],
) -> None:
    """Change what the steps of a job that are not done ask for, and what they run in."""
    left = sa.select(steps).where(steps.c.job_id == key, steps.c.status != "done")
    for step in connection.execute(left).all():
        request = dict(step.request)
        if meta:
            for part in ("meta_non_parallel", "meta_parallel"):
                request[part] = {**request[part], **meta}
        if step.position in groups:
            request["task_group_id"] = groups[step.position]
        connection.execute(
            sa.update(steps)
            .where(steps.c.job_id == key, steps.c.position == step.position)
            .values(
                request=request,
                environment=environments.get(step.position, step.environment),
            )
        )

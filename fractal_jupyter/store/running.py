"""What a supervisor writes while it drives jobs. Every transaction checks its lease first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from fractal_jupyter.errors import StoreError
from fractal_jupyter.models.images import Image
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.datasets import (
    delete_images,
    insert_images,
    read_images,
    write_images,
)
from fractal_jupyter.store.leases import Lease, check
from fractal_jupyter.store.many import insert_many
from fractal_jupyter.store.records import BatchRecord, JobRecord, StepRecord, UnitRecord
from fractal_jupyter.store.tables import batches, jobs, steps, units

# What a unit can be, and the counter of its step that it counts in; pending units are the rest.
COUNTED = ("running", "done", "failed", "cancelled", "interrupted")
_PLANNED = ("job_id", "index", "step", "phase", "zarr_url", "args", "status", "merged")


class StoredOutput(NamedTuple):
    """What a unit has written: a JSON value; `merged` says whether it is in the image list."""

    unit: int
    zarr_url: str | None
    output: Any
    merged: bool


class Running:
    """The writes of the supervisor that holds `lease`; each raises `LeaseLost` when it is gone."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self.lease = lease

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._database.write() as connection:
            check(connection, self.lease)
            yield connection

    def check(self) -> None:
        """Raise `LeaseLost` unless the lease holds; for what is done outside of the store."""
        with self._database.read() as connection:
            check(connection, self.lease)

    # jobs

    def start_job(self, job: JobRecord) -> str | None:
        """Make a job `running`, unless its dataset is taken.

        Returns:
            None when the job runs now, else in words which job it waits for.
        """
        with self._write() as connection:
            other = connection.execute(
                sa.select(jobs.c.id, jobs.c.name, jobs.c.status)
                .where(
                    jobs.c.dataset_id == job.dataset_id,
                    jobs.c.id != job.id,
                    sa.or_(
                        jobs.c.status == "running",
                        sa.and_(
                            jobs.c.status == "submitted",
                            jobs.c.owner == job.owner,
                            jobs.c.id < job.id,
                        ),
                    ),
                )
                .order_by(jobs.c.id)
                .limit(1)
            ).one_or_none()
            waiting = None
            values: dict[str, Any] = {"status": "running", "waiting_for": None}
            if other is not None:
                waiting = (
                    f"waits for job {other.id} ({other.name}), which works on the dataset "
                    f"{job.dataset_name!r}"
                )
                values = {"waiting_for": waiting}
            elif job.started is None:
                values["started"] = time.time()
            if other is None or job.waiting_for != waiting:
                connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))
        return waiting

    def end_job(self, job_id: int, *, status: str, error: str | None) -> None:
        """Record how a job ended."""
        with self._write() as connection:
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id)
                .values(status=status, error=error, waiting_for=None, ended=time.time())
            )

    def set_waiting(self, job_id: int, why: str | None) -> None:
        """Say in words what keeps a job from going on; None when it does."""
        with self._write() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(waiting_for=why))

    def abandon_job(self, job_id: int, error: str) -> None:
        """Record that nothing of a job runs any more; `error` says why, for all that has not ended.

        Counters are counted anew: whatever has gone wrong, they are right afterwards.
        """
        with self._write() as connection:
            connection.execute(
                sa.update(batches).where(batches.c.job_id == job_id).values(status="ended")
            )
            connection.execute(
                sa.update(units)
                .where(units.c.job_id == job_id, units.c.status.in_(("pending", "running")))
                .values(status="interrupted", problem="internal_error", error=error)
            )
            connection.execute(
                sa.update(steps)
                .where(steps.c.job_id == job_id, steps.c.status == "running")
                .values(
                    status="failed",
                    error=error,
                    ended=time.time(),
                    **{name: _count_units(name) for name in COUNTED},
                )
            )

    def cancel_requested(self, job_id: int) -> bool:
        """Whether somebody wants the job cancelled (a read, without the lease)."""
        with self._database.read() as connection:
            return bool(connection.execute(_CANCEL_REQUESTED, {"job": job_id}).scalar())

    # steps

    def update_step(self, job_id: int, position: int, **values: Any) -> None:
        """Set columns of a step."""
        with self._write() as connection:
            _update_step(connection, job_id, position, **values)

    def begin_step(self, step: StepRecord) -> None:
        """Record that a step runs (again)."""
        started = step.started or time.time()
        self.update_step(step.job_id, step.position, status="running", started=started)

    def end_step(self, step: StepRecord, *, status: str, error: str | None) -> None:
        """Record how a step ended."""
        self.update_step(step.job_id, step.position, status=status, error=error, ended=time.time())

    def cancel_step(self, step: StepRecord) -> None:
        """Record that a step will not go on, and that its units that have not run will not."""
        with self._write() as connection:
            count = connection.execute(
                sa.update(units)
                .where(
                    units.c.job_id == step.job_id,
                    units.c.step == step.position,
                    units.c.status == "pending",
                )
                .values(status="cancelled", error="The job was cancelled.")
            ).rowcount
            _update_step(
                connection,
                step.job_id,
                step.position,
                status="cancelled",
                cancelled=steps.c.cancelled + count,
                ended=time.time(),
            )

    def first_bad_unit(self, job_id: int, position: int) -> UnitRecord:
        """The first unit of a step that failed, or that was interrupted or cancelled."""
        rank = sa.case(
            (units.c.status == "failed", 0), (units.c.status == "interrupted", 1), else_=2
        )
        query = (
            sa.select(units)
            .where(
                units.c.job_id == job_id,
                units.c.step == position,
                units.c.status.in_(["failed", "interrupted", "cancelled"]),
            )
            .order_by(rank, units.c.index)
            .limit(1)
        )
        with self._database.read() as connection:
            return UnitRecord.from_row(connection.execute(query).one())

    def images(self, dataset_id: int) -> list[Image]:
        """The image list of a dataset."""
        with self._database.read() as connection:
            return read_images(connection, dataset_id)

    def add_units(
        self,
        step: StepRecord,
        *,
        phase: str,
        planned: Sequence[tuple[str | None, dict[str, Any]]],
        type_filter: Mapping[str, bool],
    ) -> None:
        """Add the units of one phase, as (zarr_url, arguments), numbered on through the job."""
        with self._write() as connection:
            last = connection.execute(
                sa.select(sa.func.max(units.c.index)).where(units.c.job_id == step.job_id)
            ).scalar()
            first = 0 if last is None else last + 1
            job, at = step.job_id, step.position
            rows = [
                (job, first + number, at, phase, zarr_url, args, "pending", False)
                for number, (zarr_url, args) in enumerate(planned)
            ]
            insert_many(connection, units, _PLANNED, rows)
            _update_step(
                connection,
                step.job_id,
                step.position,
                phases_planned=steps.c.phases_planned + 1,
                total=steps.c.total + len(planned),
                type_filter=dict(type_filter),
            )

    def unit_statuses(self, job_id: int, position: int, phase: str) -> dict[int, str]:
        """The status of each unit of a phase, by index."""
        query = (
            sa.select(units.c.index, units.c.status)
            .where(*_of_phase(job_id, position, phase))
            .order_by(units.c.index)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query).all()}

    def only_unit(self, job_id: int, position: int, phase: str) -> UnitRecord:
        """The unit of a phase that has just one, with its arguments and its output."""
        query = sa.select(units).where(*_of_phase(job_id, position, phase))
        with self._database.read() as connection:
            return UnitRecord.from_row(connection.execute(query).one())

    def unit_args(self, job_id: int, position: int, phase: str) -> dict[int, dict[str, Any]]:
        """The arguments of the units of a phase, by index."""
        query = sa.select(units.c.index, units.c.args).where(*_of_phase(job_id, position, phase))
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query).all()}

    def unit_urls(self, job_id: int, position: int, phase: str) -> list[str]:
        """The images that the units of a phase work on, in the order of the units."""
        query = (
            sa.select(units.c.zarr_url)
            .where(*_of_phase(job_id, position, phase), units.c.zarr_url.is_not(None))
            .order_by(units.c.index)
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars().all())

    def outputs(self, job_id: int, position: int, phase: str) -> list[StoredOutput]:
        """What the units of a phase that are done have written, in the order of the units."""
        query = (
            sa.select(units.c.index, units.c.zarr_url, units.c.output, units.c.merged)
            .where(*_of_phase(job_id, position, phase), units.c.status == "done")
            .order_by(units.c.index)
        )
        with self._database.read() as connection:
            return [StoredOutput(*row) for row in connection.execute(query).all()]

    def merge_images(
        self,
        dataset_id: int,
        step: StepRecord,
        phase: str,
        *,
        added: Sequence[Image],
        changed: Sequence[Image],
        removed: Sequence[str],
    ) -> None:
        """Change the image list and mark the outputs of the phase as merged, in one go.

        Raises:
            StoreError: Somebody has added one of the new images meanwhile: merge again.
        """
        done = *_of_phase(step.job_id, step.position, phase), units.c.status == "done"
        try:
            with self._write() as connection:
                write_images(connection, dataset_id, changed)
                insert_images(connection, dataset_id, added)
                delete_images(connection, dataset_id, removed)
                connection.execute(sa.update(units).where(*done).values(merged=True))
        except sa.exc.IntegrityError as error:
            raise StoreError("The image list was changed at the same moment.") from error

    # batches and their results

    def add_batches(
        self,
        step: StepRecord,
        phase: str,
        *,
        name: str,
        planned: Sequence[tuple[int, str, Sequence[int]]],
    ) -> list[BatchRecord]:
        """Record the intent to submit batches, given as (number, folder, unit indexes)."""
        rows = [
            {
                "job_id": step.job_id,
                "step": step.position,
                "phase": phase,
                "number": number,
                "name": name,
                "folder": folder,
                "status": "planned",
                "submissions": 0,
                "fruitless": 0,
                "positions": {},
            }
            for number, folder, _ in planned
        ]
        if not rows:
            return []
        insert = sa.insert(batches).returning(*batches.c, sort_by_parameter_order=True)
        with self._write() as connection:
            added = [BatchRecord.from_row(row) for row in connection.execute(insert, rows)]
            of_units = [
                {"of_job": step.job_id, "unit": index, "new_batch_id": batch.id}
                for batch, (_, _, indexes) in zip(added, planned, strict=True)
                for index in indexes
            ]
            if of_units:
                connection.execute(_update_units(("batch_id",)), of_units)
        return added

    def open_batches(
        self, job_id: int, position: int | None = None, phase: str | None = None
    ) -> list[BatchRecord]:
        """The batches of a job, or of a phase of it, that have not ended."""
        query = sa.select(batches).where(batches.c.job_id == job_id, batches.c.status != "ended")
        if position is not None:
            query = query.where(batches.c.step == position, batches.c.phase == phase)
        with self._database.read() as connection:
            return [BatchRecord.from_row(row) for row in connection.execute(query)]

    def count_batches(self, job_id: int, position: int, phase: str) -> int:
        """How many batches a phase has had so far."""
        query = sa.select(sa.func.count()).where(
            batches.c.job_id == job_id, batches.c.step == position, batches.c.phase == phase
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def batch_names(self, job_id: int, position: int, phase: str) -> set[str]:
        """The names under which the batches of a phase were submitted."""
        query = sa.select(batches.c.name).where(
            batches.c.job_id == job_id, batches.c.step == position, batches.c.phase == phase
        )
        with self._database.read() as connection:
            return set(connection.execute(query.distinct()).scalars())

    def batch_units(self, batch: BatchRecord) -> list[int]:
        """The indexes of the units of a batch."""
        query = sa.select(units.c.index).where(
            units.c.job_id == batch.job_id, units.c.batch_id == batch.id
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars().all())

    def count_units_of(self, job_id: int, name: str) -> int:
        """How many units are in the batches of one name: those that were planned together."""
        query = (
            sa.select(sa.func.count())
            .select_from(units.join(batches, units.c.batch_id == batches.c.id))
            .where(units.c.job_id == job_id, batches.c.job_id == job_id, batches.c.name == name)
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def update_batches(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set columns of batches, by id, in one transaction."""
        with self._write() as connection:
            for key, values in changes.items():
                connection.execute(sa.update(batches).where(batches.c.id == key).values(**values))

    def record_results(
        self,
        step: StepRecord,
        *,
        changes: Mapping[int, Mapping[str, Any]],
        counters: Counter[str],
        positions: Mapping[int, Mapping[str, list[int]]],
        mode: str | None = None,
    ) -> None:
        """Record what workers reported, and how far their files were read, in one transaction.

        Args:
            step: The step that the units belong to.
            changes: Columns to set, by index of the unit.
            counters: What to add to the counters of the step, by status.
            positions: How far the files of each batch were read, by id of the batch.
            mode: How units are started, in words, when that has changed.
        """
        with self._write() as connection:
            for columns, rows in _by_columns(step.job_id, changes).items():
                connection.execute(_update_units(columns), rows)
            added = {name: change for name, change in counters.items() if change}
            if added:
                connection.execute(
                    _add_to_step(tuple(sorted(added))),
                    {"of_job": step.job_id, "at": step.position, **_prefixed("plus_", added)},
                )
            if mode is not None:
                _update_step(connection, step.job_id, step.position, mode=mode)
            if positions:
                read = [{"batch": key, "read": dict(at)} for key, at in positions.items()]
                connection.execute(_UPDATE_POSITIONS, read)


# What runs in every round, several times a second: putting a statement together takes longer than
# running it.

_CANCEL_REQUESTED = sa.select(jobs.c.cancel_requested).where(jobs.c.id == sa.bindparam("job"))

_UPDATE_POSITIONS = (
    sa.update(batches)
    .where(batches.c.id == sa.bindparam("batch"))
    .values(positions=sa.bindparam("read"))
)


@cache
def _update_units(columns: tuple[str, ...]) -> sa.Update:
    """Set columns of units; parameters: `of_job`, `unit`, and for each column `new_…`."""
    return (
        sa.update(units)
        .where(units.c.job_id == sa.bindparam("of_job"), units.c.index == sa.bindparam("unit"))
        .values({name: sa.bindparam(f"new_{name}") for name in columns})
    )


@cache
def _add_to_step(counters: tuple[str, ...]) -> sa.Update:
    """Add to counters of a step; parameters: `of_job`, `at`, and for each counter `plus_…`."""
    return (
        sa.update(steps)
        .where(steps.c.job_id == sa.bindparam("of_job"), steps.c.position == sa.bindparam("at"))
        .values({name: steps.c[name] + sa.bindparam(f"plus_{name}") for name in counters})
    )


def _by_columns(
    job_id: int, changes: Mapping[int, Mapping[str, Any]]
) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Group the parameters of changes that set the same columns."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for index, values in changes.items():
        parameters = {"of_job": job_id, "unit": index, **_prefixed("new_", values)}
        groups.setdefault(tuple(sorted(values)), []).append(parameters)
    return groups


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items()}


def _of_phase(job_id: int, position: int, phase: str) -> tuple[sa.ColumnElement[bool], ...]:
    return units.c.job_id == job_id, units.c.step == position, units.c.phase == phase


def _count_units(status: str) -> sa.ScalarSelect[int]:
    """How many units of the step that is updated have a status."""
    return (
        sa.select(sa.func.count())
        .where(
            units.c.job_id == steps.c.job_id,
            units.c.step == steps.c.position,
            units.c.status == status,
        )
        .scalar_subquery()
    )


def _update_step(connection: sa.Connection, job_id: int, position: int, **values: Any) -> None:
    connection.execute(
        sa.update(steps)
        .where(steps.c.job_id == job_id, steps.c.position == position)
        .values(**values)
    )

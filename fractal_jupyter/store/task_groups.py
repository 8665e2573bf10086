"""Task groups and their tasks."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import InUse, NotAllowed, NotFound
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.leases import ACTIVE_JOBS
from fractal_jupyter.store.records import TaskGroupRecord, TaskRecord
from fractal_jupyter.store.tables import jobs, steps, task_groups, tasks

# Of a step.
_task_group = steps.c.request["task_group_id"].as_integer()


class TaskGroups:
    """Installed task packages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[TaskGroupRecord]:
        """All task groups, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(task_groups).order_by(task_groups.c.id)).all()
        return [TaskGroupRecord.from_row(row) for row in rows]

    def count(self) -> int:
        """How many there are."""
        with self._database.read() as connection:
            query = sa.select(sa.func.count()).select_from(task_groups)
            return connection.execute(query).scalar_one()

    def get(self, key: int) -> TaskGroupRecord:
        """The task group with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(task_groups).where(task_groups.c.id == key)
            ).one_or_none()
        if row is None:
            raise NotFound(f"There is no task group with the id {key}.")
        return TaskGroupRecord.from_row(row)

    def find_folder(self, resource_id: int, folder: str) -> TaskGroupRecord | None:
        """The task group of a resource whose environment is in `folder`, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(task_groups).where(*_place(resource_id, folder))
            ).one_or_none()
        return None if row is None else TaskGroupRecord.from_row(row)

    def add(self, *, entries: Sequence[dict[str, Any]], **values: Any) -> TaskGroupRecord:
        """Add a task group with its tasks (the entries of the manifest), in one transaction.

        A folder holds one environment. When the resource has a task group of that folder already,
        because somebody else has just added it or because its environment was built again, it
        stays, and gets these values and tasks.
        """
        try:
            with self._database.write() as connection:
                return _put(connection, entries, values)
        except sa.exc.IntegrityError:
            # On PostgreSQL somebody else may have added it since we looked.
            with self._database.write() as connection:
                return _put(connection, entries, values)

    def deactivate(self, key: int) -> None:
        """Let no new job use a task group.

        Raises:
            InUse: A job that is not over does.
        """
        with self._database.write() as connection:
            _require_no_jobs(connection, key)
            connection.execute(_update(key).values(active=False))

    def reactivate(self, key: int, **values: Any) -> TaskGroupRecord:
        """Let jobs use a task group whose environment was built again; it keeps its tasks."""
        with self._database.write() as connection:
            row = connection.execute(
                _update(key).values(active=True, **values).returning(*task_groups.c)
            ).one()
        return TaskGroupRecord.from_row(row)

    def replace_tasks(
        self, key: int, entries: Sequence[dict[str, Any]], **values: Any
    ) -> TaskGroupRecord:
        """Give a task group other tasks, and values; tasks keep their ids by their names."""
        with self._database.write() as connection:
            _put_tasks(connection, key, entries)
            row = connection.execute(
                _update(key).values(**values).returning(*task_groups.c)
                if values
                else sa.select(task_groups).where(task_groups.c.id == key)
            ).one()
        return TaskGroupRecord.from_row(row)

    def remove(self, key: int) -> None:
        """Forget a task group that is not active, and its tasks; jobs remember what they ran in.

        Raises:
            InUse: It is active.
        """
        with self._database.write() as connection:
            gone = connection.execute(
                sa.delete(task_groups).where(task_groups.c.id == key, ~task_groups.c.active)
            ).rowcount
            if not gone and _named(connection, key) is not None:
                raise InUse(f"The task group {_named(connection, key)} is active again.")

    def require_no_jobs(self, key: int) -> None:
        """Raise `InUse`, with their names, when jobs that are not over use a task group."""
        with self._database.read() as connection:
            _require_no_jobs(connection, key)

    def task(self, key: int) -> TaskRecord:
        """The task with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(tasks).where(tasks.c.id == key)).one_or_none()
        if row is None:
            raise NotFound(f"There is no task with the id {key}.")
        return TaskRecord.from_row(row)

    def tasks(self, task_group_id: int | None = None) -> list[TaskRecord]:
        """The tasks of one task group, or of all, in the order of the manifests."""
        query = sa.select(tasks).order_by(tasks.c.task_group_id, tasks.c.position)
        if task_group_id is not None:
            query = query.where(tasks.c.task_group_id == task_group_id)
        with self._database.read() as connection:
            return [TaskRecord.from_row(row) for row in connection.execute(query)]


def _put(
    connection: sa.Connection, entries: Sequence[dict[str, Any]], values: Mapping[str, Any]
) -> TaskGroupRecord:
    known = connection.execute(
        sa.update(task_groups)
        .where(*_place(values["resource_id"], values["folder"]))
        .values(active=True, **values)
        .returning(*task_groups.c)
    ).one_or_none()
    row = (
        known
        or connection.execute(
            sa.insert(task_groups)
            .values(created=time.time(), active=True, **values)
            .returning(*task_groups.c)
        ).one()
    )
    _put_tasks(connection, row.id, entries)
    return TaskGroupRecord.from_row(row)


def _put_tasks(connection: sa.Connection, key: int, entries: Sequence[dict[str, Any]]) -> None:
    """Make these the tasks of a task group; those that it had before keep their ids."""
    mine = tasks.c.task_group_id == key
    query = sa.select(tasks.c.name, tasks.c.id).where(mine)
    known = {row.name: row.id for row in connection.execute(query)}
    gone = known.keys() - {entry["name"] for entry in entries}
    if gone:
        connection.execute(sa.delete(tasks).where(mine, tasks.c.name.in_(list(gone))))
    for position, entry in enumerate(entries):
        name, values = entry["name"], {"position": position, "entry": entry}
        connection.execute(
            sa.update(tasks).where(tasks.c.id == known[name]).values(values)
            if name in known
            else sa.insert(tasks).values(task_group_id=key, name=name, **values)
        )


def _update(key: int) -> sa.Update:
    return sa.update(task_groups).where(task_groups.c.id == key)


def _named(connection: sa.Connection, key: int) -> str | None:
    query = sa.select(task_groups.c.package, task_groups.c.version).where(task_groups.c.id == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else f"{row.package} {row.version}"


def _require_no_jobs(connection: sa.Connection, key: int) -> None:
    query = (
        sa.select(jobs.c.id, jobs.c.name)
        .where(
            jobs.c.status.in_(ACTIVE_JOBS),
            jobs.c.id.in_(sa.select(steps.c.job_id).where(_task_group == key)),
        )
        .order_by(jobs.c.id)
    )
    at_work = [f"job {row.id} ({row.name})" for row in connection.execute(query)]
    if at_work:
        raise InUse(
            f"The task group {_named(connection, key)} is used by {', '.join(at_work)}; wait for "
            "them, or cancel them."
        )


def use(connection: sa.Connection, keys: Collection[int]) -> None:
    """Record, in the transaction that adds a job, that it uses task groups.

    Raises:
        NotAllowed: One is not active any more.
    """
    usable = sa.and_(task_groups.c.id.in_(list(keys)), task_groups.c.active)
    used = connection.execute(sa.update(task_groups).where(usable).values(last_used=time.time()))
    if used.rowcount < len(keys):
        raise NotAllowed(
            "A task group of this job was deactivated or deleted a moment ago. Reactivate or "
            "collect it, and submit again."
        )


def _place(resource_id: int, folder: str) -> tuple[sa.ColumnElement[bool], ...]:
    return task_groups.c.resource_id == resource_id, task_groups.c.folder == folder

"""Task groups, their tasks, and the activities that changed them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import NotFound
from fractal_jupyter.schedulers.processes import alive, identity
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord, TaskRecord
from fractal_jupyter.store.tables import activities, task_groups, tasks


class TaskGroups:
    """Installed task packages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[TaskGroupRecord]:
        """All task groups, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(task_groups).order_by(task_groups.c.id)).all()
        return [TaskGroupRecord.from_row(row) for row in rows]

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

    def task(self, key: int) -> TaskRecord:
        """The task with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(tasks).where(tasks.c.id == key)).one_or_none()
        if row is None:
            raise NotFound(f"There is no task with the id {key}.")
        return TaskRecord.from_row(row)

    def tasks(self, task_group_id: int | None = None) -> list[TaskRecord]:
        """The tasks of one task group, or of all, in the order of the manifests."""
        query = sa.select(tasks).order_by(tasks.c.id)
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
    connection.execute(sa.delete(tasks).where(tasks.c.task_group_id == row.id))
    connection.execute(
        sa.insert(tasks),
        [{"task_group_id": row.id, "name": entry["name"], "entry": entry} for entry in entries],
    )
    return TaskGroupRecord.from_row(row)


def _place(resource_id: int, folder: str) -> tuple[sa.ColumnElement[bool], ...]:
    return task_groups.c.resource_id == resource_id, task_groups.c.folder == folder


class Activities:
    """What was done to task groups, with its log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, *, action: str, subject: str) -> ActivityRecord:
        """Record that an action on `subject` (a requirement, say) has begun."""
        with self._database.write() as connection:
            row = connection.execute(
                sa.insert(activities)
                .values(
                    action=action,
                    subject=subject,
                    status="ongoing",
                    log="",
                    process=identity(),
                    created=time.time(),
                )
                .returning(*activities.c)
            ).one()
        return ActivityRecord.from_row(row)

    def append_log(self, key: int, text: str) -> None:
        """Add text to the log of an activity."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(activities)
                .where(activities.c.id == key)
                .values(log=activities.c.log + text)
            )

    def end(
        self,
        key: int,
        *,
        error: str | None,
        task_group_id: int | None = None,
        result: Any = None,
    ) -> None:
        """Record how an activity ended: `error` is None when it went well."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(activities)
                .where(activities.c.id == key)
                .values(
                    status="OK" if error is None else "failed",
                    error=error,
                    task_group_id=task_group_id,
                    result=result,
                    ended=time.time(),
                )
            )

    def end_lost(self) -> None:
        """Record as failed what a process was doing that is known to have ended."""
        query = sa.select(activities.c.id, activities.c.process).where(
            activities.c.status == "ongoing"
        )
        with self._database.read() as connection:
            ongoing = connection.execute(query).all()
        for key, process in ongoing:
            if alive(process) is False:
                self.end(key, error="The process that did this has ended. Start it again.")

    def get(self, key: int) -> ActivityRecord:
        """The activity with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(activities).where(activities.c.id == key)
            ).one_or_none()
        if row is None:
            raise NotFound(f"There is no activity with the id {key}.")
        return ActivityRecord.from_row(row)

    def page(
        self, *, before: int | None = None, task_group_id: int | None = None, limit: int
    ) -> list[ActivityRecord]:
        """Some activities, the newest first, without their logs.

        Args:
            before: Only those that are older than the one with this id.
            task_group_id: Only those of a task group.
            limit: At most so many.
        """
        slim = [sa.literal("").label(c.name) if c.name == "log" else c for c in activities.c]
        query = sa.select(*slim).order_by(activities.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(activities.c.id < before)
        if task_group_id is not None:
            query = query.where(activities.c.task_group_id == task_group_id)
        with self._database.read() as connection:
            return [ActivityRecord.from_row(row) for row in connection.execute(query)]

    def all(self, task_group_id: int | None = None) -> list[ActivityRecord]:
        """The activities of one task group, or all, the oldest first."""
        query = sa.select(activities).order_by(activities.c.id)
        if task_group_id is not None:
            query = query.where(activities.c.task_group_id == task_group_id)
        with self._database.read() as connection:
            return [ActivityRecord.from_row(row) for row in connection.execute(query)]

"""Activities: what is done to task groups and the like, with its log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import InUse, NotFound
from fractal_jupyter.schedulers.processes import alive, identity
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.records import ActivityRecord
from fractal_jupyter.store.tables import activities

ACTIVE_ACTIVITIES = ("pending", "ongoing")
ACTIVITY_STATUSES = (*ACTIVE_ACTIVITIES, "OK", "failed", "cancelled")
LOST = "The process that did this has ended."
# What to do about those that may have been cut off in their middle.
_WHAT_NEXT = MappingProxyType(
    {
        "deactivate": "If the task group is deactivated, fractal.task_groups.clean() finds what is "
        "left of its environment; else deactivate it again.",
        "delete": "If the task group is still there, perhaps deactivated, delete it again.",
    }
)

_is_active = activities.c.status.in_(ACTIVE_ACTIVITIES)


def what_next(action: str) -> str:
    """What to do about an activity that did not get to its end, in words."""
    return _WHAT_NEXT.get(action, "Start it again.")


class Activities:
    """All activities of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, *, action: str, subject: str) -> ActivityRecord:
        """Record that this process has begun an action on `subject` (a resource, say)."""
        with self._database.write() as connection:
            return _insert(connection, action=action, subject=subject, status="ongoing")

    def queue(
        self,
        *,
        action: str,
        subject: str,
        request: Mapping[str, Any],
        place: str,
        task_group_id: int | None = None,
    ) -> tuple[ActivityRecord, bool]:
        """Record that an action is to be done, by whom `hand_over` will say.

        Args:
            action: What is to be done: "collect".
            subject: What it is done to, in words: a requirement, say.
            request: What is wanted, for who does it.
            place: What nobody else may change meanwhile.
            task_group_id: The task group that it is done to.

        Returns:
            The new activity, and True; when the same is being done at that place already, that
            one, and False.

        Raises:
            InUse: Something else is being done at that place.
        """
        wanted = dict(request)
        with self._database.write() as connection:
            other = _going_on(connection, place)
            if other is None:
                record = _insert(
                    connection,
                    action=action,
                    subject=subject,
                    request=wanted,
                    place=place,
                    task_group_id=task_group_id,
                    status="pending",
                )
                return record, True
        if (other.action, other.request) == (action, wanted):
            return other, False
        raise InUse(
            f"{other.subject} is busy: activity {other.id} ({other.action}) is {other.status}. "
            "Wait until it is over, or cancel it."
        )

    def hand_over(self, key: int, process: Mapping[str, Any]) -> None:
        """Record that another process than the one that began an activity will do it."""
        self._change(key, {"process": dict(process)})

    def take_up(self, key: int) -> bool:
        """Record that this process does what was pending; tell whether it still has to."""
        pending = activities.c.status == "pending"
        return self._change(key, {"status": "ongoing", "process": identity()}, pending)

    def append_log(self, key: int, text: str) -> None:
        """Add text to the log of an activity."""
        self._change(key, {"log": activities.c.log + text})

    def request_cancel(self, key: int) -> None:
        """Ask who does an activity to stop; an activity that is over stays as it is."""
        self._change(key, {"cancel_requested": True}, _is_active)

    def end(
        self,
        key: int,
        *,
        error: str | None,
        error_type: str | None = None,
        cancelled: bool = False,
        task_group_id: int | None = None,
        result: Any = None,
    ) -> bool:
        """Record how an activity ended; tell whether it had not been recorded before.

        Args:
            key: The id of the activity.
            error: Why it did not succeed; None when all went well.
            error_type: The name of the class of that error.
            cancelled: Whether it ended because somebody asked for that.
            task_group_id: The task group that came of it, or that it changed.
            result: What else came of it, as JSON.
        """
        status = "OK" if error is None else "cancelled" if cancelled else "failed"
        values = {
            "status": status,
            "error": error,
            "error_type": error_type,
            "result": result,
            "ended": time.time(),
            **({} if task_group_id is None else {"task_group_id": task_group_id}),
        }
        return self._change(key, values, _is_active)

    def end_lost(self) -> None:
        """Record as failed what a process was doing that is known to have ended."""
        query = sa.select(activities.c.id, activities.c.process).where(_is_active)
        with self._database.read() as connection:
            active = connection.execute(query).all()
        for key, process in active:
            if alive(process) is False:
                self._end_if_lost(key, process)

    def _end_if_lost(self, key: int, process: dict[str, Any]) -> None:
        """End an activity, unless it was over, or in other hands, when its process was gone."""
        now = self.get(key)
        if now.status in ACTIVE_ACTIVITIES and now.process == process:
            error = f"{LOST} {what_next(now.action)}"
            self.end(key, error=error, error_type="ActivityLost")

    def get(self, key: int) -> ActivityRecord:
        """The activity with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(activities).where(activities.c.id == key)
            ).one_or_none()
        if row is None:
            raise NotFound(f"There is no activity with the id {key}.")
        return ActivityRecord.from_row(row)

    def cancel_requested(self, key: int) -> bool:
        """Whether somebody wants an activity to stop."""
        query = sa.select(activities.c.cancel_requested).where(activities.c.id == key)
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar())

    def page(
        self,
        *,
        statuses: Sequence[str] = (),
        before: int | None = None,
        task_group_id: int | None = None,
        limit: int,
    ) -> list[ActivityRecord]:
        """Some activities, the newest first, without their logs.

        Args:
            statuses: Only those of these statuses; all, if there are none.
            before: Only those that are older than the one with this id.
            task_group_id: Only those of a task group.
            limit: At most so many.
        """
        slim = [sa.literal("").label(c.name) if c.name == "log" else c for c in activities.c]
        query = sa.select(*slim).order_by(activities.c.id.desc()).limit(limit)
        if statuses:
            query = query.where(activities.c.status.in_(statuses))
        if before is not None:
            query = query.where(activities.c.id < before)
        if task_group_id is not None:
            query = query.where(activities.c.task_group_id == task_group_id)
        return self._records(query)

    def active(self) -> list[ActivityRecord]:
        """The activities that are not over, the oldest first."""
        return self._records(sa.select(activities).where(_is_active).order_by(activities.c.id))

    def all(self, task_group_id: int | None = None) -> list[ActivityRecord]:
        """The activities of one task group, or all, the oldest first."""
        query = sa.select(activities).order_by(activities.c.id)
        if task_group_id is not None:
            query = query.where(activities.c.task_group_id == task_group_id)
        return self._records(query)

    def newest_below(self, place: str) -> ActivityRecord | None:
        """The last activity that changed something below a place."""
        below = activities.c.place.startswith(f"{place}/", autoescape=True)
        query = sa.select(activities).where(below).order_by(activities.c.id.desc()).limit(1)
        return next(iter(self._records(query)), None)

    def _records(self, query: sa.Select[Any]) -> list[ActivityRecord]:
        with self._database.read() as connection:
            return [ActivityRecord.from_row(row) for row in connection.execute(query)]

    def _change(
        self, key: int, values: Mapping[str, Any], *conditions: sa.ColumnElement[bool]
    ) -> bool:
        with self._database.write() as connection:
            done = connection.execute(
                sa.update(activities).where(activities.c.id == key, *conditions).values(**values)
            )
        return done.rowcount > 0


def _insert(connection: sa.Connection, **values: Any) -> ActivityRecord:
    always = {"cancel_requested": False, "log": "", "process": identity(), "created": time.time()}
    row = connection.execute(
        sa.insert(activities).values(**{"request": {}, **always, **values}).returning(*activities.c)
    ).one()
    return ActivityRecord.from_row(row)


def _going_on(connection: sa.Connection, place: str) -> ActivityRecord | None:
    """The activity that has a place, if there is one that is not known to be lost."""
    query = sa.select(activities).where(activities.c.place == place, _is_active)
    found: Sequence[sa.Row[Any]] = connection.execute(query.order_by(activities.c.id)).all()
    records = [ActivityRecord.from_row(row) for row in found]
    return next((record for record in records if alive(record.process) is not False), None)

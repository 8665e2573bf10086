"""What a client sees of the store, small enough to be compared once a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.store.activities import ACTIVE_ACTIVITIES
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.leases import ACTIVE_JOBS
from fractal_jupyter.store.tables import (
    activities,
    datasets,
    jobs,
    profiles,
    resources,
    steps,
    task_groups,
    workflows,
)

# What of each table makes a difference. These tables are small.
_SMALL = {
    "resource": (resources.c.id, resources.c.name, resources.c.document, resources.c.warm),
    "profile": (profiles.c.id, profiles.c.name, profiles.c.resource_id, profiles.c.document),
    "task_group": (
        *(task_groups.c.id, task_groups.c.active, task_groups.c.lock),
        *(task_groups.c.own_bytes, task_groups.c.last_used),
    ),
    "dataset": (datasets.c.id, datasets.c.name, datasets.c.revision),
    "workflow": (workflows.c.id, workflows.c.name, workflows.c.steps),
}
# These are not: only rows that can change are looked at, and new ones.
_JOB = (jobs.c.id, jobs.c.status, jobs.c.waiting_for, jobs.c.cancel_requested, jobs.c.started)
_STEP = tuple(c for c in steps.c if c.name not in ("request", "type_filter"))
_ACTIVITY = (activities.c.id, activities.c.status, sa.func.length(activities.c.log))

Change = tuple[str, int | None]
"""The kind of a thing, and its id; None where only the list of them is known to be another."""


@dataclass(frozen=True, slots=True)
class Many:
    """Of jobs or activities, those that can change, and that came or ended since the last look.

    Attributes:
        rows: What makes a difference, by id.
        active: Which of them are not over.
        count: How many there are in all.
        newest: The largest id.
        latest: When the last one ended: one that was over may have run again in the meantime.
    """

    rows: dict[int, Any] = field(default_factory=dict)
    active: frozenset[int] = frozenset()
    count: int = 0
    newest: int = 0
    latest: float = 0.0


@dataclass(frozen=True, slots=True)
class Picture:
    """The store at one moment: what makes a difference, by kind and id."""

    few: dict[str, dict[int, Any]]
    many: dict[str, Many]


class Changes:
    """Compares the store with what it was."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def picture(self, owner: str, *, before: Picture | None = None) -> Picture:
        """What is there, of jobs only those of `owner`; `before` is the picture before this."""
        last = before.many if before else {}
        with self._database.read() as connection:
            few = {kind: _rows(connection, sa.select(*cells)) for kind, cells in _SMALL.items()}
            job = _many(
                connection,
                _JOB,
                which=jobs.c.owner == owner,
                going=jobs.c.status.in_(ACTIVE_JOBS),
                before=last.get("job"),
            )
            of_jobs = sa.select(*_STEP).where(steps.c.job_id.in_(job.rows))
            for row in connection.execute(of_jobs.order_by(steps.c.position)):
                job.rows[row.job_id] += tuple(row)
            activity = _many(
                connection,
                _ACTIVITY,
                which=sa.true(),
                going=activities.c.status.in_(ACTIVE_ACTIVITIES),
                before=last.get("activity"),
            )
        return Picture(few, {"job": job, "activity": activity})


def changes(before: Picture, now: Picture) -> list[Change]:
    """What is different, has come or has gone between two pictures that follow each other."""
    found: list[Change] = []
    for kind, rows in now.few.items():
        known = before.few[kind]
        found += [(kind, key) for key in known.keys() | rows if known.get(key) != rows.get(key)]
    for kind, many in now.many.items():
        last = before.many[kind]
        looked_at = last.active | many.rows.keys()
        found += [(kind, key) for key in looked_at if last.rows.get(key) != many.rows.get(key)]
        new = sum(key > last.newest for key in many.rows)
        if many.count != last.count + new:
            found.append((kind, None))
    return found


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> dict[int, Any]:
    return {row[0]: tuple(row) for row in connection.execute(query)}


def _many(
    connection: sa.Connection,
    columns: tuple[Any, ...],
    *,
    which: sa.ColumnElement[bool],
    going: sa.ColumnElement[bool],
    before: Many | None,
) -> Many:
    key = columns[0]
    ended = key.table.c.ended
    counted = sa.select(sa.func.count(), sa.func.max(key), sa.func.max(ended)).where(which)
    count, newest, latest = connection.execute(counted.select_from(key.table)).one()
    looked_at = going
    if before is not None:
        looked_at |= key.in_(before.active) | (key > before.newest) | (ended > before.latest)
    query = sa.select(*columns, going).where(which, looked_at)
    rows = _rows(connection, query)
    active = frozenset(found for found, row in rows.items() if row[len(columns)])
    return Many(rows, active, count, newest or 0, latest or 0.0)

"""Resources, profiles and workflows: named JSON documents."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from fractal_jupyter.errors import AlreadyExists, InUse, NotAllowed, NotFound
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.records import ProfileRecord, Record, ResourceRecord, WorkflowRecord
from fractal_jupyter.store.tables import jobs, profiles, resources, task_groups, workflows

R = TypeVar("R", bound=Record)
F = TypeVar("F", ResourceRecord, ProfileRecord)


def not_found(noun: str, name: object, known: Iterable[str]) -> NotFound:
    """The error for a name that nothing has, with the names that are nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if near:
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?"
    elif names:
        shown = ", ".join(repr(n) for n in names[:10]) + (", …" if len(names) > 10 else "")
        hint = f" There are: {shown}."
    else:
        hint = f" There is no {noun} yet."
    return NotFound(f"No {noun} is called {name!r}.{hint}")


class NamedRows(Generic[R]):
    """The rows of a table with a unique name."""

    def __init__(self, database: Database, table: sa.Table, record: type[R], noun: str) -> None:
        self._database = database
        self._table = table
        self._record = record
        self.noun = noun

    def all(self) -> list[R]:
        """All, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(self._table).order_by(self._table.c.id)).all()
        return [self._record.from_row(row) for row in rows]

    def get(self, name: str) -> R:
        """The one called `name`; raises `NotFound`."""
        record = self.find(name)
        if record is None:
            raise not_found(self.noun, name, self.names())
        return record

    def find(self, name: str) -> R | None:
        """The one called `name`, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(self._table).where(self._table.c.name == name)
            ).one_or_none()
        return None if row is None else self._record.from_row(row)

    def by_id(self, key: int) -> R:
        """The one with that id; raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(self._table).where(self._table.c.id == key)
            ).one_or_none()
        if row is None:
            raise NotFound(f"There is no {self.noun} with the id {key}.")
        return self._record.from_row(row)

    def names(self) -> list[str]:
        """All names, sorted."""
        with self._database.read() as connection:
            return sorted(connection.execute(sa.select(self._table.c.name)).scalars())

    def add_unless_same(self, name: str, add: Callable[[], R], **wanted: object) -> R:
        """The one called `name` if its fields are those that are wanted; else what `add` adds.

        Raises:
            AlreadyExists: There is one, and it is another; the message says in what.
        """
        known = self.find(name)
        if known is None:
            try:
                return add()
            except AlreadyExists:
                # Somebody else has added one since we looked.
                known = self.get(name)
        other = [
            field.removesuffix("_id")
            for field, value in wanted.items()
            if getattr(known, field) != value
        ]
        if other:
            raise AlreadyExists(
                f"There is a {self.noun} called {name!r} already, and it differs in "
                f"{' and '.join(other)}; choose another name, or change or remove that one."
            )
        return known

    def _insert(self, name: str, **values: Any) -> R:
        try:
            with self._database.write() as connection:
                row = connection.execute(
                    sa.insert(self._table)
                    .values(name=name, created=time.time(), **values)
                    .returning(*self._table.c)
                ).one()
        except sa.exc.IntegrityError:
            raise AlreadyExists(
                f"There is a {self.noun} called {name!r} already; "
                "choose another name, or change or remove that one."
            ) from None
        return self._record.from_row(row)

    def _update(self, key: int, name: str, **values: Any) -> R:
        try:
            with self._database.write() as connection:
                row = connection.execute(
                    sa.update(self._table)
                    .where(self._table.c.id == key)
                    .values(name=name, **values)
                    .returning(*self._table.c)
                ).one_or_none()
        except sa.exc.IntegrityError:
            raise AlreadyExists(
                f"There is a {self.noun} called {name!r} already; choose another name."
            ) from None
        if row is None:
            raise NotFound(f"The {self.noun} {name!r} was removed in the meantime.")
        return self._record.from_row(row)


class FromFiles(NamedRows[F]):
    """Rows that may come from files of an administrator, as their `source` says."""

    def from_files(self) -> list[F]:
        """Those that come from files, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(self._table)
                .where(self._table.c.source.is_not(None))
                .order_by(self._table.c.id)
            ).all()
        return [self._record.from_row(row) for row in rows]

    def find_source(self, source: str) -> F | None:
        """The one that comes from that file, or None."""
        return next((record for record in self.from_files() if record.source == source), None)

    def bring(self, name: str, source: str, **values: Any) -> F:
        """Have what is called `name` be as the file `source` of an administrator says.

        What came from that file before gets the name; what came from another one gets the source.

        Raises:
            AlreadyExists: The user has added something else under that name; it stays as it is.
        """
        table = self._table
        with self._database.write() as connection:
            found = connection.execute(
                sa.select(table).where(sa.or_(table.c.name == name, table.c.source == source))
            ).all()
            known = next((row for row in found if row.name == name), found[0] if found else None)
            if known is not None and known.source is None and _differ(known, values):
                raise AlreadyExists(
                    f"{source} is passed over, because you have a {self.noun} called {name!r} of "
                    f"your own. To get the administrator's, rename yours, which keeps all that "
                    f"belongs to it: fractal.{self.noun}s.update({name!r}, name='My {name}')."
                )
            values = {**values, "name": name, "source": source}
            statement: sa.Insert | sa.Update = self._insertion().values(created=time.time())
            if known is not None:
                statement = sa.update(table).where(table.c.id == known.id)
            row = connection.execute(statement.values(**values).returning(*table.c)).one()
        return self._record.from_row(row)

    def retire(self, record: F) -> None:
        """Take what no file says any more out of use."""
        raise NotImplementedError

    def _insertion(self) -> sa.Insert:
        return sa.insert(self._table)

    def _check_own(self, record: F) -> None:
        """Raise `NotAllowed` for what is the administrator's."""
        if record.source is not None:
            raise NotAllowed(
                f"The {self.noun} {record.name!r} is the administrator's: it comes from the file "
                f"{record.source}, and can be changed and removed only there. Ask who keeps that "
                f"file, or add a {self.noun} of your own with another name."
            )


def _differ(row: sa.Row[Any], values: Mapping[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in values.items())


class Resources(FromFiles[ResourceRecord]):
    """Resources by name."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, resources, ResourceRecord, "resource")

    def add(self, name: str, document: dict[str, Any], *, warm: bool = True) -> ResourceRecord:
        """Add a resource; raises `AlreadyExists`."""
        return self._insert(name, document=document, warm=warm)

    def update(
        self, key: int, name: str, document: dict[str, Any], *, warm: bool
    ) -> ResourceRecord:
        """Replace the document, and with it perhaps the name, of the resource with id `key`.

        Raises:
            NotAllowed: It is the administrator's.
        """
        self._check_own(self.by_id(key))
        return self._update(key, name, document=document, warm=warm)

    def remove(self, record: ResourceRecord) -> None:
        """Remove a resource that no profile and no task group needs.

        Raises:
            InUse: One does.
            NotAllowed: The resource is the administrator's.
        """
        self._check_own(record)
        with self._database.write() as connection:
            needed = _needed_by(connection, record)
            if needed:
                raise InUse(
                    f"The resource {record.name!r} is needed by {', '.join(needed)}; "
                    "remove these first."
                )
            connection.execute(sa.delete(resources).where(resources.c.id == record.id))

    def retire(self, record: ResourceRecord) -> None:
        """Remove a resource that no file says any more; if it is needed, it takes no new jobs."""
        closed = {**record.document, "prevent_new_submissions": True}
        with self._database.read() as connection:
            if record.document == closed and _needed_by(connection, record):
                return
        with self._database.write() as connection:
            here = resources.c.id == record.id
            if _needed_by(connection, record):
                connection.execute(sa.update(resources).where(here).values(document=closed))
            else:
                connection.execute(sa.delete(resources).where(here))

    def _insertion(self) -> sa.Insert:
        return sa.insert(self._table).values(warm=True)


def _needed_by(connection: sa.Connection, record: ResourceRecord) -> list[str]:
    """What needs a resource."""
    return [
        f"profile {name!r}"
        for name in connection.execute(
            sa.select(profiles.c.name).where(profiles.c.resource_id == record.id)
        ).scalars()
    ] + [
        f"task group {row.package} {row.version}"
        for row in connection.execute(
            sa.select(task_groups.c.package, task_groups.c.version).where(
                task_groups.c.resource_id == record.id
            )
        )
    ]


class Profiles(FromFiles[ProfileRecord]):
    """Profiles by name."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, profiles, ProfileRecord, "profile")

    def add(self, name: str, resource_id: int, document: dict[str, Any]) -> ProfileRecord:
        """Add a profile of a resource; raises `AlreadyExists`."""
        return self._insert(name, resource_id=resource_id, document=document)

    def update(self, key: int, name: str, document: dict[str, Any]) -> ProfileRecord:
        """Replace the document, and with it perhaps the name, of the profile with id `key`.

        Raises:
            NotAllowed: It is the administrator's.
        """
        self._check_own(self.by_id(key))
        return self._update(key, name, document=document)

    def remove(self, record: ProfileRecord) -> None:
        """Remove a profile that no unfinished job uses.

        Raises:
            InUse: One does.
            NotAllowed: The profile is the administrator's.
        """
        self._check_own(record)
        with self._database.write() as connection:
            active = list(
                connection.execute(
                    sa.select(jobs.c.id).where(
                        jobs.c.profile_name == record.name,
                        jobs.c.status.in_(["submitted", "running"]),
                    )
                ).scalars()
            )
            if active:
                raise InUse(
                    f"The profile {record.name!r} is used by the unfinished job"
                    f"{'s' if len(active) > 1 else ''} {', '.join(map(str, active))}; "
                    "wait for them, or cancel them."
                )
            connection.execute(sa.delete(profiles).where(profiles.c.id == record.id))

    def retire(self, record: ProfileRecord) -> None:
        """Remove a profile that no file says any more; jobs keep the copy that they run with."""
        with self._database.write() as connection:
            connection.execute(sa.delete(profiles).where(profiles.c.id == record.id))


class Workflows(NamedRows[WorkflowRecord]):
    """Workflows by name."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, workflows, WorkflowRecord, "workflow")

    def add(self, name: str, steps: list[dict[str, Any]]) -> WorkflowRecord:
        """Add a workflow; raises `AlreadyExists`."""
        return self._insert(name, steps=steps)

    def update(self, key: int, name: str, steps: list[dict[str, Any]]) -> WorkflowRecord:
        """Replace the steps of the workflow with id `key`."""
        return self._update(key, name, steps=steps)

    def change(
        self, key: int, make: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> WorkflowRecord:
        """Replace the steps of a workflow by what `make` makes of them, in one transaction.

        Raises:
            NotFound: The workflow is not there any more.
        """
        here = workflows.c.id == key
        with self._database.write() as connection:
            row = connection.execute(
                sa.select(workflows).where(here).with_for_update()
            ).one_or_none()
            if row is None:
                raise NotFound("The workflow was removed in the meantime.")
            made = (
                sa.update(workflows)
                .where(here)
                .values(steps=make(row.steps))
                .returning(*workflows.c)
            )
            return WorkflowRecord.from_row(connection.execute(made).one())

    def remove(self, record: WorkflowRecord) -> None:
        """Remove a workflow. Jobs keep their own copy of what they were asked to run."""
        with self._database.write() as connection:
            connection.execute(sa.delete(workflows).where(workflows.c.id == record.id))

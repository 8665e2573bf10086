"""Task groups (installed task packages) and their tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fractal_jupyter.client.listing import Listing, Shown
from fractal_jupyter.display.words import counted
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.runner.collecting import CollectionRequest, collect
from fractal_jupyter.store.documents import not_found
from fractal_jupyter.store.records import (
    ActivityRecord,
    ProfileRecord,
    TaskGroupRecord,
    TaskRecord,
)
from fractal_jupyter.store.store import Store


class Task(Shown):
    """One task; has the fields of its manifest's entry as attributes (`task.input_types`)."""

    def __init__(self, record: TaskRecord, group: TaskGroupRecord) -> None:
        self._record = record
        self._group = group
        self._entry = TaskEntry.model_validate(record.entry)

    @property
    def package(self) -> str:
        """The name of its package."""
        return self._group.package

    @property
    def version(self) -> str | None:
        """The version of its package."""
        return self._group.version

    def __getattr__(self, name: str) -> Any:
        """The field of the manifest's entry with that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._entry, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *type(self._entry).model_fields]

    def _line(self) -> str:
        return f"<Task {self._record.name!r}, {self.type}, {self.package} {self.version}>"

    def _text(self) -> str:
        from fractal_jupyter.display.text import task_text

        return task_text(self._record, self._group)

    def _repr_html_(self) -> str:
        from fractal_jupyter.display.html import task_html

        return task_html(self._record, self._group)


def task_listing(pairs: Sequence[tuple[TaskRecord, TaskGroupRecord]]) -> Listing[Task]:
    """A list of tasks that shows itself as a table."""
    from fractal_jupyter.display.html import tasks_html
    from fractal_jupyter.display.text import tasks_text

    groups = {group.id: group for _, group in pairs}
    return Listing(
        (Task(record, group) for record, group in pairs),
        html=lambda items: tasks_html([item._record for item in items], groups),
        text=lambda items: tasks_text([item._record for item in items], groups),
    )


class TaskGroup(Shown):
    """One installed version of one task package, with its own environment."""

    def __init__(self, store: Store, record: TaskGroupRecord) -> None:
        self._store = store
        self._record = record

    @property
    def id(self) -> int:
        """The number of the task group."""
        return self._record.id

    @property
    def package(self) -> str:
        """The name of the package."""
        return self._record.package

    @property
    def version(self) -> str | None:
        """The version of the package."""
        return self._record.version

    @property
    def python(self) -> str | None:
        """The interpreter of its environment."""
        return self._record.python

    @property
    def python_version(self) -> str:
        """The Python version of its environment."""
        return self._record.python_version

    @property
    def folder(self) -> str:
        """The folder of its environment."""
        return self._record.folder

    @property
    def freeze(self) -> tuple[str, ...]:
        """What is installed in the environment, as exact requirements."""
        return tuple(self._record.freeze or ())

    @property
    def tasks(self) -> Listing[Task]:
        """Its tasks, in the order of the manifest."""
        records = self._store.task_groups.tasks(self._record.id)
        return task_listing([(record, self._record) for record in records])

    @property
    def activities(self) -> list[ActivityRecord]:
        """What was done to it, with logs."""
        return self._store.activities.all(self._record.id)

    def _line(self) -> str:
        return (
            f"<TaskGroup {self.package} {self.version}, Python {self.python_version}, "
            f"{counted(len(self.tasks), 'task')}>"
        )

    def _text(self) -> str:
        from fractal_jupyter.display.text import task_group_text

        return task_group_text(self._record, self._store.task_groups.tasks(self._record.id))

    def _repr_html_(self) -> str:
        from fractal_jupyter.display.html import task_group_html

        return task_group_html(self._record, self._store.task_groups.tasks(self._record.id))


class TaskGroups:
    """All task groups of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> Listing[TaskGroup]:
        """All task groups, the oldest first."""
        from fractal_jupyter.display.html import task_groups_html
        from fractal_jupyter.display.text import task_groups_text

        return Listing(
            (TaskGroup(self._store, record) for record in self._store.task_groups.all()),
            html=lambda items: task_groups_html([item._record for item in items]),
            text=lambda items: task_groups_text([item._record for item in items]),
        )

    def get(self, package: str, *, version: str | None = None) -> TaskGroup:
        """The newest task group of a package, or of one version of it; raises `NotFound`."""
        records = self._store.task_groups.all()
        for record in reversed(records):
            if record.package == package and version in (None, record.version):
                return TaskGroup(self._store, record)
        asked = package if version is None else f"{package} {version}"
        raise not_found("task group", asked, {f"{r.package} {r.version}" for r in records})

    def collect(
        self,
        requirement: str | Path,
        *,
        profile: ProfileRecord,
        python: str | None,
        extras: Sequence[str],
        pins_before: Mapping[str, str],
        pins_after: Mapping[str, str],
        uv: bool,
    ) -> TaskGroup:
        """See `Fractal.collect`."""
        from fractal_jupyter.display.progress import Progress

        request = CollectionRequest(
            requirement=str(requirement),
            profile=profile,
            python=python,
            extras=tuple(extras),
            pins_before=dict(pins_before),
            pins_after=dict(pins_after),
            uv=uv,
        )
        with Progress(f"Collecting {requirement}") as progress:
            record = collect(self._store, request, log=progress.log)
            group = TaskGroup(self._store, record)
            progress.done(
                f"{group.package} {group.version}: {counted(len(group.tasks), 'task')}, "
                f"Python {group.python_version}"
            )
        return group

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


class Tasks:
    """The tasks of all task groups."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, *, package: str | None = None, version: str | None = None) -> Listing[Task]:
        """All tasks, or those of a package, or of one version of it."""
        groups = {group.id: group for group in self._store.task_groups.all()}
        pairs = [(task, groups[task.task_group_id]) for task in self._store.task_groups.tasks()]
        return task_listing(
            [
                (task, group)
                for task, group in pairs
                if package in (None, group.package) and version in (None, group.version)
            ]
        )

    def get(self, name: str, *, version: str | None = None) -> Task:
        """The task called `name`, of the newest task group that has it; raises `NotFound`."""
        found = [task for task in self.list(version=version) if task.name == name]
        if not found:
            raise not_found("task", name, {task.name for task in self.list()})
        return found[-1]

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()

"""Tasks: what installed task packages can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fractal_jupyter.client.listing import Brief, Listing
from fractal_jupyter.display.page import Page
from fractal_jupyter.engine.searching import SearchedTask, TaskQuery, find_tasks
from fractal_jupyter.engine.updating import version_order
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.store.documents import not_found
from fractal_jupyter.store.records import TaskGroupRecord, TaskRecord
from fractal_jupyter.store.store import Store


class Task(Brief):
    """One task; has the fields of its manifest's entry as attributes (`task.input_types`)."""

    def __init__(self, store: Store, record: TaskRecord, group: TaskGroupRecord) -> None:
        self._store = store
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

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions of its package that are collected and have it, the newest first."""
        groups = [group for _, group in versions_of(self._store, self._record, self._group)]
        return tuple(dict.fromkeys(g.version for g in groups if g.active and g.version is not None))

    def __getattr__(self, name: str) -> Any:
        """The field of the manifest's entry with that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._entry, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *type(self._entry).model_fields]

    def _line(self) -> str:
        return f"<Task {self._record.name!r}, {self.type}, {self.package} {self.version}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.tasks import task_page

        return task_page(self._record, self._group, versions=self.versions)


def task_listing(
    store: Store, pairs: Sequence[tuple[TaskRecord, TaskGroupRecord]], *, found: bool = False
) -> Listing[Task]:
    """A list of tasks that shows itself as a table, or as what was found by searching."""
    from fractal_jupyter.display.tasks import found_tasks_page, tasks_page

    groups = {group.id: group for _, group in pairs}
    page = found_tasks_page if found else tasks_page
    return Listing(
        (Task(store, record, group) for record, group in pairs),
        page=lambda items: page([item._record for item in items], groups),
    )


def search_tasks(store: Store, query: TaskQuery) -> list[tuple[TaskRecord, TaskGroupRecord]]:
    """The tasks of all task groups that fit, the best first, each with its task group."""
    groups = {group.id: group for group in store.task_groups.all()}
    return find_tasks(
        [
            (task, groups[task.task_group_id])
            for task in store.task_groups.tasks()
            if task.task_group_id in groups
        ],
        query,
        about=lambda pair: SearchedTask(pair[0].entry, pair[1].package, pair[1].version),
    )


def versions_of(
    store: Store, record: TaskRecord, group: TaskGroupRecord
) -> list[tuple[TaskRecord, TaskGroupRecord]]:
    """The same task in all task groups of its package, the newest version first."""
    groups = {one.id: one for one in store.task_groups.all() if one.package == group.package}
    pairs = [
        (task, groups[task.task_group_id])
        for task in store.task_groups.tasks()
        if task.name == record.name and task.task_group_id in groups
    ]
    return sorted(pairs, key=lambda pair: version_order(pair[1].version), reverse=True)


class Tasks:
    """The tasks of all task groups."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(
        self,
        *,
        search: str | None = None,
        category: str | None = None,
        modality: str | None = None,
        tag: str | None = None,
        package: str | None = None,
        version: str | None = None,
    ) -> Listing[Task]:
        """All tasks, or those that fit everything that is said; case does not matter.

        Args:
            search: Words, in any order, that are all in the name, the tags, the category, the
                modality, the package, the types, the names of arguments, or the description.
                What has them in its name comes first.
            category: The category.
            modality: The modality.
            tag: One of the tags.
            package: The package.
            version: The version of the package.
        """
        query = TaskQuery(
            search=search,
            category=category,
            modality=modality,
            tag=tag,
            package=package,
            version=version,
        )
        return task_listing(self._store, search_tasks(self._store, query), found=query.seeks)

    def get(self, name: str, *, version: str | None = None) -> Task:
        """The task called `name`, in the highest version that there is; raises `NotFound`."""
        found = [task for task in self.list(version=version) if task.name == name]
        if not found:
            raise not_found("task", name, {task.name for task in self.list()})
        return max(found, key=lambda task: (version_order(task.version), task._group.id))

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()

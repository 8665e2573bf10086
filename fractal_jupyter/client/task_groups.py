"""Task groups: installed task packages, through their whole life."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from fractal_jupyter.client.activities import Activity, activity_listing, see_to_it
from fractal_jupyter.client.listing import Brief, Listing
from fractal_jupyter.client.tasks import Task, task_listing
from fractal_jupyter.display.page import Page
from fractal_jupyter.display.words import counted, size
from fractal_jupyter.engine.updating import version_order
from fractal_jupyter.environments.lock import Lock, parse_lock
from fractal_jupyter.environments.spec import normal_name
from fractal_jupyter.errors import InvalidArguments
from fractal_jupyter.runner.activities.cleaning import (
    Unused,
    begin_cleaning,
    look_everywhere,
)
from fractal_jupyter.runner.activities.collecting import begin_collection
from fractal_jupyter.runner.activities.custom import CustomRequest, begin_custom
from fractal_jupyter.runner.activities.deactivating import begin_deactivation
from fractal_jupyter.runner.activities.deleting import begin_deletion
from fractal_jupyter.runner.activities.exporting import export
from fractal_jupyter.runner.activities.reactivating import begin_reactivation
from fractal_jupyter.runner.activities.recipes import CollectionRequest
from fractal_jupyter.runner.refreshing import CHANGING
from fractal_jupyter.store.documents import not_found
from fractal_jupyter.store.records import ActivityRecord, TaskGroupRecord
from fractal_jupyter.store.store import Store

UNUSED_DAYS = 30.0


class TaskGroup(Brief):
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
    def origin(self) -> str:
        """Where the package came from: `pypi`, `wheel`, `editable`, `pixi` or `custom`."""
        return self._record.origin

    @property
    def active(self) -> bool:
        """Whether it has an environment, and jobs may use it."""
        return self._store.task_groups.get(self.id).active

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
        return self._record.freeze

    @property
    def lock(self) -> Lock | None:
        """What the environment consists of, exactly: versions, and hashes of everything in it."""
        return None if self._record.lock is None else parse_lock(self._record.lock)

    @property
    def tasks(self) -> Listing[Task]:
        """Its tasks, in the order of the manifest."""
        records = self._store.task_groups.tasks(self._record.id)
        return task_listing(self._store, [(record, self._record) for record in records])

    @property
    def activities(self) -> Listing[Activity]:
        """What was done to it, the oldest first."""
        return activity_listing(self._store, self._store.activities.all(self._record.id))

    def deactivate(self) -> TaskGroup:
        """Remove its environment, and keep what it consisted of, exactly.

        Raises:
            InUse: A job that is not over runs in it; the message names it.
            NotAllowed: It is not active.
        """
        freed = self._record.own_bytes
        see_to_it(
            self._store,
            f"Deactivating {self._name}",
            begin_deactivation(self._store, self._now()),
            done=lambda _: f"{self._name} is deactivated{_freed(freed)}",
        )
        return self._refreshed()

    def reactivate(self) -> TaskGroup:
        """Build its environment again, exactly as it was.

        Raises:
            NotAllowed: It is active.
            EnvironmentDiffers: What was built is not what was recorded; nothing is left of it.
            CollectionError: It could not be built; nothing is left.
        """
        see_to_it(
            self._store,
            f"Reactivating {self._name}",
            begin_reactivation(self._store, self._now()),
            done=lambda _: f"{self._name} is active again{self._as_it_was}",
        )
        return self._refreshed()

    def delete(self) -> None:
        """Remove it, and its environment. Jobs keep their record of what they ran in.

        Raises:
            InUse: A workflow, or a job that is not over, uses it; the message names them.
        """
        freed = self._record.own_bytes
        see_to_it(
            self._store,
            f"Deleting {self._name}",
            begin_deletion(self._store, self._now()),
            done=lambda _: f"{self._name} is deleted{_freed(freed)}",
        )

    @property
    def _as_it_was(self) -> str:
        return "" if self.origin in CHANGING else ", and what it was"

    @property
    def _name(self) -> str:
        return f"{self.package} {self.version}"

    def _now(self) -> TaskGroupRecord:
        return self._store.task_groups.get(self.id)

    def _refreshed(self) -> TaskGroup:
        self._record = self._now()
        return self

    def _line(self) -> str:
        return (
            f"<TaskGroup {self.package} {self.version}, Python {self.python_version}, "
            f"{counted(len(self.tasks), 'task')}{'' if self.active else ', deactivated'}>"
        )

    def _page(self) -> Page:
        from fractal_jupyter.display.task_groups import task_group_page

        return task_group_page(self._now(), self._store.task_groups.tasks(self.id))


def _freed(count: int | None) -> str:
    return f", which has freed {size(count)} of the disk" if count else ""


class TaskGroups:
    """All task groups of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> Listing[TaskGroup]:
        """All task groups, the oldest first."""
        from fractal_jupyter.display.task_groups import task_groups_page

        return Listing(
            (TaskGroup(self._store, record) for record in self._store.task_groups.all()),
            page=lambda items: task_groups_page([item._now() for item in items]),
        )

    def get(self, package: str, *, version: str | None = None) -> TaskGroup:
        """The task group with the highest version of a package, or with a version of it.

        Of several with that version it is the one that was collected last.

        Raises:
            NotFound: There is none.
        """
        records = self._store.task_groups.all()
        fitting = [
            record
            for record in records
            if normal_name(record.package) == normal_name(package)
            and version in (None, record.version)
        ]
        if fitting:
            best = max(fitting, key=lambda record: (version_order(record.version), record.id))
            return TaskGroup(self._store, best)
        asked = package if version is None else f"{package} {version}"
        raise not_found("task group", asked, {f"{r.package} {r.version}" for r in records})

    def export(self, group: TaskGroup | str, path: str | Path | None = None) -> Path:
        """Write a lock file, from which another machine rebuilds an environment exactly.

        It is a requirements file with hashes that pip and uv take, too; `fractal.collect(path)`
        makes a task group of it.

        Args:
            group: A task group, or the name of its package.
            path: The file to write, or the folder to write it into; by default
                `<package>-<version>.lock` in the working directory. A package that was collected
                from a wheel needs that wheel on the other machine, too: it is written beside it.

        Returns:
            The path of the lock file.

        Raises:
            NotAllowed: The environment is not one that can be rebuilt from packages.
        """
        found = self.get(group) if isinstance(group, str) else group
        return export(self._store, found._now(), None if path is None else Path(path))

    def clean(
        self,
        *,
        dry_run: bool = True,
        unused_for: float = UNUSED_DAYS,
        profile: str | None = None,
    ) -> Listing[Unused]:
        """Show what of the environments on the disk nothing uses, and what removing it frees.

        Removed, it is what no workflow and for long no job has used (deactivated: it can be
        built again exactly), what builds have left behind, and what of the shared cache no
        environment has. Environments of other stores are shown, and stay.

        Args:
            dry_run: False to remove it; otherwise it is only listed.
            unused_for: Days that a task group must not have been used for.
            profile: Look only at the environments of this profile; by default at all that this
                store knows of. A cluster on which nothing was collected is not asked.

        Returns:
            What nothing uses, what frees most first. What is left out because it cannot be looked
            at is told in a warning.

        Raises:
            InvalidArguments: `unused_for` is no number of days.
            NotFound: There is no such profile.
        """
        from fractal_jupyter.display.task_groups import unused_page

        if not isinstance(unused_for, (int, float)) or unused_for < 0:
            raise InvalidArguments(f"unused_for={unused_for!r}: allowed is a number of days.")
        found, problems = look_everywhere(self._store, unused_for=unused_for, profile=profile)
        for problem in problems:
            warnings.warn(problem, UserWarning, stacklevel=2)
        unused = sorted(
            (each for one in found for each in one.unused),
            key=lambda each: (each.kind == "unknown", -each.frees),
        )
        if not dry_run:
            for one in (one for one in found if one.removable):
                title = f"Cleaning {one.site.tasks_dir}"
                begun = begin_cleaning(self._store, one)
                see_to_it(self._store, title, begun, done=lambda _: "clean")
        shown: dict[str, Any] = {
            "saved": sum(one.saved_bytes for one in found),
            "removed": not dry_run,
            "unused_for": None if unused_for == UNUSED_DAYS else unused_for,
            "profile": profile,
        }
        return Listing(
            unused,
            page=lambda items: unused_page(items, **shown),
        )

    def collect(self, request: CollectionRequest) -> TaskGroup:
        """See `Fractal.collect`."""
        found = begin_collection(self._store, request)
        if isinstance(found, TaskGroupRecord):
            return self._already_there(request.requirement, found)
        return self._collected(f"Collecting {request.requirement}", found)

    def collect_custom(self, request: CustomRequest) -> TaskGroup:
        """See `Fractal.collect_custom`."""
        title = f"Looking at {request.package} in {request.python}"
        return self._collected(title, begin_custom(self._store, request))

    def _already_there(self, requirement: str, record: TaskGroupRecord) -> TaskGroup:
        from fractal_jupyter.display.progress import Progress

        with Progress(f"Collecting {requirement}") as progress:
            progress.log(f"{record.package} {record.version} is there already.")
            progress.done(self._summary(record))
        return TaskGroup(self._store, record)

    def _collected(self, title: str, begun: tuple[ActivityRecord, bool]) -> TaskGroup:
        def group(ended: ActivityRecord) -> TaskGroupRecord:
            assert ended.task_group_id is not None
            return self._store.task_groups.get(ended.task_group_id)

        ended = see_to_it(self._store, title, begun, done=lambda ended: self._summary(group(ended)))
        return TaskGroup(self._store, group(ended))

    def _summary(self, record: TaskGroupRecord) -> str:
        tasks = self._store.task_groups.tasks(record.id)
        return (
            f"{record.package} {record.version}: {counted(len(tasks), 'task')}, "
            f"Python {record.python_version}"
        )

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()

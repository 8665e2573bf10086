"""`Fractal`: where everything starts."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fractal_jupyter.administration.opening import AdministratorsFiles
from fractal_jupyter.client.defaults import add_local_resource
from fractal_jupyter.client.listing import Brief
from fractal_jupyter.client.showing import register_formatters
from fractal_jupyter.display.page import Page
from fractal_jupyter.errors import AdministratorsFileWarning, Ambiguous, InvalidArguments
from fractal_jupyter.models.problems import nearest
from fractal_jupyter.runner.launch import SupervisorCare
from fractal_jupyter.store.records import ProfileRecord
from fractal_jupyter.store.store import STORE_VARIABLE, Store

# Imported when they are used: `Fractal()` is the first line of every notebook, and waited for.
if TYPE_CHECKING:
    from fractal_jupyter.client.activities import Activities
    from fractal_jupyter.client.datasets import Dataset, Datasets
    from fractal_jupyter.client.jobs import Job, Jobs
    from fractal_jupyter.client.jupyter import JupyterServer
    from fractal_jupyter.client.plans import Plan
    from fractal_jupyter.client.profiles import Profiles
    from fractal_jupyter.client.resources import Resources
    from fractal_jupyter.client.task_groups import TaskGroup, TaskGroups
    from fractal_jupyter.client.tasks import Task, Tasks
    from fractal_jupyter.client.workflows import Workflow, Workflows
    from fractal_jupyter.runner.submission import JobRequest


class Fractal(Brief):
    """Run Fractal tasks on OME-Zarr images.

    The first use makes a store in this user's Jupyter data directory, with a resource for this
    machine ("Local resource") and a profile of it ("Local profile"). Where an administrator keeps
    resources in files of Jupyter's configuration path, the store gets these instead; files that
    cannot be used are told in an `AdministratorsFileWarning`.

    Args:
        url: SQLAlchemy URL of another store, `"sqlite:////some/folder/fractal.db"`; by default
            the value of `FRACTAL_JUPYTER_STORE`, or else this user's own store.
        profile: Name of the profile that is used where none is given.

    Raises:
        StoreError: The store cannot be opened.

    Example:
        >>> fractal = Fractal()
        >>> group = fractal.collect("fractal-tasks-core==2.1.0")
        >>> dataset = fractal.datasets.create("plate", zarr_dir="/data/out")
        >>> job = fractal.submit("Project Image", dataset, args={"overwrite": True})
    """

    def __init__(self, url: str | None = None, *, profile: str | None = None) -> None:
        self._store = Store(url or os.environ.get(STORE_VARIABLE))
        self._files = AdministratorsFiles(self._store)
        self._bring_files()
        if not self._files.have_resources:
            add_local_resource(self._store)
        self._profile: str | None = None
        if profile is not None:
            self.use(profile)
        SupervisorCare(self._store).take()
        register_formatters()

    @cached_property
    def resources(self) -> Resources:
        """Where computing happens."""
        from fractal_jupyter.client.resources import Resources

        return Resources(self._store)

    @cached_property
    def profiles(self) -> Profiles:
        """As whom."""
        from fractal_jupyter.client.profiles import Profiles

        return Profiles(self._store)

    @cached_property
    def task_groups(self) -> TaskGroups:
        """Installed task packages."""
        from fractal_jupyter.client.task_groups import TaskGroups

        return TaskGroups(self._store)

    @cached_property
    def activities(self) -> Activities:
        """What is done to task groups, and was."""
        from fractal_jupyter.client.activities import Activities

        return Activities(self._store)

    @cached_property
    def tasks(self) -> Tasks:
        """The tasks of all task groups."""
        from fractal_jupyter.client.tasks import Tasks

        return Tasks(self._store)

    @cached_property
    def datasets(self) -> Datasets:
        """Image lists."""
        from fractal_jupyter.client.datasets import Datasets

        return Datasets(self._store, lambda: self.profile)

    @cached_property
    def workflows(self) -> Workflows:
        """Ordered lists of steps."""
        from fractal_jupyter.client.workflows import Workflows

        return Workflows(self._store)

    @cached_property
    def jobs(self) -> Jobs:
        """What was submitted."""
        from fractal_jupyter.client.jobs import Jobs

        return Jobs(self._store)

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self._store.url

    @property
    def server(self) -> JupyterServer | None:
        """The Jupyter server that this kernel belongs to; None where there is none.

        Its extension shows the same as this object as long as both use the same store:
        `fractal.server.about()["store"]` says which one that is.
        """
        from fractal_jupyter.client.jupyter import find_server

        return find_server()

    @property
    def profile(self) -> str | None:
        """The name of the profile that is used where none is given; see `use`."""
        if self._profile is not None:
            return self._profile
        names = self._store.profiles.names()
        return names[0] if len(names) == 1 else None

    def use(self, profile: str) -> None:
        """Use a profile where none is given, as long as this object lives."""
        self._profile = self._store.profiles.get(profile).name

    def collect(
        self,
        requirement: str | Path,
        *,
        profile: str | None = None,
        python: str | None = None,
        extras: Sequence[str] = (),
        pins: Mapping[str, str] | None = None,
        pins_before: Mapping[str, str] | None = None,
        uv: bool = True,
        editable: bool = False,
        pixi: bool = False,
        pixi_version: str | None = None,
    ) -> TaskGroup:
        """Install a task package into an environment of its own, and read its tasks.

        A process of its own does so, which goes on when the notebook is closed; interrupting
        the cell cancels it.

        Args:
            requirement: `"name"`, `"name==1.2.3"`, `"name[extra]==1.2.3"`, or the path of a
                wheel file, of a lock file (see `task_groups.export`), with `editable=True` of a
                source folder, or with `pixi=True` of a project archive.
            profile: Name of the profile whose resource gets the environment.
            python: Python version, a key of the resource's `tasks_python_config.versions`; by
                default its `default_version`.
            extras: Extras of the package, in addition to those in `requirement`.
            pins: Versions, by package, that are installed after the package.
            pins_before: Versions, by package, that are installed before it.
            uv: Whether to build with uv (fast) or, when false, with pip.
            editable: Whether `requirement` is a folder with the source of the package, whose
                changes the next submission sees.
            pixi: Whether `requirement` is a pixi project, packed as `<name>-<version>.tar.gz`.
            pixi_version: A key of the resource's `tasks_pixi_config.versions`; by default its
                `default_version`.

        Returns:
            The task group; the one that is there already when the same was collected before.

        Raises:
            CollectionError: The environment could not be built; says why, and nothing is left.
            ActivityCancelled: Somebody has cancelled the activity.
        """
        from fractal_jupyter.runner.activities.recipes import CollectionRequest

        _require_text(requirement, "requirement", 'a name, "name==1.2.3", or a path')
        for what, pinned in (("pins", pins), ("pins_before", pins_before)):
            for name, version in (pinned or {}).items():
                _require_text(version, f"{what}[{name!r}]", 'a version, "1.2.3"')
        if python is not None:
            _require_text(python, "python", 'a version, "3.12"')
        if isinstance(extras, str):
            extras = (extras,)
        return self.task_groups.collect(
            CollectionRequest(
                requirement=str(requirement),
                profile=self._profile_record(profile),
                python=python,
                extras=tuple(extras),
                pins_before=dict(pins_before or {}),
                pins_after=dict(pins or {}),
                uv=uv,
                editable=editable,
                pixi=pixi,
                pixi_version=pixi_version,
            )
        )

    def collect_custom(
        self, package: str, *, python: str | Path, profile: str | None = None
    ) -> TaskGroup:
        """Use a task package in an environment that somebody else has made and looks after.

        It is never changed or removed; what it consists of is looked up at each submission.

        Args:
            package: The name of the package.
            python: Absolute path of the interpreter of the environment, where the tasks run.
            profile: Name of the profile whose resource gets the task group.

        Raises:
            CollectionError: The package is not there, or is no task package.
        """
        from fractal_jupyter.runner.activities.custom import CustomRequest

        return self.task_groups.collect_custom(
            CustomRequest(
                package=package, python=str(python), profile=self._profile_record(profile)
            )
        )

    def submit(
        self,
        task: str | Task | Workflow,
        dataset: str | Dataset,
        *,
        args: Mapping[str, Any] | None = None,
        args_non_parallel: Mapping[str, Any] | None = None,
        args_parallel: Mapping[str, Any] | None = None,
        meta: Mapping[str, Any] | None = None,
        version: str | None = None,
        profile: str | None = None,
        first: int = 0,
        last: int | None = None,
        type_filters: Mapping[str, bool] | None = None,
        attribute_filters: Mapping[str, Sequence[Any]] | None = None,
        account: str | None = None,
        worker_init: str | None = None,
        memory_limit: str | int | None = None,
        warm: bool = True,
        rerun_interrupted: bool = False,
        name: str | None = None,
    ) -> Job:
        """Submit a task or a workflow on a dataset; returns at once.

        Args:
            task: A task, its name, or a workflow. (The name of a workflow is given as
                `fractal.workflows.get(name)`.)
            dataset: A dataset or its name.
            args: Arguments of a single task; those of a compound task go to the part whose
                schema has the name.
            args_non_parallel: Arguments of the part that runs once.
            args_parallel: Arguments of the part that runs for each image.
            meta: `cpus_per_task`, `mem`, `needs_gpu`, … of a single task.
            version: Version of the task's package, where several are installed.
            profile: Name of a profile; see `use`.
            first: Position of the first step of the workflow to run.
            last: Position of the last one; None for all.
            type_filters: Types that the images must have at the start, `{"is_3D": True}`.
            attribute_filters: Allowed values by attribute, `{"well": ["B03", "B04"]}`.
            account: SLURM account; refused where there is no SLURM.
            worker_init: Shell lines to run before the worker, on SLURM; refused elsewhere.
            memory_limit: Most memory that a unit may use: `"500M"`, `"2G"`. A plain number counts
                MB, as in the `mem` of a meta.
            warm: False to start each unit as a process of its own that does its own imports.
            rerun_interrupted: True to run again, without being asked, units that were cut off
                (a task that changes images in place may then apply its change twice).
            name: What the job is called in lists; by default the task's or workflow's name.

        Returns:
            The job.

        Raises:
            FractalError: Something is wrong with the request; nothing was started.
        """
        from fractal_jupyter.client.jobs import Job
        from fractal_jupyter.runner.submission import submit

        single = {
            "args": args,
            "args_non_parallel": args_non_parallel,
            "args_parallel": args_parallel,
            "meta": meta,
            "version": version,
        }
        request = self._request(
            task,
            dataset,
            single={key: value for key, value in single.items() if value is not None},
            profile=profile,
            first=first,
            last=last,
            type_filters=type_filters or {},
            attribute_filters=attribute_filters or {},
            account=account,
            worker_init=worker_init,
            memory_limit=memory_limit,
            warm=warm,
            rerun_interrupted=rerun_interrupted,
            name=name,
        )
        return Job(self._store, submit(self._store, request).id)

    def form(
        self,
        task: str | Task,
        dataset: str | Dataset | None = None,
        *,
        args: Mapping[str, Any] | None = None,
        version: str | None = None,
        profile: str | None = None,
    ) -> Any:
        """A widget to fill in the arguments of a task and submit it; shows the cell that does so.

        Args:
            task: A task, or its name.
            dataset: The dataset that is chosen at first.
            args: Arguments to begin with.
            version: Version of the task's package, where several are installed.
            profile: The profile that is chosen at first.

        Raises:
            NotFound: There is no such task.
            Ambiguous: Several task groups have it; say which with `version`.
        """
        from fractal_jupyter.client.opening import open_widget

        found = self._task(task, version, profile) if isinstance(task, str) else task
        return open_widget("TaskForm", self, found, dataset, args=args, profile=profile)

    def plan(
        self,
        task: str | Task | Workflow,
        dataset: str | Dataset,
        *,
        profile: str | None = None,
        **options: Any,
    ) -> Plan:
        """Show what `submit` with the same arguments would run; runs nothing.

        Raises:
            FractalError: As `submit` would.
        """
        from fractal_jupyter.client.plans import make_plan

        allowed = list(inspect.signature(self.submit).parameters)
        for option in options:
            if option not in allowed:
                meant = nearest(option, allowed)
                hint = (
                    f"; did you mean {meant!r}?" if meant else f"; there are {', '.join(allowed)}"
                )
                raise TypeError(f"plan() takes what submit() takes, but no {option!r}{hint}")
        single_names = ("args", "args_non_parallel", "args_parallel", "meta", "version")
        single = {name: options.pop(name) for name in single_names if options.get(name) is not None}
        request = self._request(task, dataset, single=single, profile=profile, **options)
        return make_plan(self._store, request)

    def _request(
        self,
        task: str | Task | Workflow,
        dataset: str | Dataset,
        *,
        single: Mapping[str, Any],
        profile: str | None,
        name: str | None = None,
        **options: Any,
    ) -> JobRequest:
        from fractal_jupyter.client.datasets import Dataset
        from fractal_jupyter.client.tasks import Task
        from fractal_jupyter.client.workflows import Workflow
        from fractal_jupyter.models.workflow import parse_step, parse_workflow
        from fractal_jupyter.runner.submission import JobRequest

        if not isinstance(task, (str, Task, Workflow)):
            raise InvalidArguments(
                f"{task!r} cannot be submitted: give a task or a workflow, or the name of a task."
            )
        if not isinstance(dataset, (str, Dataset)):
            raise InvalidArguments(f"dataset={dataset!r}: give a dataset, or its name.")
        record = self._store.datasets.get(dataset if isinstance(dataset, str) else dataset.name)
        if isinstance(task, Workflow):
            if single:
                raise InvalidArguments(
                    f"{', '.join(sorted(single))} belong to single tasks; a workflow's arguments "
                    "are those of its steps."
                )
            title = task.name
            steps = parse_workflow(title, [dict(step) for step in task.steps]).steps
        else:
            title, document = _single_step(task, single)
            steps = (parse_step(document),)
        return JobRequest(
            name=name or title,
            steps=steps,
            dataset=record,
            profile=self._profile_record(profile),
            **{key: value for key, value in options.items() if value is not None},
        )

    def _bring_files(self) -> None:
        """See that the administrator's resources and profiles are as their files say."""
        for problem in self._files.bring():
            warnings.warn(problem, AdministratorsFileWarning, stacklevel=3)

    def _task(self, name: str, version: str | None, profile: str | None) -> Task:
        """The task that a submission with the same words would run."""
        from fractal_jupyter.client.tasks import Task
        from fractal_jupyter.runner.resolving import resolve_task

        if profile is None and self.profile is None:
            return self.tasks.get(name, version=version)
        record = self._profile_record(profile)
        resource = self._store.resources.by_id(record.resource_id)
        found = resolve_task(
            self._store, resource=resource, profile=record, name=name, version=version
        )
        return Task(self._store, *found)

    def _profile_record(self, name: str | None) -> ProfileRecord:
        self._bring_files()
        name = name or self.profile
        if name is None:
            names = ", ".join(repr(n) for n in self._store.profiles.names())
            raise Ambiguous(
                f"Say which profile: profile=…, or once fractal.use(…). There are: {names}."
            )
        return self._store.profiles.get(name)

    def close(self) -> None:
        """Close the connections to the store. Jobs go on."""
        self._store.close()

    def _line(self) -> str:
        return f"<Fractal {self._store.database.shown_url}, profile {self.profile!r}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.overview import fractal_page
        from fractal_jupyter.runner.users import current_user

        store = self._store
        return fractal_page(
            url=store.database.shown_url,
            profile=self.profile,
            profiles=store.profiles.names(),
            counts={
                "resources": len(store.resources.names()),
                "task_groups": store.task_groups.count(),
                "datasets": len(store.datasets.names()),
                "workflows": len(store.workflows.names()),
            },
            jobs=store.jobs.counts(current_user()),
        )


def _require_text(value: object, what: str, allowed: str) -> None:
    """Refuse what is no text or path, and would only become one by chance: None, 3.12."""
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidArguments(f"{what}={value!r}: allowed is {allowed}.")


def _single_step(task: str | Task, single: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(task, str):
        return task, {"task": task, **single}
    found = {
        "task": task.name,
        "version": task.version,
        "package": task.package,
        "task_group": task._record.task_group_id,
    }
    return task.name, {**found, **single}

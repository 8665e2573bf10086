"""Workflows: ordered lists of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fractal_jupyter.client.listing import Brief, Listing
from fractal_jupyter.display.page import Page
from fractal_jupyter.display.words import counted
from fractal_jupyter.engine.updating import NewValues
from fractal_jupyter.models.workflow import parse_workflow
from fractal_jupyter.runner.updating import StepUpdate, find_updates, plan_update, update_step
from fractal_jupyter.store.records import WorkflowRecord
from fractal_jupyter.store.store import Store


class TaskUpdate(Brief):
    """What updating a step to another version of its task would mean.

    Has as attributes: `position`, `task`, `package`, `before` (the version that the step has, or
    None), `version`, `step` (as it would be), `changes` (what the task does differently),
    `problems` (what no longer fits) and `fits`.
    """

    def __init__(self, update: StepUpdate) -> None:
        self._update = update

    def __getattr__(self, name: str) -> Any:
        """The field with that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._update, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *StepUpdate.__dataclass_fields__, "fits"]

    def _line(self) -> str:
        state = "fits" if self.fits else counted(len(self.problems), "problem")
        return f"<TaskUpdate of step {self.position}, {self.task!r}, to {self.version}: {state}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.workflows import update_page

        return update_page(self._update)


class Workflow(Brief):
    """One workflow."""

    def __init__(self, store: Store, record: WorkflowRecord) -> None:
        self._store = store
        self._record = record

    @property
    def name(self) -> str:
        """The unique name."""
        return self._record.name

    @property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """The steps, as they were given."""
        return tuple(self._record.steps)

    def updates(self, *, profile: str | None = None) -> Listing[TaskUpdate]:
        """The steps that a newer version of their task is collected for; changes nothing.

        Args:
            profile: Look only at what is collected for the resource of this profile.
        """
        from fractal_jupyter.display.workflows import updates_page

        record = None if profile is None else self._store.profiles.get(profile)
        return Listing(
            map(TaskUpdate, find_updates(self._store, self._record.steps, profile=record)),
            page=lambda items: updates_page([item._update for item in items]),
        )

    def plan_update(
        self,
        step: int | str,
        *,
        version: str | None = None,
        args: Mapping[str, Any] | None = None,
        args_non_parallel: Mapping[str, Any] | None = None,
        args_parallel: Mapping[str, Any] | None = None,
        type_filters: Mapping[str, bool] | None = None,
    ) -> TaskUpdate:
        """What `update_task` with the same arguments would do; changes nothing."""
        new = NewValues(
            args=args,
            args_non_parallel=args_non_parallel,
            args_parallel=args_parallel,
            type_filters=type_filters,
        )
        return TaskUpdate(plan_update(self._store, self._record, step, version=version, new=new))

    def update_task(
        self,
        step: int | str,
        *,
        version: str | None = None,
        args: Mapping[str, Any] | None = None,
        args_non_parallel: Mapping[str, Any] | None = None,
        args_parallel: Mapping[str, Any] | None = None,
        type_filters: Mapping[str, bool] | None = None,
    ) -> Workflow:
        """Update a step to another version of its task, and its arguments with it.

        Nothing is changed unless all fits. What others change in other steps meanwhile stays.

        Args:
            step: Its position from 0, or the name of its task.
            version: A version that is collected; None for the newest one.
            args: New arguments of the step. Each of `args`, `args_non_parallel` and
                `args_parallel` that is given replaces the one of the step; of a task with one
                part, what is given replaces all of them.
            args_non_parallel: New arguments of the part that runs once.
            args_parallel: New arguments of the part that runs per image.
            type_filters: New type filters of the step.

        Returns:
            The workflow as it is now, this very object.

        Raises:
            InvalidArguments: Lists each argument and type filter that does not fit.
            NotFound: There is no such step, or no such version is collected.
            Ambiguous: Several steps have that task, or several packages a task of that name.
            NotAllowed: That version is deactivated, or somebody else has changed the step since the
                workflow was read.
        """
        new = NewValues(
            args=args,
            args_non_parallel=args_non_parallel,
            args_parallel=args_parallel,
            type_filters=type_filters,
        )
        self._record = update_step(self._store, self._record, step, version=version, new=new)
        return self

    def _line(self) -> str:
        tasks = " → ".join(str(step["task"]) for step in self.steps)
        return f"<Workflow {self.name!r}: {tasks}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.workflows import workflow_page

        return workflow_page(self._record)


class Workflows:
    """All workflows of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, name: str, *, steps: Sequence[Mapping[str, Any]], exist_ok: bool = False
    ) -> Workflow:
        """Make a workflow.

        Args:
            name: A new, unique name.
            steps: `{"task": name, "version"?, "package"?, "task_group"?, "args"?, "args_parallel"?,
                "args_non_parallel"?, "meta"?, "meta_parallel"?, "meta_non_parallel"?,
                "type_filters"?, "warm"?}` each. Whether the tasks are there and take these
                arguments is checked at submission, since that is up to the resource.
            exist_ok: Whether to return the workflow of this name, when its steps are these; for
                cells that are run again. (`update` gives it other steps.)

        Raises:
            InvalidDocument: Lists the fields that are wrong.
            AlreadyExists: The name is taken; with `exist_ok`, by a workflow with other steps.
        """
        document = parse_workflow(name, steps).to_document()["steps"]
        workflows = self._store.workflows
        record = (
            workflows.add_unless_same(name, lambda: workflows.add(name, document), steps=document)
            if exist_ok
            else workflows.add(name, document)
        )
        return Workflow(self._store, record)

    def update(self, name: str, *, steps: Sequence[Mapping[str, Any]]) -> Workflow:
        """Replace the steps of a workflow; jobs keep those that they were submitted with."""
        record = self._store.workflows.get(name)
        workflow = parse_workflow(name, steps)
        return Workflow(
            self._store,
            self._store.workflows.update(record.id, name, workflow.to_document()["steps"]),
        )

    def list(self) -> Listing[Workflow]:
        """All workflows, the oldest first."""
        from fractal_jupyter.display.workflows import workflows_page

        return Listing(
            (Workflow(self._store, record) for record in self._store.workflows.all()),
            page=lambda items: workflows_page([item._record for item in items]),
        )

    def get(self, name: str) -> Workflow:
        """The workflow called `name`; raises `NotFound`."""
        return Workflow(self._store, self._store.workflows.get(name))

    def remove(self, name: str) -> None:
        """Remove a workflow; jobs keep what they were submitted with."""
        self._store.workflows.remove(self._store.workflows.get(name))

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()

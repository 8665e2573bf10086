"""Workflows: ordered lists of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fractal_jupyter.client.listing import Listing, Shown
from fractal_jupyter.models.workflow import parse_workflow
from fractal_jupyter.store.records import WorkflowRecord
from fractal_jupyter.store.store import Store


class Workflow(Shown):
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

    def _line(self) -> str:
        tasks = " → ".join(str(step["task"]) for step in self.steps)
        return f"<Workflow {self.name!r}: {tasks}>"

    def _text(self) -> str:
        from fractal_jupyter.display.text import workflow_text

        return workflow_text(self._record)

    def _repr_html_(self) -> str:
        from fractal_jupyter.display.html import workflow_html

        return workflow_html(self._record)


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
            steps: `{"task": name, "version"?, "package"?, "args"?, "args_parallel"?,
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
        from fractal_jupyter.display.html import workflows_html
        from fractal_jupyter.display.text import workflows_text

        return Listing(
            (Workflow(self._store, record) for record in self._store.workflows.all()),
            html=lambda items: workflows_html([item._record for item in items]),
            text=lambda items: workflows_text([item._record for item in items]),
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

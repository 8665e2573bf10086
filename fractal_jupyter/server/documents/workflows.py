"""Workflows, and updates of their steps."""

from __future__ import annotations

from typing import Any, Self

from fractal_jupyter.client.workflows import TaskUpdate
from fractal_jupyter.server.documents.answer import Answer, Json
from fractal_jupyter.server.problems import FieldProblem


class WorkflowDocument(Answer):
    """An ordered list of steps, as they were given."""

    id: int
    name: str
    steps: list[Json]
    created: float


class ChangeDocument(Answer):
    """Something that a task does differently in another version."""

    what: str
    before: Any
    after: Any


class UpdateDocument(Answer):
    """What updating a step to another version of its task would mean.

    Attributes:
        before: The version that the step has; null where it does not say one.
        version: The version that it would have; `task_id` is the task in that version.
        step: The step as it would be.
        changes: What the task does differently.
        problems: What no longer fits; as long as there are any, nothing is changed.
    """

    position: int
    task: str
    task_id: int
    package: str
    before: str | None
    version: str
    step: Json
    changes: list[ChangeDocument]
    problems: list[FieldProblem]

    @classmethod
    def of(cls, update: TaskUpdate) -> Self:
        """Make it of an update."""
        same = ("position", "task", "task_id", "package", "before", "version", "step")
        return cls(
            **{name: getattr(update, name) for name in same},
            changes=[ChangeDocument.model_validate(change) for change in update.changes],
            problems=[FieldProblem.of(problem) for problem in update.problems],
        )

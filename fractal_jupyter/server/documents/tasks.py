"""Tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.server.documents.answer import Answer, Json
from fractal_jupyter.store.records import TaskGroupRecord, TaskRecord


class TaskSummary(Answer):
    """A task, without its schemas."""

    id: int
    task_group_id: int
    resource_id: int
    package: str
    version: str | None
    name: str
    type: str
    category: str | None
    modality: str | None
    tags: list[str]
    input_types: dict[str, bool]
    output_types: dict[str, bool]

    @classmethod
    def of(cls, record: TaskRecord, group: TaskGroupRecord) -> Self:
        """Make it of a task and its task group."""
        return cls(**_task_fields(record, group))


class TaskVersion(Answer):
    """The same task in a task group of its package; `active` is whether it can be run."""

    task_id: int
    version: str | None
    resource_id: int
    python_version: str
    active: bool


class TaskDocument(TaskSummary):
    """A task with what its form is made from, and the versions of it, the newest first."""

    docs_info: str | None
    docs_link: str | None
    meta_non_parallel: Json | None
    meta_parallel: Json | None
    args_schema_non_parallel: Json | None
    args_schema_parallel: Json | None
    versions: list[TaskVersion]

    @classmethod
    def with_versions(
        cls,
        record: TaskRecord,
        group: TaskGroupRecord,
        versions: Sequence[tuple[TaskRecord, TaskGroupRecord]],
    ) -> Self:
        """Make it of a task and its task group, and of all of its package that have it."""
        own = cls.model_fields.keys() - TaskSummary.model_fields.keys() - {"versions"}
        said = {name: record.entry.get(name) for name in own}
        return cls(
            **_task_fields(record, group) | said,
            versions=[
                TaskVersion(
                    task_id=task.id,
                    version=other.version,
                    resource_id=other.resource_id,
                    python_version=other.python_version,
                    active=other.active,
                )
                for task, other in versions
            ],
        )


def _task_fields(record: TaskRecord, group: TaskGroupRecord) -> Json:
    entry = TaskEntry.model_validate(record.entry)
    return {
        "id": record.id,
        "task_group_id": group.id,
        "resource_id": group.resource_id,
        "package": group.package,
        "version": group.version,
        "name": record.name,
        "type": entry.type,
        "category": entry.category,
        "modality": entry.modality,
        "tags": list(entry.tags),
        "input_types": dict(entry.input_types),
        "output_types": dict(entry.output_types),
    }

"""Task groups, and what of their environments nothing uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from fractal_jupyter.runner.activities.cleaning import Cleanable
from fractal_jupyter.server.documents.answer import Answer
from fractal_jupyter.store.records import TaskGroupRecord, TaskRecord

Origin = Literal["pypi", "wheel", "editable", "pixi", "custom"]


class TaskGroupDocument(Answer):
    """One installed version of one task package.

    `active` is whether it has an environment, `own_bytes` what removing that would free. `python`
    is its interpreter, `source` the folder of one in editable mode.
    """

    id: int
    resource_id: int
    package: str
    version: str | None
    origin: Origin
    python_version: str
    python: str | None
    source: str | None
    folder: str
    freeze: list[str]
    size_bytes: int | None
    own_bytes: int | None
    active: bool
    created: float
    last_used: float | None
    tasks: list[str]

    @classmethod
    def of(cls, record: TaskGroupRecord, tasks: Sequence[TaskRecord]) -> Self:
        """Make it of a task group and its tasks."""
        fields = {
            name: getattr(record, name) for name in cls.model_fields.keys() - {"tasks", "source"}
        }
        source = record.request.get("source")
        return cls(**fields, source=source, tasks=[task.name for task in tasks])


class UnusedItem(Answer):
    """Something that nothing uses; `unknown` is what this store does not know, and never removes.

    `frees` is what removing it frees. `resource` is `this machine` for what lies beside the store.
    """

    kind: Literal["task group", "leftover", "cache", "unknown"]
    what: str
    resource: str
    folder: str
    frees: int
    task_group_id: int | None


class UnusedDocument(Answer):
    """What nothing uses, and what environments would take in addition if they shared nothing.

    `problems` say which folders of environments cannot be looked at, and why.
    """

    items: list[UnusedItem]
    saved_bytes: int
    problems: list[str]

    @classmethod
    def of(cls, found: Sequence[Cleanable], problems: Sequence[str]) -> Self:
        """Make it of what was found."""
        return cls(
            items=[UnusedItem.model_validate(each) for one in found for each in one.unused],
            saved_bytes=sum(one.saved_bytes for one in found),
            problems=list(problems),
        )


class WheelDocument(Answer):
    """A wheel: its name, and its content in base64."""

    name: str
    content: str


class PackageDocument(Answer):
    """A file that was kept for a collection, which names it by its `requirement`."""

    name: str
    sha256: str
    requirement: str

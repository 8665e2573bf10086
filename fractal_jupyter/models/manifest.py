"""The manifest of a task package, `__FRACTAL_MANIFEST__.json` (version 2).

Checked as strictly as fractal-server 2.26 checks it, so that every package that runs there can be
used here; fields that are not known are left out.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from fractal_jupyter.errors import InvalidManifest
from fractal_jupyter.models.documents import problems_in
from fractal_jupyter.models.problems import listing
from fractal_jupyter.models.types import NonEmptyStr

TaskType = Literal[
    "parallel", "non_parallel", "compound", "converter_non_parallel", "converter_compound"
]

CONVERTERS: Final[frozenset[TaskType]] = frozenset({"converter_non_parallel", "converter_compound"})
"""Task types that get no images."""

_WITH_NON_PARALLEL: Final = CONVERTERS | {"non_parallel", "compound"}
_WITH_PARALLEL: Final[frozenset[TaskType]] = frozenset(
    {"parallel", "compound", "converter_compound"}
)


class TaskEntry(BaseModel):
    """One task, as the manifest of its package describes it.

    Attributes:
        name: Unique in its package.
        type: Which parts the task has, and what they are given; inferred when the manifest does
            not say it (never as a converter).
        executable_non_parallel: Script of the part that runs once, relative to the package root.
        executable_parallel: Script of the part that runs per image, relative to the package root.
        meta_non_parallel: What the non-parallel part needs: `cpus_per_task`, `mem`, …
        meta_parallel: What the parallel part needs.
        args_schema_non_parallel: JSON schema of the arguments of the non-parallel part.
        args_schema_parallel: JSON schema of the arguments of the parallel part.
        args_schema_version: How the schemas were made: `pydantic_v1`, `pydantic_v2` or
            `fractal_schema_v1`; a field of the manifest, repeated here for each task.
        input_types: Types that an image must have to be given to the task.
        output_types: Types that every image has that the task made or changed.
        category: `Segmentation`, `Registration`, …
        modality: `HCS`, `lightsheet`, …
        tags: Words to search for.
        docs_info: Description, Markdown.
        docs_link: Web page (http or https).
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: NonEmptyStr
    type: TaskType
    executable_non_parallel: NonEmptyStr | None = None
    executable_parallel: NonEmptyStr | None = None
    meta_non_parallel: dict[str, Any] = Field(default_factory=dict)
    meta_parallel: dict[str, Any] = Field(default_factory=dict)
    args_schema_non_parallel: dict[str, Any] | None = None
    args_schema_parallel: dict[str, Any] | None = None
    args_schema_version: str | None = None
    input_types: dict[str, bool] = Field(default_factory=dict)
    output_types: dict[str, bool] = Field(default_factory=dict)
    category: str | None = None
    modality: str | None = None
    tags: tuple[str, ...] = ()
    docs_info: str | None = None
    docs_link: str | None = None

    @property
    def has_non_parallel(self) -> bool:
        """Whether the task has a part that runs once."""
        return self.type in _WITH_NON_PARALLEL

    @property
    def has_parallel(self) -> bool:
        """Whether the task has a part that runs once per image, or per element."""
        return self.type in _WITH_PARALLEL

    @property
    def is_converter(self) -> bool:
        """Whether the task makes images and gets none."""
        return self.type in CONVERTERS

    @model_validator(mode="before")
    @classmethod
    def _infer_type(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("type") is not None:
            return values
        once = values.get("executable_non_parallel") is not None
        per_image = values.get("executable_parallel") is not None
        inferred = ("compound" if per_image else "non_parallel") if once else "parallel"
        return {**values, "type": inferred}

    @field_validator("executable_non_parallel", "executable_parallel")
    @classmethod
    def _relative(cls, executable: str | None) -> str | None:
        if executable is not None and executable.startswith("/"):
            raise ValueError("a path relative to the root of the package")
        return executable

    @field_validator("docs_link")
    @classmethod
    def _web_page(cls, link: str | None) -> str | None:
        if link is not None and not link.startswith(("http://", "https://")):
            raise ValueError("an http or https URL")
        return link

    @model_validator(mode="after")
    def _parts_fit_together(self) -> TaskEntry:
        parts: tuple[tuple[str, bool], ...] = (
            ("non_parallel", self.has_non_parallel),
            ("parallel", self.has_parallel),
        )
        for part, needed in parts:
            if getattr(self, f"executable_{part}") is not None:
                continue
            if needed:
                raise ValueError(f"a task of type `{self.type}` has an `executable_{part}`")
            for beside in (f"meta_{part}", f"args_schema_{part}"):
                if getattr(self, beside):
                    raise ValueError(f"`{beside}` only beside an `executable_{part}`")
        return self


class Manifest(BaseModel):
    """What a task package says of itself.

    Attributes:
        manifest_version: Always "2".
        task_list: The tasks; their names are unique.
        has_args_schemas: Whether every part of every task has a schema of its arguments.
        args_schema_version: How the schemas were made, `pydantic_v1` for instance.
        authors: Who made the package.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    manifest_version: Literal["2"]
    task_list: tuple[TaskEntry, ...]
    has_args_schemas: bool = False
    args_schema_version: str | None = None
    authors: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _tell_tasks_the_schema_version(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(tasks := values.get("task_list"), list):
            return values
        version = values.get("args_schema_version")
        told = [
            {**task, "args_schema_version": version} if isinstance(task, dict) else task
            for task in tasks
        ]
        return {**values, "task_list": told}

    @field_validator("task_list")
    @classmethod
    def _unique_names(cls, tasks: tuple[TaskEntry, ...]) -> tuple[TaskEntry, ...]:
        counts = Counter(task.name for task in tasks)
        if repeated := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"tasks of different names; there are several called {repeated}")
        return tasks

    @model_validator(mode="after")
    def _schemas_are_there(self) -> Manifest:
        for task in self.task_list if self.has_args_schemas else ():
            for part in ("non_parallel", "parallel"):
                executable = getattr(task, f"executable_{part}")
                if executable is not None and getattr(task, f"args_schema_{part}") is None:
                    raise ValueError(
                        f"`has_args_schemas` only if every executable has a schema; "
                        f"{task.name!r} has no `args_schema_{part}`"
                    )
        return self


def parse_manifest(text: str, *, source: str) -> Manifest:
    """Read a manifest.

    Args:
        text: Content of `__FRACTAL_MANIFEST__.json`.
        source: Where it comes from, for messages: "fractal-tasks-core 2.1.0".

    Returns:
        The manifest.

    Raises:
        InvalidManifest: It is not JSON, or breaks the contract; lists each field that is wrong.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidManifest(
            f"The manifest of {source} is not JSON: {error}. "
            "This is for the authors of the package to mend."
        ) from None
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise InvalidManifest(
            f"The manifest of {source} breaks the contract for task packages; "
            f"this is for its authors to mend:\n{listing(problems_in(error, Manifest))}"
        ) from None

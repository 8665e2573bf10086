"""Workflows: steps in their order, each a task with its arguments and needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    WrapValidator,
)
from pydantic_core import core_schema

from fractal_jupyter.models.documents import Document, JsonObject, Section, no_twins, parse_document
from fractal_jupyter.models.types import (
    MemoryMB,
    OneLine,
    PositiveInt,
    SbatchLine,
    SlurmTime,
    SlurmValue,
    StrictBool,
)


def _comes_with_the_submission(account: object) -> None:
    if account is not None:
        raise ValueError("no account here: it comes with the submission, submit(…, account=…)")


class StepMeta(Section):
    """What the units of a step need; what is not given is left to the task and the resource.

    Attributes:
        cpus_per_task: CPUs of one unit.
        mem: Memory of one unit, in MB.
        time: Time limit of a SLURM job.
        gres: Generic resources of a SLURM job, such as `gpu:v100:1`.
        gpus: GPUs of a SLURM job, such as `1` or `v100:1`.
        constraint: Features that a node must have.
        nodelist: Nodes to run on.
        nodes: Number of nodes of a SLURM job.
        exclude: Nodes not to run on.
        extra_lines: Further `#SBATCH` lines.
        tasks_per_job: Units in one SLURM job.
        parallel_tasks_per_job: Units side by side.
        needs_gpu: Whether units need a GPU.
        account: None; an account comes with the submission.
    """

    cpus_per_task: PositiveInt | None = None
    mem: MemoryMB | None = None
    time: SlurmTime | None = None
    gres: SlurmValue | None = None
    gpus: SlurmValue | None = None
    constraint: SlurmValue | None = None
    nodelist: SlurmValue | None = None
    nodes: PositiveInt | None = None
    exclude: SlurmValue | None = None
    extra_lines: tuple[SbatchLine, ...] = ()
    tasks_per_job: PositiveInt | None = None
    parallel_tasks_per_job: PositiveInt | None = None
    needs_gpu: bool = False
    account: Annotated[None, BeforeValidator(_comes_with_the_submission)] = None


def _meta_schema(_: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
    """Check as a `StepMeta`, and give the fields that were set: it is laid over a task's meta."""
    return core_schema.no_info_after_validator_function(
        lambda meta: meta.model_dump(exclude_unset=True), handler.generate_schema(StepMeta)
    )


Meta: TypeAlias = Annotated[JsonObject, GetPydanticSchema(_meta_schema)]
"""The fields of a `StepMeta` that were given, with memory in MB."""

TypeFilters: TypeAlias = Annotated[dict[OneLine, StrictBool], WrapValidator(no_twins)]


class Step(Section):
    """One step of a workflow.

    Attributes:
        task: Name of the task.
        version: Version of its task group; needed when several have a task of this name.
        package: Package of its task group; needed for the same reason.
        task_group: Id of its task group, if there are several of one version: of those that fit,
            the one that was collected last is taken else. A resource that does not have it takes
            one of its own.
        args: Arguments that go to the part of the task whose schema has their names.
        args_non_parallel: Arguments of the part that runs once.
        args_parallel: Arguments of the part that runs per image.
        meta: What the units of both parts need.
        meta_non_parallel: What the part that runs once needs; outranks `meta`.
        meta_parallel: What the units of the part that runs per image need; outranks `meta`.
        type_filters: Types that images must have, or not have, to be given to the step.
        warm: Whether units may be forked from a process that has done the imports.
    """

    task: OneLine
    version: OneLine | None = None
    package: OneLine | None = None
    task_group: PositiveInt | None = None
    args: JsonObject = Field(default_factory=dict)
    args_non_parallel: JsonObject = Field(default_factory=dict)
    args_parallel: JsonObject = Field(default_factory=dict)
    meta: Meta = Field(default_factory=dict)
    meta_non_parallel: Meta = Field(default_factory=dict)
    meta_parallel: Meta = Field(default_factory=dict)
    type_filters: TypeFilters = Field(default_factory=dict)
    warm: StrictBool = True


def _at_least_one(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if not steps:
        raise ValueError("a list of steps, at least one")
    return steps


class WorkflowDocument(Document):
    """An ordered list of steps.

    Attributes:
        name: Unique among the workflows of a store.
        steps: The steps, at least one.
    """

    name: OneLine
    steps: Annotated[tuple[Step, ...], AfterValidator(_at_least_one)]


class _Single(Document, Step):
    """A step that is a document of its own: a single task with what was said of it."""


def parse_step(step: Mapping[str, Any]) -> Step:
    """Check the one step of a single task's job.

    Raises:
        InvalidDocument: Fields are wrong; the message lists each of them, such as `meta.mem`.
    """
    return parse_document(_Single, step, noun="request")


def parse_workflow(name: str, steps: Sequence[Mapping[str, Any]]) -> WorkflowDocument:
    """Check a workflow.

    Args:
        name: What to call it.
        steps: One mapping per step, with the fields of `Step`. Paths in arguments become strings.

    Returns:
        The workflow; its `to_document()` has the name and the steps as they were given.

    Raises:
        InvalidDocument: Fields are wrong; the message lists each of them, such as
            `steps[2].type_filters.is_3D`.
    """
    return parse_document(WorkflowDocument, {"name": name, "steps": steps}, noun="workflow")

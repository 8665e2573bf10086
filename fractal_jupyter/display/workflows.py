"""Workflows, and plans of what a submission would run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from fractal_jupyter.display.page import (
    Block,
    Cell,
    Column,
    Hint,
    Item,
    Note,
    Page,
    Row,
    Span,
    Table,
    cell,
)
from fractal_jupyter.display.words import counted, number, shorten, types_text, value_text
from fractal_jupyter.engine.updating import Change
from fractal_jupyter.models.problems import describe
from fractal_jupyter.runner.updating import StepUpdate
from fractal_jupyter.store.records import WorkflowRecord

SCRIPT_LIMIT = 20_000


def workflow_page(record: WorkflowRecord) -> Page:
    """One workflow, step by step."""
    return Page(
        title=f"Workflow {record.name}",
        facts=(Span(counted(len(record.steps), "step")),),
        blocks=(
            Table(
                columns=(
                    Column(right=True),
                    Column(title="Task"),
                    Column(title="Arguments", grows=True),
                    Column(title="Needs", grows=True),
                    Column(title="Images", grows=True),
                ),
                rows=tuple(_step_row(number, step) for number, step in enumerate(record.steps)),
                empty="No steps.",
            ),
        ),
    )


def workflows_page(records: Sequence[WorkflowRecord]) -> Page:
    """Several workflows."""
    return Page(
        title=counted(len(records), "workflow"),
        blocks=(
            Table(
                columns=(
                    Column(title="Name", grows=True),
                    Column(title="Steps", right=True),
                    Column(title="Tasks", grows=True),
                ),
                rows=tuple(
                    (
                        cell(record.name, look="strong"),
                        cell(len(record.steps)),
                        cell(" → ".join(str(step.get("task")) for step in record.steps)),
                    )
                    for record in records
                ),
                empty="No workflows yet: fractal.workflows.create(name, steps=[…]) makes one.",
            ),
        ),
    )


def _step_row(position: int, step: Mapping[str, Any]) -> Row:
    task = " ".join(filter(None, (step.get("package"), step.get("version"))))
    return (
        cell(position, tone="soft"),
        cell(step.get("task"), look="strong", note=task),
        _named(step, ("args", "args_non_parallel", "args_parallel")),
        _named(step, ("meta", "meta_non_parallel", "meta_parallel")),
        cell(types_text(step.get("type_filters") or {})),
    )


def _named(step: Mapping[str, Any], parts: Sequence[str]) -> Cell:
    """Values by name, of several parts of a step; those of the first part need no prefix."""
    spans = []
    for part in parts:
        values = step.get(part)
        prefix = "" if part == parts[0] else f"{part}: "
        if isinstance(values, dict):
            spans += [
                Span(f"{prefix}{name} = {value_text(value, 60)}", "", "code")
                for name, value in values.items()
            ]
    return Cell(spans=tuple(spans[:12]), joint=", ")


def updates_page(updates: Sequence[StepUpdate]) -> Page:
    """Steps that a newer version of their task is collected for."""
    return Page(
        title=counted(len(updates), "newer version"),
        blocks=(
            Table(
                columns=(
                    Column(right=True),
                    Column(title="Task", grows=True),
                    Column(title="Package"),
                    Column(title="Version", line=True),
                    Column(title="Newest", line=True),
                    Column(title="Arguments", grows=True),
                ),
                rows=tuple(_update_row(update) for update in updates),
                empty="No newer version is collected for any of the steps.",
            ),
            *([Note(hints=_UPDATE_HINTS)] if updates else []),
        ),
    )


_UPDATE_HINTS = (
    Hint(code="workflow.plan_update(step)", words="shows what changes, and what no longer fits"),
    Hint(code="workflow.update_task(step)", words="updates the step"),
)


def update_page(update: StepUpdate) -> Page:
    """What updating one step to another version of its task would mean."""
    return Page(
        title=f"Step {update.position}: {update.task}",
        pill=_fitting(update),
        facts=(Span(f"{update.package} {update.before or 'of any version'} → {update.version}"),),
        blocks=(
            *([_problems_note(update)] if update.problems else []),
            *([_changes_table(update.changes)] if update.changes else []),
        ),
    )


def _update_row(update: StepUpdate) -> Row:
    state = _fitting(update)
    return (
        cell(update.position, tone="soft"),
        cell(update.task, look="strong"),
        cell(update.package),
        cell(update.before or "any", tone="soft"),
        cell(update.version),
        cell(state.text, tone=state.tone, look="status"),
    )


def _fitting(update: StepUpdate) -> Span:
    if update.fits:
        return Span("all fits", "good", "pill")
    return Span(f"{counted(len(update.problems), 'thing')} to change first", "warn", "pill")


def _problems_note(update: StepUpdate) -> Note:
    return Note(
        title="What no longer fits",
        items=tuple(
            Item(
                head=problem.path,
                text=f"found {describe(problem.found)}; allowed: "
                + problem.allowed.replace("`", ""),
            )
            for problem in update.problems
        ),
    )


def _changes_table(changes: Sequence[Change]) -> Table:
    return Table(
        title="What the task does differently",
        columns=(
            Column(title="What", line=True),
            Column(title="Before", grows=True),
            Column(title="Now", grows=True),
        ),
        rows=tuple(
            (cell(change.what, look="code"), _said(change.before), _said(change.after))
            for change in changes
        ),
    )


def _said(value: Any) -> Cell:
    if isinstance(value, dict) and all(isinstance(flag, bool) for flag in value.values()):
        return cell(types_text(value) or "any")
    return cell(value_text(value, 80))


class PhasePlan(Protocol):
    """One phase of a planned step."""

    @property
    def name(self) -> str:
        """`non_parallel` or `parallel`."""

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of a unit."""

    @property
    def args(self) -> dict[str, Any]:
        """The arguments that all units share."""

    @property
    def units(self) -> int | None:
        """How many units; None where only the step before can tell."""

    @property
    def batches(self) -> tuple[int, ...] | None:
        """How many units are in each batch."""

    @property
    def side_by_side(self) -> int | None:
        """How many units of a batch run at the same time."""

    @property
    def script(self) -> str | None:
        """The script that would be submitted to a scheduler; None where there is none."""


class StepPlan(Protocol):
    """One planned step."""

    @property
    def position(self) -> int:
        """Position in the workflow."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def package(self) -> str:
        """Package and version."""

    @property
    def type_filter(self) -> dict[str, bool]:
        """The types that its images must have."""

    @property
    def images(self) -> tuple[str, ...] | None:
        """Its images; None where only the steps before can tell."""

    @property
    def phases(self) -> Sequence[PhasePlan]:
        """Its phases."""


class JobPlan(Protocol):
    """What a submission would run."""

    @property
    def name(self) -> str:
        """What the job would be called."""

    @property
    def dataset(self) -> str:
        """The name of the dataset."""

    @property
    def resource(self) -> str:
        """The name of the resource."""

    @property
    def profile(self) -> str:
        """The name of the profile."""

    @property
    def steps(self) -> Sequence[StepPlan]:
        """The steps."""


def plan_page(plan: JobPlan) -> Page:
    """What a submission would run, step by step."""
    return Page(
        title=f"Plan: {plan.name}",
        pill=Span("nothing was started", "soft", "pill"),
        facts=(Span(f"dataset {plan.dataset}"), Span(f"{plan.profile} on {plan.resource}")),
        blocks=tuple(
            block
            for place, step in enumerate(plan.steps)
            for block in (_planned_step(step), *_scripts(step, f"plan.steps[{place}]"))
        ),
    )


def _planned_step(step: StepPlan) -> Block:
    return Table(
        title=f"Step {step.position}: {step.task}",
        columns=(Column(), Column(grows=True)),
        rows=(
            _fact("package", cell(step.package)),
            _fact("images", cell(_images(step))),
            *(row for phase in step.phases for row in _phase_rows(phase, step)),
        ),
    )


def _scripts(step: StepPlan, where: str) -> Iterator[Note]:
    """The scripts of a step's phases, as they would be submitted."""
    for place, phase in enumerate(step.phases):
        if phase.script:
            yield Note(
                title=f"The script for SLURM{_part(phase, step)}",
                text=shorten(phase.script, SCRIPT_LIMIT),
                look="code",
                folded=True,
                hints=(Hint(code=f"print({where}.phases[{place}].script)", words="prints it"),),
            )


def _fact(name: str, value: Cell) -> Row:
    return (cell(name, tone="soft"), value)


def _images(step: StepPlan) -> str:
    filters = f" that are {types_text(step.type_filter)}" if step.type_filter else ""
    if step.images is None:
        return f"those{filters}, as the steps before leave them"
    if not step.images:
        return "none: this task makes images"
    return counted(len(step.images), "image") + filters


def _phase_rows(phase: PhasePlan, step: StepPlan) -> list[Row]:
    part = _part(phase, step)
    args = Cell(
        spans=tuple(
            Span(f"{name} = {value_text(value, 80)}", "", "code")
            for name, value in phase.args.items()
        ),
        joint=", ",
    )
    return [
        _fact(f"units{part}", cell(_units(phase))),
        *([_fact(f"arguments{part}", args)] if phase.args else []),
        _fact(f"command{part}", cell(" ".join(phase.command), look="code")),
    ]


def _part(phase: PhasePlan, step: StepPlan) -> str:
    return f" ({phase.name})" if len(step.phases) > 1 else ""


def _units(phase: PhasePlan) -> str:
    if phase.units is None or phase.batches is None:
        return "as many as the part before asks for"
    sizes = Counter(phase.batches)
    batches = ", ".join(
        f"{counted(count, 'batch', 'batches')} of {number(units)}" for units, count in sizes.items()
    )
    together = f", {phase.side_by_side} at a time" if phase.side_by_side and phase.units > 1 else ""
    return f"{counted(phase.units, 'unit')} in {batches}{together}"

"""Another version of a step's task: what differs, what no longer fits, the step as it would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from fractal_jupyter.engine.arguments import argument_problems
from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.problems import Problem, child

ARGUMENTS: Final = ("args", "args_non_parallel", "args_parallel")

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewValues:
    """What a step is to have from now on, beside the version; None keeps what it has.

    Attributes:
        args: Arguments that go to the part of the task whose schema has their names.
        args_non_parallel: Arguments of the part that runs once.
        args_parallel: Arguments of the part that runs per image.
        type_filters: Types that images must have, or not have, to be given to the step.
    """

    args: Mapping[str, Any] | None = None
    args_non_parallel: Mapping[str, Any] | None = None
    args_parallel: Mapping[str, Any] | None = None
    type_filters: Mapping[str, bool] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a task does differently in another version.

    Attributes:
        what: `type`, `input_types`, `output_types`, or `default of args_parallel.level`.
        before: What it was, as JSON.
        after: What it is, as JSON.
    """

    what: str
    before: Any
    after: Any


def version_order(version: str | None) -> tuple[bool, Any]:
    """A key by which versions are sorted; what is no version comes first."""
    try:
        return True, Version(version or "")
    except InvalidVersion:
        return False, version or ""


def updated_step(
    step: Mapping[str, Any], entry: TaskEntry, *, version: str, new: NewValues
) -> JsonObject:
    """Return a step with another version of its task, and with the values that are new.

    Each of `args`, `args_non_parallel` and `args_parallel` that is given replaces the one that
    the step has. Of a task with one part they are all the same, and what is given replaces all.

    Args:
        step: The step, as it was given.
        entry: The task in that version.
        version: The version.
        new: What the step is to have from now on.
    """
    given = {
        name: value
        for name in (*ARGUMENTS, "type_filters")
        if (value := getattr(new, name)) is not None
    }
    one_part = not (entry.has_non_parallel and entry.has_parallel)
    replaced = set(given)
    if one_part and replaced.intersection(ARGUMENTS):
        replaced.update(ARGUMENTS)
    replaced |= {"version", "task_group"}
    kept = {name: value for name, value in step.items() if name not in replaced}
    return {**kept, "version": version, **{name: value for name, value in given.items() if value}}


def step_problems(
    step: Mapping[str, Any], entry: TaskEntry, *, before: TaskEntry | None = None
) -> list[Problem]:
    """Return all that keeps a step from being run with a task.

    Args:
        step: The step, as it was given.
        entry: The task.
        before: The task in the version that the step had, where it is known.

    Raises:
        InvalidManifest: A schema of the task is no JSON schema.
    """
    arguments = {name: step.get(name) for name in ARGUMENTS}
    return [*argument_problems(entry, **arguments), *_filter_problems(step, entry, before)]


def _filter_problems(
    step: Mapping[str, Any], entry: TaskEntry, before: TaskEntry | None
) -> Iterator[Problem]:
    filters = step.get("type_filters") or {}
    if entry.is_converter:
        if filters and before is not None and not before.is_converter:
            allowed = "nothing; the task makes images now, and is given none"
            yield Problem("type_filters", dict(filters), allowed)
        return
    for name, wanted in filters.items():
        taken = entry.input_types.get(name, wanted)
        if taken != wanted:
            allowed = f"{str(taken).lower()}; the task takes no other images"
            yield Problem(child("type_filters", name), wanted, allowed)


def task_changes(step: Mapping[str, Any], before: TaskEntry, after: TaskEntry) -> list[Change]:
    """Return what a task does differently in another version, without being told so by the step.

    These are its type, the types of images that it takes and gives, and the defaults of arguments
    that the step leaves alone.
    """
    fields = ("type", "input_types", "output_types")
    changes = [
        Change(name, getattr(before, name), getattr(after, name))
        for name in fields
        if getattr(before, name) != getattr(after, name)
    ]
    return [*changes, *_other_defaults(step, before, after)]


def _other_defaults(
    step: Mapping[str, Any], before: TaskEntry, after: TaskEntry
) -> Iterator[Change]:
    shared = step.get("args") or {}
    for part in ("non_parallel", "parallel"):
        old = _defaults(getattr(before, f"args_schema_{part}"))
        given = {*shared, *(step.get(f"args_{part}") or {})}
        for name, default in _defaults(getattr(after, f"args_schema_{part}")).items():
            if name in old and name not in given and old[name] != default:
                yield Change(f"default of {child(f'args_{part}', name)}", old[name], default)


def _defaults(schema: JsonObject | None) -> JsonObject:
    """The defaults of the arguments of one part, by name."""
    properties = (schema or {}).get("properties", {})
    return {
        name: field["default"]
        for name, field in properties.items()
        if name not in RESERVED and isinstance(field, dict) and "default" in field
    }

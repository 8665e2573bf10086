"""Arguments of a task: which part gets which, and whether the task's schema allows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.engine.schemas import NO_SUCH_NAME, schema_problems
from fractal_jupyter.errors import InvalidArguments
from fractal_jupyter.models.documents import plain_json
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.problems import Problem, child, listing, nearest

_NON_PARALLEL: Final = "args_non_parallel"
_PARALLEL: Final = "args_parallel"
_GIVEN_BY_FRACTAL = "nothing; Fractal itself gives this to the task, from the dataset"
_VERSIONS = (
    "Arguments change between versions of a task package: names that are not there may be those "
    "of another version."
)

JsonObject = dict[str, Any]


def route_arguments(
    task: TaskEntry,
    *,
    args: Mapping[str, Any] | None = None,
    args_non_parallel: Mapping[str, Any] | None = None,
    args_parallel: Mapping[str, Any] | None = None,
) -> tuple[JsonObject, JsonObject]:
    """Give each part of a task its arguments, as plain JSON (paths as strings, tuples as lists).

    Of a task with one part, `args` are that part's. Of a compound task, each goes to the part
    whose schema has its name; if both have it, to both (`overwrite` means the same in either).
    What `args_non_parallel` and `args_parallel` say outright wins.

    Args:
        task: The task.
        args: Arguments of whatever part.
        args_non_parallel: Arguments of the part that runs once.
        args_parallel: Arguments of the part that runs per image.

    Returns:
        The non-parallel and the parallel arguments; their schemas are not looked at beyond names.

    Raises:
        InvalidArguments: A compound task has no argument of that name in either part, or no
            schemas to tell by; the task has no such part; or a value has no JSON form.
    """
    non_parallel, parallel, problems = _route(task, args, args_non_parallel, args_parallel)
    _refuse(task, problems)
    return non_parallel, parallel


def validate_arguments(
    task: TaskEntry, non_parallel: Mapping[str, Any], parallel: Mapping[str, Any]
) -> None:
    """Check arguments against the task's schemas; a part without a schema takes any.

    Args:
        task: The task.
        non_parallel: Arguments of the part that runs once, plain JSON.
        parallel: Arguments of the part that runs per image, plain JSON.

    Raises:
        InvalidArguments: Lists each wrong value: its path, what was found, what is allowed.
        InvalidManifest: A schema is no JSON schema.
    """
    _refuse(task, _problems(task, non_parallel, parallel))


def argument_problems(
    task: TaskEntry,
    *,
    args: Mapping[str, Any] | None = None,
    args_non_parallel: Mapping[str, Any] | None = None,
    args_parallel: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Return all that keeps a task from being run with these arguments; see `route_arguments`.

    Raises:
        InvalidManifest: A schema is no JSON schema.
    """
    non_parallel, parallel, problems = _route(task, args, args_non_parallel, args_parallel)
    problems += _problems(task, non_parallel, parallel)
    # a part that is missing is told by either
    return list({str(problem): problem for problem in problems}.values())


def _route(
    task: TaskEntry,
    args: Mapping[str, Any] | None,
    args_non_parallel: Mapping[str, Any] | None,
    args_parallel: Mapping[str, Any] | None,
) -> tuple[JsonObject, JsonObject, list[Problem]]:
    """Give each part what can be given to it, and say what cannot."""
    problems: list[Problem] = []
    both = _plain(args, "args", problems)
    non_parallel = _plain(args_non_parallel, _NON_PARALLEL, problems)
    parallel = _plain(args_parallel, _PARALLEL, problems)
    problems.extend(_parts_missing(task, non_parallel, parallel))
    if task.has_non_parallel and task.has_parallel:
        problems.extend(_not_routable(task, both))
        to_non_parallel = _named_in(task.args_schema_non_parallel, both)
        to_parallel = _named_in(task.args_schema_parallel, both)
        return {**to_non_parallel, **non_parallel}, {**to_parallel, **parallel}, problems
    if task.has_non_parallel:
        return {**both, **non_parallel}, parallel, problems
    return non_parallel, {**both, **parallel}, problems


def _problems(
    task: TaskEntry, non_parallel: Mapping[str, Any], parallel: Mapping[str, Any]
) -> list[Problem]:
    return [
        *_parts_missing(task, non_parallel, parallel),
        *_check(task, non_parallel, task.args_schema_non_parallel, part=_NON_PARALLEL),
        *_check(task, parallel, task.args_schema_parallel, part=_PARALLEL),
    ]


def _check(
    task: TaskEntry, args: Mapping[str, Any], schema: JsonObject | None, *, part: str
) -> list[Problem]:
    reserved = sorted(RESERVED.intersection(args))
    problems = [Problem(child(part, name), args[name], _GIVEN_BY_FRACTAL) for name in reserved]
    if schema is not None:
        problems += schema_problems(
            {name: value for name, value in args.items() if name not in RESERVED},
            _of_the_user(schema),
            version=task.args_schema_version,
            path=part,
            source=f"{task.name!r} ({part})",
        )
    return problems


def _of_the_user(schema: JsonObject) -> JsonObject:
    """Return the schema without the arguments that Fractal gives."""
    properties = schema.get("properties", {})
    return {
        **schema,
        "properties": {name: properties[name] for name in properties if name not in RESERVED},
        "required": [name for name in schema.get("required", ()) if name not in RESERVED],
    }


def _not_routable(task: TaskEntry, args: JsonObject) -> Iterable[Problem]:
    """Yield the arguments that neither part of a compound task has."""
    schemas = (task.args_schema_non_parallel, task.args_schema_parallel)
    names = [name for schema in schemas for name in _names(schema)]
    outright = f"`{_NON_PARALLEL}` or `{_PARALLEL}`"
    for name, value in args.items():
        path = child("args", name)
        if name in RESERVED:
            yield Problem(path, value, _GIVEN_BY_FRACTAL)
        elif None in schemas and name not in names:
            yield Problem(path, value, f"{outright}, since the task has no schema to tell by")
        elif name not in names:
            meant = nearest(name, names)
            hint = f"did you mean `{meant}`?" if meant else f"there are {', '.join(names)}"
            yield Problem(path, value, f"{NO_SUCH_NAME} in either part of the task; {hint}")


def _parts_missing(
    task: TaskEntry, non_parallel: Mapping[str, Any], parallel: Mapping[str, Any]
) -> Iterable[Problem]:
    if non_parallel and not task.has_non_parallel:
        yield Problem(_NON_PARALLEL, dict(non_parallel), f"nothing; this task has `{_PARALLEL}`")
    if parallel and not task.has_parallel:
        yield Problem(_PARALLEL, dict(parallel), f"nothing; this task has `{_NON_PARALLEL}`")


def _plain(args: Mapping[str, Any] | None, path: str, problems: list[Problem]) -> JsonObject:
    if args is None:
        return {}
    if not isinstance(args, Mapping):
        problems.append(Problem(path, args, "an object: names and their values"))
        return {}
    return plain_json(args, path, problems) or {}


def _named_in(schema: JsonObject | None, args: JsonObject) -> JsonObject:
    names = _names(schema)
    return {name: value for name, value in args.items() if name in names}


def _names(schema: JsonObject | None) -> list[str]:
    """Return the names that the user can give."""
    return [name for name in (schema or {}).get("properties", {}) if name not in RESERVED]


def _refuse(task: TaskEntry, problems: list[Problem]) -> None:
    if not problems:
        return
    text = f"{task.name!r} cannot be run with these arguments:\n{listing(problems)}"
    if any(problem.allowed.startswith(NO_SUCH_NAME) for problem in problems):
        text += f"\n{_VERSIONS}"
    raise InvalidArguments(text, problems=problems)

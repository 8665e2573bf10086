"""Checking of values against the JSON schemas of a manifest.

The errors are for the people who wrote the values: they name paths, and what to write instead.

Schemas come in three flavours (`args_schema_version` of the manifest). Those that pydantic wrote
for the older two say of an optional argument which values it has, and leave out that it may be
null; null is accepted there.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from fractal_jupyter.errors import InvalidManifest
from fractal_jupyter.models.problems import MISSING, Problem, child, nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

JsonObject = dict[str, Any]

NO_SUCH_NAME: Final = "no such name"
"""How the allowed values of a name that the schema does not have begin."""

_COMPILED: Final = 256
_NAMED: Final = 20
_DEEP: Final = 5
_TYPES: Final[Mapping[str, str]] = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}
_LIMITS: Final[Mapping[str, str]] = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "with at least {} characters",
    "maxLength": "with at most {} characters",
    "minItems": "with at least {} items",
    "maxItems": "with at most {} items",
    "minProperties": "with at least {} fields",
    "maxProperties": "with at most {} fields",
    "pattern": "that matches {}",
}
_DESCRIBED: Final = frozenset({"type", "const", "enum", *_LIMITS})
"""Keywords that `describe_schema` has words for."""

_TAGS: Final = frozenset({"const", "enum"})
"""Keywords of fields that tell which alternative of several was meant."""


def schema_problems(
    value: object, schema: JsonObject, *, version: str | None, path: str, source: str
) -> list[Problem]:
    """Return all that is wrong with a value, by its schema.

    Args:
        value: Plain JSON value.
        schema: The schema; its draft is the one that it names, else the one of its flavour.
        version: The flavour, `args_schema_version` of the manifest.
        path: What the value is called, `args_parallel`.
        source: Whose schema it is, for the message that says that the schema itself is broken.

    Raises:
        InvalidManifest: The schema is no JSON schema.
    """
    validator: Any = _compiled(json.dumps(schema), version, source)
    errors = validator.iter_errors(value)
    problems = [problem for error in errors for problem in _explain(error, path, schema)]
    # the alternatives of a union may complain of the same thing
    return list({str(problem): problem for problem in problems}.values())


@functools.lru_cache(maxsize=_COMPILED)
def _compiled(text: str, version: str | None, source: str) -> Validator:
    validators = _import_validators()
    from jsonschema.exceptions import SchemaError

    schema = json.loads(text)
    of_flavour = validators.Draft202012Validator
    if version == "pydantic_v1":
        of_flavour = validators.Draft7Validator
    draft = validators.validator_for(schema, default=of_flavour)
    try:
        draft.check_schema(schema)
    except SchemaError as error:
        raise InvalidManifest(
            f"The schema of the arguments of {source} is no JSON schema, at {error.json_path}: "
            f"{error.message[:200]}. This is for the authors of the task package to mend."
        ) from None
    keywords = {
        "required": _required,
        "additionalProperties": _additional_properties,
        "oneOf": functools.partial(_one_of, draft.VALIDATORS["oneOf"]),
    }
    if version != "fractal_schema_v1":
        keywords["properties"] = functools.partial(
            _properties_or_null, draft.VALIDATORS["properties"]
        )
    compiled: Validator = validators.extend(draft, keywords)(schema)
    return compiled


def _import_validators() -> Any:
    """Import jsonschema without its check of international URLs.

    Jupyter installs that check, which nothing here uses, and which takes 1.5 s to import; without
    it jsonschema is as it is in an environment without Jupyter.
    """
    slow = "rfc3987_syntax"
    unwanted = "jsonschema" not in sys.modules and slow not in sys.modules
    if unwanted:
        sys.modules[slow] = None  # type: ignore[assignment]
    try:
        import jsonschema.validators
    finally:
        if unwanted:
            del sys.modules[slow]
    return jsonschema.validators


# --- keywords: the message of an error that they yield is what is allowed -----------------------


def _error(allowed: str, *, name: str, found: object, keyword: str) -> ValidationError:
    from jsonschema.exceptions import ValidationError

    return ValidationError(allowed, path=[name], instance=found, validator=keyword)


def _required(
    validator: Any, required: list[str], instance: Any, schema: JsonObject
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for name in required:
        if name not in instance:
            field = schema.get("properties", {}).get(name, {})
            allowed = describe_schema(field, validator.schema)
            yield _error(f"{allowed}; required", name=name, found=MISSING, keyword="required")


def _additional_properties(
    validator: Any, additional: Any, instance: Any, schema: JsonObject
) -> Iterator[ValidationError]:
    """Yield an error for each unknown name, with the name that was probably meant."""
    if not validator.is_type(instance, "object"):
        return
    names = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in names or any(re.search(pattern, name) for pattern in patterns):
            continue
        if additional is False:
            yield _error(
                _unknown_name(name, schema, validator.schema),
                name=name,
                found=value,
                keyword="additionalProperties",
            )
        else:
            yield from validator.descend(value, additional, path=name)


def _one_of(
    plain: Any, validator: Any, branches: list[Any], instance: Any, schema: JsonObject
) -> Iterator[ValidationError]:
    """Follow the tag of a tagged union, so that errors are about the branch that was meant."""
    tag = schema.get("discriminator") or {}
    mapping = tag.get("mapping")
    if not mapping or not validator.is_type(instance, "object"):
        yield from plain(validator, branches, instance, schema)
        return
    name = tag["propertyName"]
    found = instance.get(name, MISSING)
    if isinstance(found, str) and found in mapping:
        yield from validator.descend(instance, {"$ref": mapping[found]})
    else:
        yield _error(_one_of_values(mapping), name=name, found=found, keyword="discriminator")


def _properties_or_null(
    plain: Any, validator: Any, properties: JsonObject, instance: Any, schema: JsonObject
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        required = schema.get("required", ())
        instance = {
            name: value for name, value in instance.items() if value is not None or name in required
        }
    yield from plain(validator, properties, instance, schema)


# --- words ---------------------------------------------------------------------------------------


def _explain(error: ValidationError, path: str, root: JsonObject) -> Iterator[Problem]:
    where = functools.reduce(child, error.relative_path, path)
    if meant := _meant_branch(error):
        for inner in meant:
            yield from _explain(inner, where, root)
    elif error.validator in ("required", "additionalProperties", "discriminator"):
        yield Problem(where, error.instance, error.message)
    elif error.validator in _DESCRIBED or error.context:
        yield Problem(where, error.instance, describe_schema(error.schema, root))
    else:
        # a schema that is just false has no keywords
        rule = error.validator and f"what fits `{error.validator}`: {error.validator_value!r:.200}"
        yield Problem(where, error.instance, rule or "nothing")


def _meant_branch(error: ValidationError) -> list[ValidationError]:
    """Return the errors of the alternative that the value comes nearest to, if there is one."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [errors for errors in branches.values() if not any(map(_of_other_kind, errors))]
    tagged = [errors for errors in fitting if not any(map(_of_other_tag, errors))]
    return min(tagged or fitting, key=len, default=[])


def _of_other_kind(error: ValidationError) -> bool:
    return not error.relative_path and error.validator in _TAGS | {"type"}


def _of_other_tag(error: ValidationError) -> bool:
    return len(error.relative_path) == 1 and error.validator in _TAGS


def describe_schema(schema: Any, root: JsonObject) -> str:
    """Say in words what a schema allows.

    Args:
        schema: The schema, or true.
        root: The whole schema that it is part of, for references.
    """
    node = _resolved(schema, root)
    if "const" in node:
        return repr(node["const"])
    if "enum" in node:
        return _one_of_values(node["enum"])
    for keyword in ("anyOf", "oneOf"):
        if keyword in node:
            described = [describe_schema(branch, root) for branch in node[keyword]]
            return " or ".join(dict.fromkeys(described))
    if len(node.get("allOf", ())) == 1:
        return describe_schema(node["allOf"][0], root)
    kinds = node.get("type", [])
    words = [_TYPES.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    limits = [limit.format(node[name]) for name, limit in _LIMITS.items() if name in node]
    return " ".join(filter(None, [_base(words, node), ", ".join(limits)]))


def _base(words: list[str], node: JsonObject) -> str:
    names = list(node.get("properties", {}))
    if words == ["an object"] and names:
        return f"an object with {_listed(f'`{name}`' for name in names)}"
    return " or ".join(words) or "any value"


def _unknown_name(name: str, schema: JsonObject, root: JsonObject) -> str:
    """Say what to write instead of a name that there is not, deeper levels included."""
    names = list(schema.get("properties", {}))
    deeper = _paths_by_name(schema, root)
    if name in deeper:
        return f"{NO_SUCH_NAME} here; it belongs in `{deeper[name]}`"
    if meant := nearest(name, names) or nearest(name, deeper):
        return f"{NO_SUCH_NAME}; did you mean `{deeper[meant]}`?"
    return f"{NO_SUCH_NAME}; there are {_listed(names) or 'none'}"


def _paths_by_name(schema: JsonObject, root: JsonObject) -> dict[str, str]:
    """Return the path of everything that has a name in a schema; the shortest one of each name."""
    paths: dict[str, str] = {}
    level: list[tuple[str, JsonObject]] = [("", schema)]
    for _ in range(_DEEP):
        fields = [
            (child(path, name), name, field)
            for path, node in level
            for alternative in _alternatives(node, root)
            for name, field in alternative.get("properties", {}).items()
        ]
        for path, name, _ in fields:
            paths.setdefault(name, path)
        level = [(path, field) for path, _, field in fields]
    return paths


def _one_of_values(values: Iterable[object]) -> str:
    shown = [repr(value) for value in values]
    return shown[0] if len(shown) == 1 else f"one of {_listed(shown)}"


def _listed(items: Iterable[str]) -> str:
    shown = list(items)
    more = f" … ({len(shown)} in all)" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more


def _resolved(schema: Any, root: JsonObject) -> JsonObject:
    """Follow references within the document; a schema that is just true has no keywords."""
    for _ in range(_DEEP):
        reference = schema.get("$ref", "") if isinstance(schema, dict) else ""
        if not reference.startswith("#/"):
            break
        keys = reference[2:].split("/")
        schema = functools.reduce(lambda node, key: node.get(key, {}), keys, root)
    return schema if isinstance(schema, dict) else {}


def _alternatives(schema: Any, root: JsonObject) -> Iterator[JsonObject]:
    node = _resolved(schema, root)
    yield node
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in node.get(keyword, ()):
            yield _resolved(branch, root)

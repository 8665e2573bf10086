"""Documents that users hand over: how they are read, checked and told wrong.

A document is a mapping, JSON text, or the path of a JSON file. It is checked by a pydantic model
with `Document` as its base, which also remembers it as it was given.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from fractal_jupyter.errors import InvalidDocument
from fractal_jupyter.models.problems import MISSING, Problem, child, listing, nearest

JsonObject: TypeAlias = dict[str, Any]

_T = TypeVar("_T")

_ALLOWED: Final[Mapping[str, str]] = {
    "greater_than_equal": "a whole number, at least {ge}",
    "literal_error": "{expected}",
    "none_required": "null; the field has no meaning for this type",
    "string_too_short": "a string that is not empty",
    "value_error": "{error}",
}
"""What is allowed, by pydantic's name of the error; otherwise the schema of the field says it."""

_JSON_TYPES: Final[Mapping[str, str]] = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "object": "an object",
    "string": "a string",
}

_SECRET_NAME: Final = re.compile("passw|passphrase|private.?key|secret|token", re.IGNORECASE)
_SECRET: Final = "what looks like a secret, not shown here"  # noqa: S105 - what is shown instead


class Section(BaseModel):
    """A part of a document: frozen, with no other fields than its own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        defer_build=True,  # importing is quick, and few of all models are used
    )


class Document(Section):
    """A whole document.

    The fields hold values in one spelling (memory in MB, paths without `//`, no white space
    around names), while `to_document` returns what was given. To change a document, change what
    `to_document` returns, and check it again.
    """

    passed_over: ClassVar[frozenset[str]] = frozenset()
    """Fields that are kept and have no meaning here."""

    _given: JsonObject = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, value: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, Mapping):
            return handler(value)
        model = handler({name: v for name, v in value.items() if name not in cls.passed_over})
        model._given = copy.deepcopy(dict(value))
        return model

    def to_document(self) -> JsonObject:
        """Return the document as it was given: the same fields with the same values."""
        return copy.deepcopy(self._given)


_D = TypeVar("_D", bound=Document)


def parse_document(model: type[_D], document: object, *, noun: str) -> _D:
    """Check a document against the model that it must fit.

    Args:
        model: The document's model.
        document: A mapping, JSON text, or the path of a JSON file.
        noun: What it is, for messages: "workflow".

    Raises:
        InvalidDocument: It cannot be read, or does not fit; each wrong field is listed.
    """
    title, content = _read(document, noun=noun)
    return _checked(model, content, title=title)


def parse_variant(
    variants: Mapping[str, type[_D]], document: object, *, noun: str, field: str
) -> _D:
    """Check a document against the one of several models that one of its fields names.

    Args:
        variants: The models, by value of the field.
        document: A mapping, JSON text, or the path of a JSON file.
        noun: What it is, for messages: "resource".
        field: The field that says which model it is.

    Raises:
        InvalidDocument: It cannot be read, or does not fit; each wrong field is listed.
    """
    title, content = _read(document, noun=noun)
    kind = content.get(field, MISSING)
    if not isinstance(kind, str) or kind not in variants:
        raise invalid(title, [Problem(field, kind, _one_of(variants))])
    return _checked(variants[kind], content, title=title)


def read_document(path: Path, *, noun: str) -> JsonObject:
    """Return the object in a JSON file; raises `InvalidDocument`, whose message names the file."""
    return _read(path, noun=noun)[1]


def invalid(title: str, problems: Sequence[Problem]) -> InvalidDocument:
    """The error for a document with these problems; `title` is what to call it."""
    message = f"{title} cannot be used:\n{listing(problems)}"
    return InvalidDocument(message, problems=problems)


def problems_in(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Tell what pydantic found wrong, in words: one problem per wrong field.

    Args:
        error: What validation raised.
        model: The model that it was raised for; it knows the fields that there are.
    """
    return [_problem(item, model) for item in error.errors(include_url=False)]


def no_twins(given: object, handler: Callable[[object], _T]) -> _T:
    """Refuse names that differ in the white space around them only (a pydantic wrap validator)."""
    checked = handler(given)
    if isinstance(given, Mapping) and isinstance(checked, Mapping) and len(checked) < len(given):
        raise ValueError("names that differ in more than the white space around them")
    return checked


def _checked(model: type[_D], content: JsonObject, *, title: str) -> _D:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(title, problems_in(error, model)) from None


def _one_of(names: Iterable[str]) -> str:
    return "one of " + ", ".join(f'"{name}"' for name in names)


# --- words ---------------------------------------------------------------------------------------


def _problem(item: Any, model: type[BaseModel]) -> Problem:
    kind, loc = item["type"], item["loc"]
    if kind == "extra_forbidden":
        allowed = _other_fields(str(loc[-1]), _schema_at(model, loc[:-1]))
    elif kind in _ALLOWED:
        allowed = _ALLOWED[kind].format(**item.get("ctx", {}))
    else:
        allowed = _in_words(_schema_at(model, loc)) or item["msg"]
    found = _shown(item["input"], loc)
    if kind == "missing":
        found, allowed = MISSING, f"{allowed}; the field is required"
    if loc and loc[-1] == "[key]":
        loc, allowed = loc[:-2], f"as names {allowed}"
    return Problem(functools.reduce(child, loc, "") or "document", found, allowed)


def _shown(found: object, loc: tuple[str | int, ...]) -> object:
    """Keep a secret that was pasted where it does not belong out of messages and logs."""
    named_so = bool(loc) and _SECRET_NAME.search(str(loc[-1]))
    return _SECRET if named_so or "PRIVATE KEY" in str(found) else found


def _other_fields(name: str, schema: JsonObject) -> str:
    # a field that can only be null is there for documents of another kind
    fields = [f for f, s in schema.get("properties", {}).items() if s.get("type") != "null"]
    if meant := nearest(name, fields):
        return f'no field of this name; did you mean "{meant}"?'
    return f"no field of this name; there are {', '.join(fields)}"


def _in_words(schema: JsonObject) -> str | None:
    if "const" in schema:
        return json.dumps(schema["const"])
    if "properties" in schema:  # its description is the model's docstring
        return _JSON_TYPES["object"]
    return schema.get("description") or _JSON_TYPES.get(schema.get("type", ""))


@functools.cache
def _json_schema(model: type[BaseModel]) -> JsonObject:
    return model.model_json_schema()


def _schema_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> JsonObject:
    """Return the JSON schema of what may stand at a place in the document."""
    whole = _json_schema(model)

    def resolve(node: JsonObject | bool) -> JsonObject:
        if isinstance(node, bool):  # whatever it is
            return {}
        if "anyOf" in node:  # optional: the other possibility is null
            return resolve(node["anyOf"][0])
        if "$ref" in node:
            return resolve(whole["$defs"][node["$ref"].rpartition("/")[2]])
        return node

    def step(node: JsonObject, part: str | int) -> JsonObject:
        if isinstance(part, int):
            return resolve(node.get("items", {}))
        named: JsonObject = node.get("properties", {})
        return resolve(named[part] if part in named else node.get("additionalProperties", {}))

    return functools.reduce(step, loc, resolve(whole))


# --- reading -------------------------------------------------------------------------------------


def _read(document: object, *, noun: str) -> tuple[str, JsonObject]:
    """Return how to call the document in a message, and its content as plain JSON values."""
    title = f"The {noun}"
    if isinstance(document, PurePath) or _is_path(document):
        title = f"The {noun} in {document}"
        document = _loads(_read_file(Path(str(document)), title=title), title=title)
    elif isinstance(document, str):
        document = _loads(document, title=title)
    if not isinstance(document, Mapping):
        allowed = "an object {…}, its JSON text, or the path of a JSON file"
        raise invalid(title, [Problem("document", document, allowed)])
    if isinstance(name := document.get("name"), str):
        title = f"{title} ({name[:60]!r})"
    problems: list[Problem] = []
    content: JsonObject = plain_json(document, "", problems)
    if problems:
        raise invalid(title, problems)
    return title, content


def _is_path(document: object) -> bool:
    # JSON text of anything but an object or a list is never a document, a path may be anything
    return (
        isinstance(document, str)
        and "\n" not in document
        and not document.lstrip().startswith(("{", "["))
    )


def _read_file(path: Path, *, title: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        cure = "Give JSON text, or the path of a JSON file."
        if isinstance(error, PermissionError):
            cure = "Whoever uses it must be able to read it (chmod a+r), and all folders above it."
        raise InvalidDocument(f"{title} cannot be read: {reason}. {cure}") from None


def _loads(text: str, *, title: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"{title} is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, object]]) -> JsonObject:
    content: JsonObject = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f'"{name}" is given twice in one object')
        content[name] = value
    return content


def plain_json(value: object, path: str, problems: list[Problem]) -> Any:
    """Copy a value with nothing in it but what JSON has.

    Paths become strings, tuples lists, and what comes from NumPy numbers and lists.

    Args:
        value: Any Python value.
        path: What the value is called.
        problems: Gets what cannot be said in JSON.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return plain_json(value.tolist(), path, problems)
    if isinstance(value, (list, tuple)):
        return [plain_json(item, child(path, i), problems) for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain_json(item, child(path, name), problems) for name, item in value.items()}
    allowed = "what JSON has: objects with string names, lists, strings, finite numbers, true, …"
    problems.append(Problem(path or "document", value, allowed))
    return None

"""What a JSON schema says of one place in a document, made simple enough for a form.

Pure: schemas in, `Node`s out. References are followed, `allOf` is merged, and the alternative
`null` becomes a property of the node.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from fractal_jupyter.models.problems import MISSING

JsonObject: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal[
    "text",
    "integer",
    "number",
    "choice",
    "constant",
    "object",
    "list",
    "dictionary",
    "union",
    "anything",
]

_KINDS: Final[Mapping[str, Kind]] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "array": "list",
}
_MOST_REFERENCES: Final = 20


@dataclass(frozen=True, slots=True)
class Node:
    """What may stand at one place of a document.

    Attributes:
        kind: How it is filled in.
        schema: Its schema, resolved, without the alternative `null`.
        root: The whole schema that it is part of.
        title: What it is called, if the schema says so.
        description: What it means, if the schema says so.
        default: What holds when nothing is given; `MISSING` if the schema does not say.
        nullable: Whether it may be null.
        options: The values of a choice, or the one of a constant.
        alternatives: The schemas of a union, each resolved.
        tag: The name of the field that tells the alternatives of a union apart, if there is one;
            an object has it where it is the only alternative.
    """

    kind: Kind
    schema: JsonObject
    root: JsonObject
    title: str = ""
    description: str = ""
    default: Any = MISSING
    nullable: bool = False
    options: tuple[Any, ...] = ()
    alternatives: tuple[JsonObject, ...] = ()
    tag: str | None = None

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return self.kind == "choice" and self.schema.get("type") == "boolean"

    @property
    def fields(self) -> Mapping[str, Any]:
        """The schemas of an object's fields, by name."""
        properties = self.schema.get("properties")
        return properties if isinstance(properties, dict) else {}

    @property
    def required(self) -> Collection[str]:
        """The names of an object's fields that must be given."""
        names = self.schema.get("required")
        return names if isinstance(names, list) else ()

    def item(self, position: int) -> Any:
        """The schema of an item of a list."""
        fixed = self.fixed_items
        if position < len(fixed):
            return fixed[position]
        rest = self.schema.get("items")
        if isinstance(rest, list):  # how older drafts write a tuple
            rest = self.schema.get("additionalItems")
        return rest if isinstance(rest, dict) else {}

    @property
    def fixed_items(self) -> list[Any]:
        """The schemas of the first items of a list, where each has its own."""
        fixed = self.schema.get("prefixItems", self.schema.get("items"))
        return fixed if isinstance(fixed, list) else []

    @property
    def entry(self) -> Any:
        """The schema of the values of a dictionary."""
        patterns = self.schema.get("patternProperties")
        if isinstance(patterns, dict) and len(patterns) == 1:
            return next(iter(patterns.values()))
        return self.schema.get("additionalProperties", {})

    @property
    def entry_names(self) -> tuple[str, ...]:
        """The names that a dictionary may have, if they are known."""
        names = resolved(self.schema.get("propertyNames", {}), self.root).get("enum", ())
        return tuple(name for name in names if isinstance(name, str))


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; 1, 1.0 and true are three values."""
    if one is MISSING or other is MISSING:
        return one is other
    return _canonical(one) == _canonical(other)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def without(schema: JsonObject, names: Collection[str]) -> JsonObject:
    """The schema of an object, without some of its fields."""
    properties = schema.get("properties", {})
    return {
        **schema,
        "properties": {name: properties[name] for name in properties if name not in names},
        "required": [name for name in schema.get("required", ()) if name not in names],
    }


def resolved(schema: Any, root: JsonObject) -> JsonObject:
    """Follow references within a document, and merge what `allOf` holds together.

    What stands beside a reference outranks what it leads to. A reference that leads nowhere, or
    in a circle, allows anything: checking the value is the validator's business.
    """
    node: JsonObject = schema if isinstance(schema, dict) else {}
    for _ in range(_MOST_REFERENCES):
        beside = {name: value for name, value in node.items() if name != "$ref"}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            break
        target = _target(reference, root)
        node = {**target, **beside}
    else:
        return {}
    return _merged(node, root) if isinstance(node.get("allOf"), list) else node


def _target(reference: str, root: JsonObject) -> JsonObject:
    node: Any = root
    for key in reference.removeprefix("#").strip("/").split("/") if reference[:1] == "#" else ():
        name = key.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, dict) and node is not root else {}


def _merged(node: JsonObject, root: JsonObject) -> JsonObject:
    merged: JsonObject = {}
    own = {name: value for name, value in node.items() if name != "allOf"}
    for part in (*(resolved(part, root) for part in node["allOf"]), own):
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged = {**merged, **part}
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = list(dict.fromkeys(required))
    return merged


def make_node(schema: Any, root: JsonObject) -> Node:
    """Tell what may stand where a schema applies."""
    whole, nullable = resolved(schema, root), False
    for _ in range(_MOST_REFERENCES):
        alternatives, null = _alternatives(whole, root)
        nullable = nullable or null
        if len(alternatives) != 1 or alternatives[0] is whole:
            break
        # a title or default beside `anyOf` outranks those of the only alternative
        outer = {name: v for name, v in whole.items() if name not in ("anyOf", "oneOf", "type")}
        whole = {**alternatives[0], **outer}
    make = functools.partial(
        Node,
        schema=whole,
        root=root,
        title=_text(whole, "title"),
        description=_text(whole, "description"),
        default=whole.get("default", MISSING),
    )
    if len(alternatives) > 1:
        return make(
            "union",
            nullable=nullable,
            alternatives=tuple(alternatives),
            tag=_tag(whole, alternatives, root),
        )
    kind, options = _kind(whole)
    if kind == "choice" and None in options:
        nullable, options = True, tuple(option for option in options if option is not None)
    tag = _tag(whole, alternatives, root) if "discriminator" in whole else None
    return make(kind, nullable=nullable, options=options, tag=tag)


def _text(schema: JsonObject, name: str) -> str:
    text = schema.get(name)
    return text if isinstance(text, str) else ""


def _alternatives(whole: JsonObject, root: JsonObject) -> tuple[list[JsonObject], bool]:
    """The alternatives other than null, and whether null is one."""
    listed = whole.get("anyOf", whole.get("oneOf"))
    kinds = whole.get("type")
    if isinstance(listed, list) and listed:
        found = [resolved(branch, root) for branch in listed]
    elif isinstance(kinds, list):
        found = [{**whole, "type": kind} for kind in kinds]
    else:
        return [whole], whole.get("type") == "null"
    rest = [branch for branch in found if not _is_null(branch)]
    return rest or [{"const": None}], len(rest) < len(found)


def _is_null(branch: JsonObject) -> bool:
    return branch.get("type") == "null" or ("const" in branch and branch["const"] is None)


def _kind(schema: JsonObject) -> tuple[Kind, tuple[Any, ...]]:
    if "const" in schema:
        return "constant", (schema["const"],)
    if schema.get("type") == "null":
        return "constant", (None,)
    values = schema.get("enum")
    if isinstance(values, list) and values:
        return ("choice" if len(values) > 1 else "constant"), tuple(values)
    if schema.get("type") == "boolean":
        return "choice", (True, False)
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        named = isinstance(schema.get("properties"), dict) and schema["properties"]
        return ("object" if named or closed else "dictionary"), ()
    kind = schema.get("type")
    return (_KINDS.get(kind, "anything") if isinstance(kind, str) else "anything"), ()


def _tag(whole: JsonObject, alternatives: list[JsonObject], root: JsonObject) -> str | None:
    """The field that is a constant of its own in each alternative."""
    discriminator = whole.get("discriminator")
    named = discriminator.get("propertyName") if isinstance(discriminator, dict) else None
    if isinstance(named, str):
        return named
    constants = [
        {
            name
            for name, field in branch.get("properties", {}).items()
            if _kind(resolved(field, root))[0] == "constant"
        }
        for branch in alternatives
    ]
    common = set.intersection(*constants) if constants else set()
    return min(common, default=None)


def alternative_names(node: Node) -> tuple[str, ...]:
    """What the alternatives of a union are called, each in its own way."""
    names = []
    for branch in node.alternatives:
        tag = resolved(branch.get("properties", {}).get(node.tag, {}), node.root)
        of_tag = _kind(tag)[1]
        inner = make_node(branch, node.root)
        plain = _PLAIN_NAMES.get(inner.kind, "something else")
        names.append(str(of_tag[0]) if of_tag else _text(branch, "title") or plain)
    return tuple(
        f"{name} ({number})" if names.count(name) > 1 else name
        for number, name in enumerate(names, start=1)
    )


_PLAIN_NAMES: Final[Mapping[Kind, str]] = {
    "text": "text",
    "integer": "whole number",
    "number": "number",
    "choice": "one of a few",
    "constant": "fixed value",
    "object": "fields",
    "list": "list",
    "dictionary": "names and values",
    "anything": "anything",
}


def accepts(schema: Any, root: JsonObject, value: object) -> bool:
    """Whether a value has the form that a schema asks for, whatever its limits are.

    This tells which alternative of a union a value is; it is no validation.
    """
    node = make_node(schema, root)
    if value is None and node.nullable:
        return True
    if node.kind == "union":
        return any(accepts(branch, root, value) for branch in node.alternatives)
    if node.kind in ("choice", "constant"):
        return any(same(value, option) for option in node.options)
    if node.kind in _TYPES:
        return isinstance(value, _TYPES[node.kind]) and not isinstance(value, bool)
    if node.kind == "list":
        return isinstance(value, list) and all(
            accepts(node.item(position), root, item) for position, item in enumerate(value)
        )
    if node.kind == "dictionary":
        return isinstance(value, dict) and all(
            accepts(node.entry, root, item) for item in value.values()
        )
    return node.kind == "anything" or _accepts_fields(node, value)


def _accepts_fields(node: Node, value: object) -> bool:
    if not isinstance(value, dict) or any(name not in value for name in node.required):
        return False
    closed = node.schema.get("additionalProperties") is False
    if closed and any(name not in node.fields for name in value):
        return False
    return all(
        accepts(node.fields[name], node.root, item)
        for name, item in value.items()
        if name in node.fields
    )


_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "text": str,
    "integer": int,
    "number": (int, float),
}

"""JSON schemas of this package's own documents, as forms want them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from fractal_jupyter.models.documents import JsonObject

# What a field's type is called in problems, and what stands in its place behind a meaning, which
# has said it already. That a line is one line is seen.
_SAID = {
    "text on one line, without control characters": "",
    "memory in MB, ": ", ",
    "a time limit ": ": ",
    "the name or address of a host, ": ", ",
    "a user's name of ": ": ",
}

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)


def document_schema(model: type[BaseModel]) -> JsonObject:
    """The schema of a document, its fields described by the docstring of its model.

    Fields that can only be null are left out: they are there for documents of another kind.
    """
    schema = model.model_json_schema()
    meanings = {
        name: meaning
        for base in reversed(model.__mro__)
        for name, meaning in _meanings(base.__doc__ or "")
    }
    definitions = {
        name: _described(part, dict(_meanings(part.get("description", ""))))
        for name, part in schema.get("$defs", {}).items()
    }
    return {**_described(schema, meanings), "$defs": definitions}


def _described(part: JsonObject, meanings: Mapping[str, str]) -> JsonObject:
    properties = {
        name: {
            **field,
            "title": name.replace("_", " "),
            "description": _joined(meanings.get(name, ""), _allowed(field)),
        }
        for name, field in part.get("properties", {}).items()
        if field.get("type") != "null"
    }
    first = part.get("description", "").partition("\n\n")[0]
    return {**part, "properties": properties, "description": first}


def _allowed(field: Mapping[str, Any]) -> str:
    inner = next((part for part in field.get("anyOf", ()) if part.get("type") != "null"), field)
    return str(inner.get("description", ""))


def _joined(meaning: str, allowed: str) -> str:
    for said, joint in _SAID.items():
        if meaning and allowed.startswith(said):
            rest = allowed.removeprefix(said)
            return f"{meaning.removesuffix('.')}{joint}{rest}."
    first = f"{allowed[:1].upper()}{allowed[1:]}." if allowed else ""
    return " ".join(filter(None, (meaning, first)))


def _meanings(docstring: str) -> Iterator[tuple[str, str]]:
    _, _, listed = docstring.partition("Attributes:\n")
    # docstrings of bases are indented as in their source, those in schemas are not
    indented = re.search(r"^( *)\w+: ", listed, re.MULTILINE)
    extra = len(indented[1]) - 4 if indented else 0
    plain = "\n".join(line[max(0, extra) :] for line in listed.split("\n"))
    for match in _ATTRIBUTE.finditer(plain):
        yield match[1], " ".join(match[2].split())

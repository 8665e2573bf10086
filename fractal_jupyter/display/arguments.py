"""The arguments of a task, from the JSON schemas of its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fractal_jupyter.display.page import Cell, Column, Row, Span, Table, cell
from fractal_jupyter.display.words import shorten, value_text
from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.engine.schemas import describe_schema

DEEPEST = 2
MOST_ROWS = 80

Schema = Mapping[str, Any]


def arguments_table(schema: Schema | None, *, title: str) -> Table:
    """The arguments that a user may give to one part of a task, each with what it may be.

    Args:
        schema: The JSON schema of the part, if the manifest has one.
        title: What the part is called.
    """
    rows = list(_rows(schema, schema, depth=0)) if isinstance(schema, dict) else []
    return Table(
        title=title,
        columns=(
            Column(title="Argument", line=True),
            Column(title="Allowed", grows=True),
            Column(title="Default", grows=True),
            Column(title="Meaning", grows=True, in_text=False, below=True),
        ),
        rows=tuple(rows[:MOST_ROWS]),
        gap_after=MOST_ROWS,
        gap=f"and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else "",
        empty="Takes no arguments." if schema is not None else "The manifest does not say which.",
    )


def _rows(node: Schema, root: Schema, *, depth: int) -> Iterator[Row]:
    properties = node.get("properties")
    required = node.get("required")
    for name, field in properties.items() if isinstance(properties, dict) else ():
        if depth == 0 and name in RESERVED:
            continue
        needed = isinstance(required, list) and name in required
        yield _row(str(name), field, root, needed=needed, depth=depth)
        inner = _resolve(field, root)
        if depth < DEEPEST and isinstance(inner.get("properties"), dict):
            yield from _rows(inner, root, depth=depth + 1)


def _row(name: str, field: Any, root: Schema, *, needed: bool, depth: int) -> Row:
    schema = field if isinstance(field, dict) else {}
    inner = _resolve(field, root)
    meaning = schema.get("description") or inner.get("description") or ""
    has_fields = depth < DEEPEST and isinstance(inner.get("properties"), dict)
    allowed = "an object:" if has_fields else _allowed(field, root)
    return (
        Cell(spans=(Span(name, "", "code"),), indent=depth),
        cell(shorten(allowed, 200)),
        cell("required", tone="bad") if needed else _default(schema, has_fields=has_fields),
        cell(shorten(" ".join(str(meaning).replace("`", "").split()), 230), tone="soft"),
    )


def _default(schema: Schema, *, has_fields: bool) -> Cell:
    # The default of an object is told by the defaults of its fields.
    if has_fields or "default" not in schema:
        return cell()
    value = schema["default"]
    return cell(f'"{value_text(value, 60)}"' if isinstance(value, str) else value_text(value, 60))


def _allowed(field: Any, root: Schema) -> str:
    try:
        return describe_schema(field, dict(root)).replace("`", "")
    except Exception:  # a schema is data of a package: whatever is in it, the task is shown
        return ""


def _resolve(field: Any, root: Schema) -> Schema:
    """Follow references within the document, a few at most."""
    for _ in range(DEEPEST + 3):
        reference = field.get("$ref") if isinstance(field, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        field = root
        for key in reference[2:].split("/"):
            field = field.get(key) if isinstance(field, dict) else None
    return field if isinstance(field, dict) else {}

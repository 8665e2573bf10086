"""Python code that does what a form does."""

from __future__ import annotations

import json
from typing import Any

_WIDTH = 64


def python_source(value: Any, *, indent: int = 0, lead: int = 0) -> str:
    """A JSON value as Python code: in one line where it fits, else with a line for each item.

    Args:
        value: The value.
        indent: How far the lines of items are indented, less one step.
        lead: How many characters stand before it in its first line, beside the indentation.
    """
    line = _line(value)
    if len(line) + indent + lead < _WIDTH or not isinstance(value, dict | list) or not value:
        return line
    deeper = indent + 4
    if isinstance(value, dict):
        names = [f"{_line(name)}: " for name in value]
        contents = list(value.values())
    else:
        names, contents = [""] * len(value), value
    items = [
        f"{name}{python_source(item, indent=deeper, lead=len(name))}"
        for name, item in zip(names, contents, strict=True)
    ]
    body = "".join(f"{' ' * deeper}{item},\n" for item in items)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{body}{' ' * indent}{closing}"


def call_source(function: str, *arguments: Any, **keywords: Any) -> str:
    """A call as Python code; keywords that are None are left out."""
    given = [("", argument) for argument in arguments]
    given += [(f"{name}=", value) for name, value in keywords.items() if value is not None]
    line = f"{function}({', '.join(name + _line(value) for name, value in given)})"
    if len(line) < _WIDTH:
        return line
    if len(given) == 1:
        name, value = given[0]
        return f"{function}({name}{python_source(value, lead=len(function) + len(name) + 2)})"
    rows = [
        f"    {name}{python_source(value, indent=4, lead=len(name))},\n" for name, value in given
    ]
    return f"{function}(\n{''.join(rows)})"


def _line(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_line(name)}: {_line(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_line, value))}]"
    return repr(value)

"""Placeholders in documents of an administrator: `{user}`, `{slurm_user}` and `{home}`.

They are replaced within single strings of a document that has been read already, and what is put
in is not looked at again: so a value can become nothing but a part of that string. Values are
plain words, too, since a string may be a line of options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fractal_jupyter.models.problems import Problem, child

NAMES: Final = ("user", "slurm_user", "home")

_ALLOWED: Final = (
    f"the placeholders {', '.join(f'{{{name}}}' for name in NAMES)}; {{{{ and }}}} stand for braces"
)
_TOKEN: Final = re.compile(r"\{\{|\}\}|\{(\w*)\}|[{}]")
_NAME: Final = re.compile(r"\w[\w.@+$-]*")
_PATH: Final = re.compile(r"/[\w.@+$/-]*")


def filled(value: Any, values: Mapping[str, str], problems: list[Problem], path: str = "") -> Any:
    """Copy a JSON value with the placeholders in its strings replaced.

    Args:
        value: A document, or a part of it. Names of fields stay as they are.
        values: What stands for each placeholder; one that is missing is not known.
        problems: Gets what cannot be replaced.
        path: Where the value is in its document.
    """
    if isinstance(value, str):
        return _filled_text(value, values, problems, path)
    if isinstance(value, list):
        return [filled(item, values, problems, child(path, i)) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            name: filled(item, values, problems, child(path, name)) for name, item in value.items()
        }
    return value


def _filled_text(text: str, values: Mapping[str, str], problems: list[Problem], path: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        token = match[0]
        if token in ("{{", "}}"):
            return token[0]
        name = match[1]
        if name not in NAMES:
            problems.append(Problem(path, text, _ALLOWED))
        elif name not in values:
            problems.append(Problem(path, text, f"no {token}, since it is not known here"))
        elif not (_PATH if name == "home" else _NAME).fullmatch(values[name]):
            allowed = f"{token} only if it is one plain word, and here it is {values[name]!r}"
            problems.append(Problem(path, text, allowed))
        else:
            return values[name]
        return token

    return _TOKEN.sub(replaced, text)

"""How wrong values are told: where, what was found, what is allowed.

Documents, task outputs and arguments are refused in the same words, whoever checks them.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_LISTED = 10
_LONGEST = 100
_KINDS: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class Missing:
    """What was found where nothing was given."""


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong value.

    Attributes:
        path: Where it is, `image_list_updates[3].attributes.plate`.
        found: The value itself, or `MISSING`.
        allowed: What may stand there, in words.
    """

    path: str
    found: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.path}: found {describe(self.found)}; allowed: {self.allowed}"


def describe(value: object) -> str:
    """Show a value and its kind in at most about a hundred characters."""
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    kind = _KINDS.get(type(value), f"of Python type {type(value).__qualname__}")
    shown = _shortener.repr(value)
    if len(shown) > _LONGEST:
        shown = f"{shown[:_LONGEST]}…"
    return f"{shown} ({kind})"


def child(path: str, key: str | int) -> str:
    """Return the path of a list's item (an int) or of an object's field (a str)."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{_shortener.repr(key)}]"


def listing(problems: Sequence[Problem]) -> str:
    """Put problems below each other; of many, the first ten and how many more there are."""
    lines = [f"  {problem}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"  … and {len(problems) - _LISTED:,} more")
    return "\n".join(lines)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant, if one is close enough."""
    by_folded = {candidate.casefold(): candidate for candidate in names}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def _make_shortener() -> reprlib.Repr:
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 80
    shortener.maxlist = shortener.maxdict = 3
    shortener.maxlevel = 2
    return shortener


_shortener = _make_shortener()

"""Kinds of values that several documents have in common.

A validator here raises `ValueError` with *what is allowed*, and nothing else: where the value was
and what was found is added by `fractal_jupyter.models.documents`, in one way for all documents.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that could start a new line, or steer a terminal, where the value is written out."""

_MEMORY = re.compile(r"([0-9]{1,15})([MGT]?)")
_MB_PER_UNIT = {"": 1, "M": 1, "G": 1_000, "T": 1_000_000}


def one_line(text: str) -> str:
    """Return the text if it has no line break and no other control character.

    Raises:
        ValueError: It has one.
    """
    if CONTROL_CHARACTERS.search(text):
        raise ValueError("text on one line, without control characters")
    return text


def absolute_posix_path(path: str) -> str:
    """Return the path in its shortest spelling (`/a//b/` is `/a/b`).

    Raises:
        ValueError: It is relative, or goes up with `..`.
    """
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError('an absolute path without "..", such as "/data/jobs"')
    # POSIX gives a meaning of its own to exactly two leading slashes; nobody wants it here
    return "/" + posixpath.normpath(path).lstrip("/")


def absolute_local_path(path: str, *, windows: bool = os.name == "nt") -> str:
    """Return an absolute path of this machine in its shortest spelling.

    Args:
        path: On Windows a path with a drive is absolute, too.
        windows: Whether this machine runs Windows.

    Raises:
        ValueError: It is relative, or goes up with `..`.
    """
    drive, rest = ntpath.splitdrive(path)
    if windows and drive and rest.startswith(("\\", "/")) and ".." not in re.split(r"[\\/]", rest):
        return ntpath.normpath(path)
    return absolute_posix_path(path)


def parse_memory_mb(memory: int | str) -> int:
    """Return an amount of memory in MB (1,000,000 bytes).

    Args:
        memory: MB when it is a number or has no unit; `"100M"`, `"3G"` (3,000 MB) and `"1T"`
            (1,000,000 MB) otherwise.

    Raises:
        ValueError: It is nothing of this, or less than 1 MB.
    """
    amount = memory
    if isinstance(memory, str) and (match := _MEMORY.fullmatch(memory.strip())):
        amount = int(match[1]) * _MB_PER_UNIT[match[2]]
    # JSON's true is no amount of memory, although Python counts it as 1
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < 1:
        raise ValueError('memory in MB, such as 200, "200M", "3G" or "1T", at least 1 MB')
    return amount


NonEmptyStr = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text that is more than white space, without the white space around it."""

OneLine = Annotated[NonEmptyStr, AfterValidator(one_line)]
"""Text on one line: names and whatever else is shown or written in the middle of a line."""

AbsolutePath = Annotated[OneLine, AfterValidator(absolute_posix_path)]
"""An absolute path where the computing happens (a POSIX system)."""

LocalPath = Annotated[OneLine, AfterValidator(absolute_local_path)]
"""An absolute path on the machine where this package runs."""

MemoryMB = Annotated[int, BeforeValidator(parse_memory_mb)]
"""An amount of memory; the field holds MB whatever unit the document has."""

PositiveInt = Annotated[int, Field(ge=1)]
"""A whole number, at least 1."""

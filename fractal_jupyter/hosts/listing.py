r"""Listing a folder with `ls`, in a form that survives any name.

GNU `ls` writes names in double quotes, with everything that could confuse as escapes of C, so each
entry is one line whatever it is called, and no locale matters:

    drwx------ 2 4096 1700000000 "attempt 1"
    -rw------- 1   12 1700000000 "line\nbreak"
    l????????? ? ?    ?          "dangling link"
"""

from __future__ import annotations

import os
import re

from fractal_jupyter.hosts.base import Entry

__all__ = ["list_command", "parse_listing", "unquoted"]

_LINE = re.compile(
    rb'(?P<kind>.)\S+ +\S+ +(?P<size>\?|\d+)(?:, *\d+)? +\S+ +"(?P<name>(?:[^"\\]|\\.)*)"'
)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


def list_command(path: str, *, itself: bool = False) -> list[str]:
    """Return the command that lists a folder; it fails when the path is no folder.

    With `itself` it is the line of the path itself that is wanted, folder or not.
    """
    options = ("-A", "-g", "-o", "-L", "--time-style=+%s", "--quoting-style=c")
    return ["ls", *options, *(("-d", "--", path) if itself else ("--", f"{path}/."))]


def parse_listing(output: bytes) -> tuple[Entry, ...]:
    """Return the entries in what `list_command` has written, ordered by name.

    Links count as what they point to, and as themselves when that is not there.
    """
    found = [_entry(match) for match in map(_LINE.fullmatch, output.split(b"\n")) if match]
    return tuple(sorted(found, key=lambda entry: entry.name))


def unquoted(quoted: bytes) -> str:
    """Return the name that `ls` has quoted; the quotation marks themselves are cut off already."""
    return os.fsdecode(_ESCAPE.sub(_meant, quoted))


def _entry(match: re.Match[bytes]) -> Entry:
    is_dir = match["kind"] == b"d"
    size = 0 if is_dir or match["size"] == b"?" else int(match["size"])
    return Entry(unquoted(match["name"]), is_dir, size)


def _meant(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code.isdigit():
        return bytes([int(code, 8)])
    return bytes([_LETTERS.get(code[0], code[0])])

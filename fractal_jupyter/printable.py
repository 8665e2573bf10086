"""Text from outside, such that it changes nothing around it where it is shown."""

from __future__ import annotations

import re

# Control characters, marks that change the direction of text, and lone surrogates: each could
# change how the rest of a line looks, or cannot be written at all.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Make text safe to show: what cannot be seen is written as its escape (`\x1b`).

    Args:
        text: Any text.
        lines: Whether to keep line breaks and tabs; otherwise they become spaces.
    """
    if lines:
        text = text.replace("\r\n", "\n")
        return _UNPRINTABLE.sub(lambda m: m[0] if m[0] in "\n\t" else _escaped(m[0]), text)
    return _UNPRINTABLE.sub(lambda m: " " if m[0] in "\n\r\t" else _escaped(m[0]), text)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def without_colors(text: str) -> str:
    """Drop terminal escape sequences, such as those that colour the output of programs."""
    return _ESCAPE_SEQUENCE.sub("", text)

"""Splitting a line of a magic into words: shell-like quotes, and JSON values in one piece."""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Mapping
from typing import Any

from fractal_jupyter.errors import InvalidArguments

_OPENING, _CLOSING = "{[(", "}])"
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_VARIABLE = re.compile(
    r"\$(?P<short>[A-Za-z_]\w*)|\{(?P<long>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[^\[\]{}]+\])*)\}"
)


class Word(str):
    """A word of a line: its text without quotation marks.

    Attributes:
        start: Where it starts in the line.
        quoted: Whether any of it was in quotation marks, and so is meant literally.
        open: The quotation mark that is not closed; empty when there is none.
    """

    __slots__ = ("open", "quoted", "start")

    start: int
    quoted: bool
    open: str

    def __new__(cls, text: str, *, start: int = 0, quoted: bool = False, open: str = "") -> Word:  # noqa: A002
        """Make a word."""
        word = super().__new__(cls, text)
        word.start, word.quoted, word.open = start, quoted, open
        return word


def split(line: str) -> list[Word]:
    """Split a line into words.

    Quotation marks hold words together and are left out; inside of brackets, as of the JSON value
    in `channel={"label": "DAPI"}`, they and all spaces are kept. What is not closed ends with the
    line, and the last word says so.
    """
    words: list[Word] = []
    position = 0
    while position < len(line):
        if line[position].isspace():
            position += 1
        else:
            word, position = _read_word(line, position)
            words.append(word)
    return words


def _read_word(line: str, start: int) -> tuple[Word, int]:
    text, depth, quote, quoted = "", 0, "", False
    position = start
    while position < len(line):
        character = line[position]
        escaped = character == "\\" and quote == '"' and line[position + 1 : position + 2] in '"\\'
        if escaped and position + 1 < len(line):
            text += line[position : position + 2] if depth else line[position + 1]
            position += 2
            continue
        if quote:
            if character == quote:
                quote = ""
            if quote or depth:
                text += character
        elif character in "\"'":
            quote, quoted = character, quoted or not depth
            if depth:
                text += character
        elif character.isspace() and not depth:
            break
        else:
            depth += (character in _OPENING) - (character in _CLOSING and depth > 0)
            text += character
        position += 1
    return Word(text, start=start, quoted=quoted, open=quote), position


def assignment(word: str) -> tuple[str, Word] | None:
    """The name and the value of a word such as `overwrite=true`; None when it is none."""
    match = _ASSIGNMENT.match(word)
    if match is None:
        return None
    return match[1], Word(word[match.end() :], quoted=getattr(word, "quoted", False))


def value_of(word: str, variables: Mapping[str, Any]) -> Any:
    """The value that a word stands for.

    Args:
        word: `$name` and `{name}` are the variable itself; JSON and Python literals are what they
            say; anything else, and what was in quotation marks, is a string. Variables within a
            string are put into it.
        variables: The variables of the notebook.

    Raises:
        InvalidArguments: There is no such variable.
    """
    if getattr(word, "quoted", False):
        return str(word)
    match = _VARIABLE.fullmatch(word)
    if match is not None:
        return _variable(match, variables)
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(word)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    if word[:1] in ("{", "[") and not _VARIABLE.match(word):
        raise InvalidArguments(
            f"{word} is neither JSON nor a Python literal; mind quotation marks and commas."
        )
    return _VARIABLE.sub(lambda found: str(_variable(found, variables)), word)


def text_of(word: str, variables: Mapping[str, Any]) -> str:
    """A word as text, with the variables in it put in."""
    if getattr(word, "quoted", False):
        return str(word)
    return _VARIABLE.sub(lambda found: str(_variable(found, variables)), word)


def _variable(match: re.Match[str], variables: Mapping[str, Any]) -> Any:
    name = match["short"] or match["long"]
    try:
        return string.Formatter().get_field(name, (), variables)[0]
    except (LookupError, AttributeError, ValueError, TypeError):
        raise InvalidArguments(f"There is no variable {name} in this notebook.") from None


def quote(text: str, *, mark: str = "") -> str:
    """A name as a word of a line: in quotation marks where it needs them, or in those given."""
    if not mark and text and re.fullmatch(r"[^\s\"'{}\[\]()$=\\]+", text) and text[0] != "-":
        return text
    mark = mark or '"'
    if mark == '"':
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f"{mark}{text}{mark}"


def parse_body(body: str) -> dict[str, Any]:
    """The arguments in the body of a cell: a JSON object or a Python dictionary.

    Raises:
        InvalidArguments: It is something else.
    """
    text = body.strip()
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            where = f" (line {line})" if line else ""
            raise InvalidArguments(
                "The cell after its first line must be the arguments of the task, as JSON or as a "
                f'Python dictionary, such as {{"overwrite": true}}; it is neither{where}.'
            ) from None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise InvalidArguments(
            "The cell after its first line must be arguments by name, such as "
            f'{{"overwrite": true}}; found {type(value).__name__}.'
        )
    return value

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.errors import InvalidArguments
from fractal_jupyter.magics.words import (
    Word,
    assignment,
    parse_body,
    quote,
    split,
    text_of,
    value_of,
)

VARIABLES = {"name": "mip", "settings": {"a": [1, 2]}, "plate": SimpleNamespace(folder="/data")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  a  b ", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b\"' c", ['a "b"', "c"]),
        (r'"a \"b\" \\ c"', [r'a "b" \ c']),
        ('label="a b"', ["label=a b"]),
        ('x={"a": "b c", "d": [1, 2]} y', ['x={"a": "b c", "d": [1, 2]}', "y"]),
        ('x=["a b", "}"] y', ['x=["a b", "}"]', "y"]),
        (r'x={"a": "\" }"} y', [r'x={"a": "\" }"}', "y"]),
        ("x=(1, 2) y", ["x=(1, 2)", "y"]),
        ("a} b", ["a}", "b"]),
        (r"C:\data b", [r"C:\data", "b"]),
    ],
)
def test_split(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_words_know_how_they_were_written() -> None:
    plain, quoted, open_ = split("a 'b' \"c d")
    assert (plain.quoted, plain.open, plain.start) == (False, "", 0)
    assert (quoted.quoted, quoted.open, quoted.start) == (True, "", 2)
    assert (open_.quoted, open_.open, open_.start) == (True, '"', 6)
    (inside,) = split('x={"a": "b"}')
    assert not inside.quoted


@given(st.lists(st.text(min_size=1), max_size=5))
def test_quoted_names_come_back(names: list[str]) -> None:
    line = " ".join(map(quote, names))
    assert split(line) == names


@given(st.text(max_size=40))
def test_any_line_can_be_split(line: str) -> None:
    assert all(line[word.start] for word in split(line))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("true", True),
        ("True", True),
        ("null", None),
        ("None", None),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("{'a': (1, 2)}", {"a": (1, 2)}),
        ("mip", "mip"),
        ("2D", "2D"),
        ("a.zarr", "a.zarr"),
        ("$name", "mip"),
        ("{name}", "mip"),
        ("$settings", {"a": [1, 2]}),
        ("{settings[a]}", [1, 2]),
        ("{plate.folder}/x", "/data/x"),
        ("pre_$name", "pre_mip"),
        (Word("3", quoted=True), "3"),
        (Word("{name}", quoted=True), "{name}"),
    ],
)
def test_values(word: str, value: object) -> None:
    assert value_of(word, VARIABLES) == value


def test_a_variable_is_the_object_itself() -> None:
    assert value_of("{settings}", VARIABLES) is VARIABLES["settings"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("$nothing", "no variable nothing"),
        ("{name.nothing}", "no variable name.nothing"),
        ('{"a": }', "neither JSON nor"),
        ("[1, b]", "neither JSON nor"),
    ],
)
def test_values_that_are_none(word: str, message: str) -> None:
    with pytest.raises(InvalidArguments, match=message):
        value_of(word, VARIABLES)


def test_text_keeps_its_spelling() -> None:
    assert text_of("3.10", VARIABLES) == "3.10"
    assert text_of("$name-3", VARIABLES) == "mip-3"


def test_assignments() -> None:
    assert assignment("a=b=c") == ("a", "b=c")
    assert assignment("a") is None
    assert assignment("3=4") is None
    pair = assignment(split('a="3"')[0])
    assert pair is not None
    assert pair[1].quoted


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("", {}),
        ('\n{"a": true}\n', {"a": True}),
        ("{'a': None, # why\n 'b': (1,)}", {"a": None, "b": (1,)}),
    ],
)
def test_bodies(body: str, value: dict[str, Any]) -> None:
    assert parse_body(body) == value


@pytest.mark.parametrize("body", ["[1]", "a = 3", "{3: 4}", "{'a': open('x')}", "{" * 10_000])
def test_bodies_that_are_no_arguments(body: str) -> None:
    with pytest.raises(InvalidArguments, match="The cell after its first line"):
        parse_body(body)

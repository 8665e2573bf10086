from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractal_jupyter.display.page import Bar, Cell, Column, Hint, Note, Page, Segment, Table, cell
from fractal_jupyter.display.render_text import Terminal, to_text
from fractal_jupyter.display.words import width
from fractal_jupyter.printable import without_colors
from tests.display.samples import HOSTILE, every_page


@pytest.mark.parametrize("columns", [30, 79, 139])
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(columns: int, color: bool) -> None:
    terminal = Terminal(columns=columns, unicode=True, color=color)
    for text in (HOSTILE, "名前" * 40, "x" * 500, "a b " * 100):
        for page in every_page(text).values():
            for line in to_text(page, terminal).split("\n"):
                assert width(without_colors(line)) <= columns


@given(st.text(st.characters(), max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_text_can_be_written(text: str) -> None:
    for page in every_page(text).values():
        for shown in (to_text(page, Terminal(columns=60, unicode=True)),):
            shown.encode()
            assert "\x1b" not in shown
            assert max(map(width, shown.split("\n"))) <= 60


def test_plain_terminals_get_plain_characters() -> None:
    for page in every_page("é→ 名前").values():
        assert to_text(page, Terminal(columns=79, unicode=False)).isascii()


def test_colors_say_what_words_say() -> None:
    page = every_page("x")["job"]
    plain = to_text(page, Terminal(columns=100, unicode=True))
    painted = to_text(page, Terminal(columns=100, unicode=True, color=True))
    letters = re.compile(r"[^\[\]█░#x~!.\n-]+")
    assert "".join(letters.findall(without_colors(painted))) == "".join(letters.findall(plain))


def test_tables_line_up() -> None:
    table = Table(
        columns=(Column(title="Name"), Column(title="Count", right=True)),
        rows=((cell("a"), cell("1")), (cell("long name"), cell("1,000"))),
        gap_after=2,
        gap="3 more",
    )
    assert to_text(Page(title="t", blocks=(table,)), Terminal(columns=60, unicode=True)) == (
        "t\nName       Count\na              1\nlong name  1,000\n3 more"
    )


def test_columns_that_may_give_way_first() -> None:
    table = Table(
        columns=(Column(grows=True), Column()), rows=((cell("n" * 60), cell("important " * 2)),)
    )
    line = to_text(Page(title="t", blocks=(table,)), Terminal(columns=40, unicode=True)).split(
        "\n"
    )[1]
    assert "important important" in line
    assert "n…" in line


def test_every_part_of_a_bar_is_seen() -> None:
    bar = Bar((Segment(0.5, "good"), Segment(0.001, "bad"), Segment(0.001, "busy")), "half")
    table = Table(columns=(Column(),), rows=((Cell(bar=bar),),))
    text = to_text(Page(title="t", blocks=(table,)), Terminal(columns=60, unicode=True))
    assert text.split("\n")[1] == "[##########x~--------]"


def test_notes_are_wrapped_and_hints_line_up() -> None:
    note = Note(title="Wrong", text="word " * 20, hints=(Hint(code="a()", words="does"),))
    lines = to_text(Page(title="t", blocks=(note,)), Terminal(columns=40, unicode=True)).split("\n")
    assert lines[2] == "Wrong"
    assert lines[3].startswith("  word")
    assert lines[-1] == "  a()  does"

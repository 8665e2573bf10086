from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractal_jupyter.display.page import Column, Note, Page, Span, Table, cell
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.printable import printable
from tests.display.samples import HOSTILE, every_page

TAGS = {
    *("div", "style", "strong", "span", "small", "code", "pre", "a", "br", "wbr"),
    *("table", "colgroup", "col", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}
ATTRIBUTES = {"class", "style", "title", "colspan", "href", "target", "rel"}
VOID = {"br", "wbr", "col"}


class Reader(HTMLParser):
    """Reads HTML and fails where it is not what it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name in ATTRIBUTES
            if name == "href":
                assert (value or "").startswith(("http://", "https://"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.text.append(data)


def read(html: str) -> str:
    """The text that a page shows; fails when its markup is not sound."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return "".join(reader.text)


@pytest.mark.parametrize("kind", every_page("x"))
def test_nothing_from_outside_becomes_markup(kind: str) -> None:
    html = to_html(every_page(HOSTILE)[kind])
    shown = read(html)
    assert "<script" not in html
    assert "<img" not in html
    assert "\x1b" not in html
    assert "\x00" not in html
    assert '<script>alert("x")' in shown


@given(st.text(st.characters(), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_any_text_is_shown_as_text(text: str) -> None:
    for page in every_page(f"<{text}").values():
        html = to_html(page)
        html.encode()
        read(html)


def test_links_go_to_web_pages_only() -> None:
    page = Page(
        title="x", facts=(Span("a", link="javascript:alert(1)"), Span("b", link="http://b"))
    )
    html = to_html(page)
    assert "javascript" not in html
    assert '<a href="http://b"' in html


def test_a_page_stays_small_whatever_is_on_it() -> None:
    for page in every_page("x" * 100_000).values():
        assert len(to_html(page)) < 250_000


def test_there_is_one_element_with_its_own_style() -> None:
    html = to_html(Page(title="x"))
    assert html.startswith('<div class="fj1"><style>.fj1{')
    assert html.endswith("</div>")
    assert html.count("<style>") == 1
    assert "</" not in html[html.index("<style>") + 7 : html.index("</style>")]


def test_what_was_left_out_is_said_where_it_was() -> None:
    table = Table(
        columns=(Column(title="a"),), rows=((cell("1"),), (cell("9"),)), gap_after=1, gap="7 more"
    )
    shown = read(to_html(Page(title="t", blocks=(table,))))
    assert shown == "ta17 more9"


def test_lines_of_text_are_kept() -> None:
    html = to_html(Page(title="t", blocks=(Note(text="a\nb"), Note(text="c\n  d", look="code"))))
    assert "a<br>b" in html
    assert "c\n  d</pre>" in html


def test_long_texts_are_cut() -> None:
    name = "n" * 5_000
    table = Table(columns=(Column(),), rows=((cell(name),),))
    shown = read(to_html(Page(title="t", blocks=(table,))))
    assert len(shown) < 300
    assert shown.endswith("…")


def test_hidden_characters_are_seen() -> None:
    assert printable("\u202e") in read(to_html(Page(title="a\u202eb")))

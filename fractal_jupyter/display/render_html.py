"""From pages to HTML: the only place where markup is made, and where everything is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from fractal_jupyter.display.page import Bar, Block, Cell, Column, Note, Page, Row, Span, Table
from fractal_jupyter.display.style import ROOT, STYLE, TONE_COLORS
from fractal_jupyter.display.words import shorten, shorten_middle
from fractal_jupyter.printable import printable

# The most characters of one piece of text, of what a cell tells more, and of one paragraph that
# get into a notebook.
SPAN_LIMIT = 240
MORE_LIMIT = 2_000
NOTE_LIMIT = 100_000


def to_html(page: Page) -> str:
    """A page as HTML: one `<div>` with its own style sheet and without scripts."""
    parts = [f'<div class="{ROOT}"><style>{STYLE}</style>', *_head(page)]
    for block in page.blocks:
        parts += _block(block)
    return "".join([*parts, "</div>"])


def _text(text: str, *, limit: int = SPAN_LIMIT, lines: bool = False) -> str:
    return escape(printable(shorten(text, limit), lines=lines), quote=True)


def _class(*names: str) -> str:
    shown = " ".join(f"{ROOT}-{name}" for name in names if name)
    return f' class="{shown}"' if shown else ""


def _head(page: Page) -> Iterator[str]:
    yield f"<div{_class('head')}><strong{_class('title')}>{_text(page.title)}</strong>"
    if page.pill is not None:
        yield f" {_span(page.pill)}"
    if page.corner:
        yield f" <span{_class('corner')}>{_text(page.corner)}</span>"
    yield "</div>"
    if page.facts:
        yield f"<div{_class('facts')}>{' · '.join(map(_span, page.facts))}</div>"


def _span(span: Span) -> str:
    path = span.look == "path"
    shown = _text(shorten_middle(span.text, SPAN_LIMIT) if path else span.text)
    if span.link.startswith(("https://", "http://")):
        link = _text(span.link, limit=MORE_LIMIT)
        return f'<a href="{link}" target="_blank" rel="noopener noreferrer">{shown}</a>'
    if span.look == "code":
        return f"<code{_class('mono', span.tone, 'tone' if span.tone else '')}>{shown}</code>"
    if span.look == "path":
        shown = shown.replace("/", "/<wbr>")
    if span.look == "strong":
        return f"<strong>{shown}</strong>"
    look = "" if span.look == "path" else span.look
    tone = "tone" if span.tone and look not in ("pill", "status") else ""
    names = (look, span.tone, tone)
    return f"<span{_class(*names)}>{shown}</span>" if any(names) else shown


def _block(block: Block) -> Iterator[str]:
    return _table(block) if isinstance(block, Table) else _note(block)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"<div{_class('sub')}>{_text(table.title)}</div>"
    if not table.rows:
        yield f"<div{_class('note', 'soft', 'tone')}>{_text(table.empty)}</div>"
        return
    folds = any(column.below for column in table.columns)
    names = ("table", "fixed" if table.fixed else "", "folds" if folds else "")
    style = f' style="--fj-columns:{_widths(table)}"' if folds else ""
    yield f"<div{_class('scroll', 'measured' if folds else '')}><table{_class(*names)}{style}>"
    if table.fixed:
        yield "<colgroup>"
        for column in table.columns:
            yield f'<col style="width:{column.width:g}%">'
        yield "</colgroup>"
    if any(column.title for column in table.columns):
        yield "<thead><tr>"
        for column in table.columns:
            align = "right" if column.right else "left"
            # A heading without words would be read as one.
            tag = "th" if column.title else "td"
            yield f"<{tag}{_class('below' if column.below else '')}"
            yield f' style="text-align:{align}">{_text(column.title)}</{tag}>'
        yield "</tr></thead>"
    yield "<tbody>"
    for number, row in enumerate(table.rows):
        if table.gap and number == table.gap_after:
            yield _gap(table)
        yield _row(table.columns, row)
    if table.gap and table.gap_after >= len(table.rows):
        yield _gap(table)
    yield "</tbody></table></div>"


def _widths(table: Table) -> str:
    """The columns of a row that has room for some only; the others are below it."""
    return " ".join(
        "max-content" if column.right else "minmax(6em,1fr)" if column.grows else "auto"
        for column in table.columns
        if not column.below
    )


def _gap(table: Table) -> str:
    return (
        f'<tr{_class("gap")}><td colspan="{len(table.columns)}" style="text-align:left">'
        f"{_text(table.gap)}</td></tr>"
    )


def _row(columns: tuple[Column, ...], row: Row) -> str:
    cells = "".join(_cell(column, cell) for column, cell in zip(columns, row, strict=True))
    return f"<tr>{cells}</tr>"


def _cell(column: Column, cell: Cell) -> str:
    inside = _bar(cell.bar) if cell.bar else _text(cell.joint).join(map(_span, cell.spans))
    if cell.note:
        inside += f"<div{_class('under')}><small>{_text(cell.note)}</small></div>"
    # Inline, since JupyterLab aligns cells to the right where there is no style sheet.
    style = f"text-align:{'right' if column.right else 'left'}"
    if cell.indent:
        style += f";padding-left:{18 * cell.indent}px"
    title = f' title="{_text(cell.more, limit=MORE_LIMIT)}"' if cell.more else ""
    names = (
        "right" if column.right else "",
        "line" if column.right or column.line else "",
        "grows" if column.grows else "",
        "below" if column.below else "",
    )
    return f'<td{_class(*names)} style="{style}"{title}>{inside}</td>'


def _bar(bar: Bar) -> str:
    segments = "".join(
        f'<span{_class(segment.tone)} style="display:inline-block;height:8px;'
        f'width:{100 * segment.share:.2f}%;background:{TONE_COLORS[segment.tone]}"></span>'
        for segment in bar.segments
        if segment.share > 0
    )
    return f'<span{_class("bar")} title="{_text(bar.label)}">{segments}</span>'


def _note(note: Note) -> Iterator[str]:
    if note.folded:
        yield f"<details><summary>{_text(note.title)}</summary>"
        yield from _note_body(note)
        yield "</details>"
        return
    yield f"<div{_class('note', 'box' if note.tone else '', note.tone)}>"
    if note.title:
        yield f"<div{_class('sub')}>{_text(note.title)}</div>"
    yield from _note_body(note)
    yield "</div>"


def _note_body(note: Note) -> Iterator[str]:
    if note.text:
        text = _text(note.text, limit=NOTE_LIMIT, lines=True)
        code = note.look == "code"
        yield f"<pre{_class('code')}>{text}</pre>" if code else text.replace("\n", "<br>")
    for item in note.items:
        yield f"<div{_class('item')}><strong>{_text(item.head)}</strong> "
        yield _text(item.text, limit=MORE_LIMIT, lines=True).replace("\n", "<br>")
        if item.code:
            yield f"<pre{_class('code')}>{_text(item.code, limit=MORE_LIMIT, lines=True)}</pre>"
        yield "</div>"
    if note.hints:
        yield f"<div{_class('hints')}>"
        for hint in note.hints:
            yield f"<div><code{_class('mono')}>{_text(hint.code)}</code> {_text(hint.words)}</div>"
        yield "</div>"

"""From pages to text for terminals: never wider than the terminal, plain ASCII where need be."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from fractal_jupyter.display.page import Bar, Cell, Column, Note, Page, Table, Tone
from fractal_jupyter.display.words import fit, shorten, shorten_middle, width
from fractal_jupyter.printable import printable

MOST_COLUMNS, USUAL_COLUMNS, LEAST_COLUMNS = 140, 100, 30
BAR_COLUMNS = 20
SPAN_LIMIT, NOTE_LIMIT = 500, 20_000
_SEPARATION = 2
_COLORS: dict[Tone, str] = {"good": "32", "bad": "31", "busy": "34", "warn": "33", "soft": "2"}
_BAR_ASCII: dict[Tone, str] = {"good": "#", "bad": "x", "busy": "~", "warn": "!", "soft": "."}
_TO_ASCII = str.maketrans(
    {"·": "-", "…": "~", "→": ">", "–": "-", "✓": "+", "✗": "x", "×": "x", "•": "*", "\u2007": " "}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What a terminal can show.

    Attributes:
        columns: How wide it is.
        unicode: Whether it shows more than ASCII.
        color: Whether it understands escape sequences for colours.
    """

    columns: int
    unicode: bool
    color: bool = False

    def paint(self, text: str, tone: Tone) -> str:
        """Colour a text."""
        return f"\x1b[{_COLORS[tone]}m{text}\x1b[0m" if self.color and tone and text else text

    def plain(self, text: str) -> str:
        """A text without what the terminal cannot show."""
        text = printable(text)
        return (
            text if self.unicode else text.translate(_TO_ASCII).encode("ascii", "replace").decode()
        )


def this_terminal(*, color: bool = False) -> Terminal:
    """What standard output can show."""
    columns = shutil.get_terminal_size((USUAL_COLUMNS, 24)).columns
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    return Terminal(
        # One column is left free: a full line makes some terminals wrap.
        columns=max(LEAST_COLUMNS, min(columns - 1, MOST_COLUMNS)),
        unicode=encoding.startswith("utf"),
        color=color,
    )


def to_text(page: Page, terminal: Terminal | None = None) -> str:
    """A page as lines of text, by default for standard output."""
    return "\n".join(_lines(page, terminal or this_terminal()))


def _lines(page: Page, terminal: Terminal) -> Iterator[str]:
    status = terminal.plain(page.pill.text) if page.pill else ""
    corner = "  ".join(filter(None, (status, terminal.plain(page.corner))))
    room = terminal.columns - (len(corner) + _SEPARATION if corner else 0)
    title = terminal.plain(fit(terminal.plain(page.title), room))
    if status and page.pill:
        corner = terminal.paint(status, page.pill.tone) + corner[len(status) :]
    yield f"{title}{' ' * _SEPARATION}{corner}" if corner else title
    if page.facts:
        facts = terminal.plain(" · ".join(fact.text for fact in page.facts))
        facts = terminal.plain(fit(facts, terminal.columns, cut=shorten_middle))
        yield terminal.paint(facts, "soft")
    for block in page.blocks:
        yield from _table(block, terminal) if isinstance(block, Table) else _note(block, terminal)


# tables


def _table(table: Table, terminal: Terminal) -> Iterator[str]:
    if table.title:
        yield ""
        yield fit(terminal.plain(table.title), terminal.columns)
    if not table.rows:
        yield fit(terminal.plain(table.empty), terminal.columns)
        return
    cells = [[_cell(each, terminal) for each in row] for row in table.rows]
    wanted = [
        max(width(text) for text in (terminal.plain(column.title), *(row[k].text for row in cells)))
        for k, column in enumerate(table.columns)
    ]
    shown = [k for k, column in enumerate(table.columns) if column.in_text]
    below: list[int] = []
    if _excess([wanted[k] for k in shown], terminal.columns) > 0:
        below = [k for k in shown if table.columns[k].below]
        shown = [k for k in shown if k not in below]
    columns = [table.columns[k] for k in shown]
    widths = _share(
        [wanted[k] for k in shown], [column.grows for column in columns], terminal.columns
    )
    # What is below a row begins where its first long column does.
    first = next((k for k, column in enumerate(columns) if column.grows), 0)
    offset = max(_SEPARATION, sum(widths[:first]) + first * _SEPARATION)
    indent = " " * min(offset, terminal.columns // 2)
    if any(column.title for column in columns):
        heads = [_Text(terminal.plain(column.title), "soft") for column in columns]
        yield _join(heads, widths, [column.right for column in columns], terminal)
    for number, row in enumerate(cells):
        if table.gap and number == table.gap_after:
            yield _gap(table, terminal)
        for line in _broken([row[k] for k in shown], columns, widths):
            yield _join(line, widths, [column.right for column in columns], terminal)
        for k in below:
            for part in _wrap(row[k].text, terminal, indent=indent) if row[k].text else ():
                yield terminal.paint(part, row[k].tone)
    if table.gap and table.gap_after >= len(cells):
        yield _gap(table, terminal)


def _broken(
    cells: Sequence[_Text], columns: Sequence[Column], widths: Sequence[int]
) -> Iterator[Sequence[_Text]]:
    """A row as several lines, where cells that may be broken take more than one."""
    parts = [
        [replace(cell, text=part, painted="") for part in _lines_of(cell.text, room)] or [cell]
        if column.wraps and width(cell.text) > room
        else [cell]
        for cell, column, room in zip(cells, columns, widths, strict=True)
    ]
    yield from zip_longest(*parts, fillvalue=_Text(""))


def _lines_of(text: str, columns: int) -> list[str]:
    # As in `_wrap`, with wide characters in mind.
    room = columns if width(text) <= len(text) else columns // 2
    return textwrap.wrap(text, max(1, room), break_on_hyphens=False)


@dataclass(frozen=True, slots=True)
class _Text:
    """A cell as text: `cut` shortens it, `painted` is its coloured form when it fits."""

    text: str
    tone: Tone = ""
    cut: Callable[..., str] = shorten
    painted: str = ""


def _cell(cell: Cell, terminal: Terminal) -> _Text:
    if cell.bar is not None:
        return _bar(cell.bar, terminal)
    tones = {span.tone for span in cell.spans}
    joined = cell.joint.join(shorten(span.text, SPAN_LIMIT) for span in cell.spans)
    text = terminal.plain("  " * cell.indent + joined)
    painted = ""
    if terminal.color and len(tones) > 1:
        joint = terminal.plain(cell.joint)
        painted = "  " * cell.indent + joint.join(
            terminal.paint(terminal.plain(span.text), span.tone) for span in cell.spans
        )
    paths = any(span.look == "path" for span in cell.spans)
    return _Text(
        text,
        tones.pop() if len(tones) == 1 else "",
        shorten_middle if paths else shorten,
        painted,
    )


def _bar(bar: Bar, terminal: Terminal) -> _Text:
    text = painted = ""
    filled = 0.0
    for segment in bar.segments:
        filled += segment.share
        # Every segment that is not empty is seen: at least one character, if there is room.
        count = max(round(filled * BAR_COLUMNS) - len(text), 1 if segment.share > 0 else 0)
        count = min(count, BAR_COLUMNS - len(text))
        part = ("█" if terminal.unicode and terminal.color else _BAR_ASCII[segment.tone]) * count
        text += part
        painted += terminal.paint(part, segment.tone)
    rest = ("░" if terminal.unicode and terminal.color else "-") * (BAR_COLUMNS - len(text))
    return _Text(f"[{text}{rest}]", painted=f"[{painted}{terminal.paint(rest, 'soft')}]")


def _excess(wanted: Sequence[int], columns: int) -> int:
    """By how much columns are wider than the terminal."""
    return sum(wanted) + _SEPARATION * (len(wanted) - 1) - columns


def _share(wanted: Sequence[int], grows: Sequence[bool], columns: int) -> list[int]:
    """How wide each column is: what it wants, or less where the terminal is too narrow."""
    widths = list(wanted)
    excess = _excess(widths, columns)
    # First those columns give way that may, the widest first, then any.
    for may, least in ((grows, 12), ([True] * len(widths), 3)):
        while excess > 0:
            widest = max(
                (k for k in range(len(widths)) if may[k] and widths[k] > least),
                key=lambda k: widths[k],
                default=None,
            )
            if widest is None:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _join(
    cells: Sequence[_Text], widths: Sequence[int], right: Sequence[bool], terminal: Terminal
) -> str:
    parts = []
    room = terminal.columns
    for cell, columns, to_right in zip(cells, widths, right, strict=True):
        columns = min(columns, max(0, room))
        mark = "…" if terminal.unicode else "~"
        text = fit(cell.text, columns, cut=cell.cut, mark=mark)
        padding = " " * (columns - width(text))
        if text == cell.text and cell.painted and terminal.color:
            text = cell.painted
        else:
            text = terminal.paint(text, cell.tone)
        parts.append(padding + text if to_right else text + padding)
        room -= columns + _SEPARATION
    return (" " * _SEPARATION).join(parts).rstrip()


def _gap(table: Table, terminal: Terminal) -> str:
    return terminal.paint(fit(terminal.plain(table.gap), terminal.columns), "soft")


# notes


def _note(note: Note, terminal: Terminal) -> Iterator[str]:
    if not note.in_text:
        return
    yield ""
    if note.title:
        yield from (
            terminal.paint(line, note.tone) for line in _wrap(note.title, terminal, indent="")
        )
    indent = "  " if note.title else ""
    lay_out = _chop if note.look == "code" else _wrap
    for line in printable(shorten(note.text, NOTE_LIMIT), lines=True).splitlines():
        yield from lay_out(line, terminal, indent=indent)
    for item in note.items:
        first, *rest = f"{item.head}  {item.text}".splitlines()
        yield from _wrap(first, terminal, indent=indent, hanging="  ")
        for line in rest:
            yield from _wrap(line, terminal, indent=f"{indent}  ")
        for line in printable(item.code, lines=True).splitlines():
            yield from _wrap(line, terminal, indent=f"{indent}    ")
    longest = max((len(hint.code) for hint in note.hints), default=0)
    for hint in note.hints:
        line = terminal.plain(f"  {hint.code:<{longest}}  {hint.words}")
        if width(line) <= terminal.columns:
            yield line
        else:  # code that is cut is none
            yield from _wrap(hint.code, terminal, indent="  ", hanging="  ")
            yield from _wrap(hint.words, terminal, indent="      ")


def _chop(line: str, terminal: Terminal, *, indent: str) -> Iterator[str]:
    """A line of a program's text as terminals show it: every character in its place."""
    rest = terminal.plain(line.expandtabs(4)).rstrip()
    columns = terminal.columns - len(indent)
    while width(rest) > columns:
        cut = columns
        while width(rest[:cut]) > columns:
            cut -= 1
        yield indent + rest[:cut]
        rest = rest[cut:]
    yield indent + rest if rest else ""


def _wrap(line: str, terminal: Terminal, *, indent: str, hanging: str = "") -> list[str]:
    text = terminal.plain(line.expandtabs(4))
    own = indent + " " * min(8, len(text) - len(text.lstrip()))
    # `textwrap` counts characters; those of some scripts are two columns wide.
    columns = terminal.columns if width(text) <= len(text) else terminal.columns // 2
    lines = textwrap.wrap(
        text.strip(),
        columns,
        initial_indent=own,
        subsequent_indent=own + hanging,
        break_on_hyphens=False,  # paths and options stay whole where they can
    )
    return lines or [""]

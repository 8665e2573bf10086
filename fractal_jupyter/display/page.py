"""What is shown, before it is HTML or text: a page of tables and notes. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

Tone: TypeAlias = Literal["", "good", "bad", "busy", "warn", "soft"]
Look: TypeAlias = Literal["", "strong", "code", "pill", "status", "chip", "path"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text.

    Attributes:
        text: Any text; escaping is the business of the renderers.
        tone: What it means.
        look: How it is set; a `path` may lose its middle, anything else its end.
        link: An http or https URL.
    """

    text: str
    tone: Tone = ""
    look: Look = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: its share of the whole, from 0 to 1."""

    share: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of progress; `label` says the same in words."""

    segments: tuple[Segment, ...]
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        spans: Pieces of text.
        joint: What is between them.
        note: A smaller second line; terminals leave it out.
        more: What is told to those who rest the mouse on the cell.
        bar: A bar instead of text.
        indent: How deep the cell is below others.
    """

    spans: tuple[Span, ...] = ()
    joint: str = " · "
    note: str = ""
    more: str = ""
    bar: Bar | None = None
    indent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading; a table whose columns have none has no head.
        right: Whether it is aligned to the right, as numbers are.
        line: Whether its cells are never broken into lines; cells aligned to the right never are.
        width: Its share of the width in percent, for tables whose layout must not move.
        in_text: Whether terminals show it.
        grows: Whether it gives way first where there is little room.
        below: Whether it goes on a line of its own below its row where there is little room.
        wraps: Whether terminals break its cells into lines instead of cutting them.
    """

    title: str = ""
    right: bool = False
    line: bool = False
    width: float = 0
    in_text: bool = True
    grows: bool = False
    below: bool = False
    wraps: bool = False


Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        columns: Its columns.
        rows: Its rows, each with a cell per column.
        title: A heading.
        gap_after: After how many rows some were left out.
        gap: What was left out, in words; empty when nothing was.
        fixed: Whether the widths are those of the columns, whatever is in the cells.
        empty: What to say when there are no rows.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""
    gap_after: int = 0
    gap: str = ""
    fixed: bool = False
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something to type, and what it does."""

    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One of several similar things: what it is, what is said of it, and what a program said."""

    head: str
    text: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A paragraph.

    Attributes:
        text: Its text; line breaks are kept.
        tone: What it means; a note with a tone stands out.
        title: A heading.
        look: `code` for text as a program wrote it.
        items: A list, after the text.
        hints: What to do about it.
        folded: Whether it is shown only when asked for, under its title (HTML only).
        in_text: Whether terminals show it.
    """

    text: str = ""
    tone: Tone = ""
    title: str = ""
    look: Literal["", "code"] = ""
    items: tuple[Item, ...] = ()
    hints: tuple[Hint, ...] = ()
    folded: bool = False
    in_text: bool = True


Block: TypeAlias = Table | Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that is shown of one thing.

    Attributes:
        title: What it is.
        pill: Its status.
        corner: What stands in the upper right corner, such as a running time.
        facts: Short facts about it, under the title.
        blocks: The rest, from top to bottom.
    """

    title: str
    pill: Span | None = None
    corner: str = ""
    facts: tuple[Span, ...] = ()
    blocks: tuple[Block, ...] = ()


def cell(
    text: object = "", *, tone: Tone = "", look: Look = "", note: str = "", more: str = ""
) -> Cell:
    """A cell with one piece of text; nothing for None."""
    shown = "" if text is None else str(text)
    return Cell(spans=(Span(shown, tone, look),) if shown else (), note=note, more=more)


def chips(texts: Iterable[str]) -> Cell:
    """A cell with several short texts, each in a frame of its own."""
    return Cell(spans=tuple(Span(text, "", "chip") for text in texts), joint=" ")


def clipped(items: Sequence[T], *, head: int, tail: int = 0) -> tuple[list[T], int]:
    """The first and the last few of many items, and how many were left out between them."""
    if len(items) <= head + tail:
        return list(items), 0
    return [*items[:head], *items[len(items) - tail :]], len(items) - head - tail


STATUS_TONES: dict[str, Tone] = {
    "submitted": "soft",
    "pending": "soft",
    "running": "busy",
    "ongoing": "busy",
    "done": "good",
    "OK": "good",
    "failed": "bad",
    "cancelled": "warn",
    "cancelling": "warn",
    "interrupted": "warn",
}
"""What each status means, for all things that have one."""


def pill(status: str) -> Span:
    """A status as a coloured word in a frame."""
    return Span(status, STATUS_TONES.get(status, ""), "pill")


def status_cell(status: str) -> Cell:
    """A cell with a status as a coloured word."""
    return cell(status, tone=STATUS_TONES.get(status, ""), look="status")

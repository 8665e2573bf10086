"""Text that programs have written, to be read as it is instead of as a quoted string."""

from __future__ import annotations

from fractal_jupyter.display.page import Note, Page, Span
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.words import counted, size
from fractal_jupyter.printable import printable, without_colors

SHOWN_CHARACTERS = 60_000
EMPTY = "Nothing was written."


def log_page(text: str, *, title: str = "Log") -> Page:
    """A log; of a long one, the end."""
    lines = text.count("\n") + (not text.endswith("\n") if text else 0)
    left_out = len(text) > SHOWN_CHARACTERS
    shown = text[-SHOWN_CHARACTERS:]
    if left_out:
        shown = shown.partition("\n")[2] or shown
    facts = [Span(counted(lines, "line")), Span(size(len(text.encode(errors="replace"))))]
    if left_out:
        facts.append(Span("the end is shown; print() shows all", "warn"))
    return Page(
        title=title,
        facts=tuple(facts),
        blocks=(Note(text=without_colors(shown) or EMPTY, look="code"),),
    )


class LogText(str):
    """A log: a string that shows itself as it would look in a terminal.

    Args:
        text: What was written.
        title: Whose log it is.
    """

    __slots__ = ("heading",)

    heading: str

    def __new__(cls, text: str, *, title: str = "Log") -> LogText:
        """Make a log of a string."""
        log = super().__new__(cls, text)
        log.heading = title
        return log

    def __repr__(self) -> str:
        return printable(without_colors(self), lines=True) or EMPTY

    def _repr_html_(self) -> str:
        return to_html(log_page(self, title=self.heading))


def log_text(text: str, *, title: str = "Log") -> LogText:
    """Make a log of a string; see `LogText`."""
    return LogText(text, title=title)

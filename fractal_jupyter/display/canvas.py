"""Something to draw on, again and again: an output of a notebook, a terminal, or a log.

Drawing never raises: a display that cannot be drawn must not harm what it displays.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fractal_jupyter.display.page import Page
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.render_text import Terminal, this_terminal, to_text
from fractal_jupyter.display.surroundings import can_redraw, notebook_shell

LINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is to be drawn.

    Attributes:
        page: The whole picture.
        line: The same in one line, for logs.
        milestone: A log gets a line whenever this changes.
        progress: A log gets a line now and then when this changes.
        final: Whether this is the last picture.
    """

    page: Page
    line: str
    milestone: Hashable
    progress: Hashable = None
    final: bool = False


class Canvas:
    """Base of everything that can be drawn on."""

    def __init__(self) -> None:
        self.broken = False

    def draw(self, frame: Frame) -> None:
        """Replace what was drawn before; after the first trouble, do nothing."""
        if self.broken:
            return
        try:
            self._draw(frame)
        except Exception:
            self.broken = True

    def _draw(self, frame: Frame) -> None:
        raise NotImplementedError


class NotebookCanvas(Canvas):
    """One output of a notebook, updated in place.

    Updates name the output by its display id, so they may come from any thread, and while any
    other cell is executed. The parent of the message is left to be the cell that is executed at
    the moment: front ends look at the display id, and those that execute notebooks without one
    (nbclient) listen to the current cell only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.display_id = f"fractal-{uuid4().hex}"
        self._shown: dict[str, Any] | None = None

    def show_here(self, frame: Frame) -> None:
        """Show the picture in the cell that is executed now; earlier outputs of it stay alive."""
        self._shown = None
        self.draw(frame)

    def _draw(self, frame: Frame) -> None:
        shell = notebook_shell()
        data = {
            "text/html": to_html(frame.page),
            "text/plain": to_text(frame.page, Terminal(columns=100, unicode=True)),
        }
        if shell is None or data == self._shown:
            return
        update = self._shown is not None
        # Under `%%capture` every update would be kept: the first and the last are enough.
        captured = "Capturing" in type(shell.display_pub).__name__
        if captured and update and not frame.final:
            return
        transient = {"display_id": self.display_id}
        shell.display_pub.publish(data=data, metadata={}, transient=transient, update=update)
        self._shown = data


class TerminalCanvas(Canvas):
    """Some lines of a terminal, redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self._height = 0
        self._shown: list[str] = []

    def _draw(self, frame: Frame) -> None:
        lines = to_text(frame.page, this_terminal(color="NO_COLOR" not in os.environ)).split("\n")
        if not frame.final:
            # What has scrolled away cannot be redrawn.
            lines = lines[: max(1, shutil.get_terminal_size().lines - 1)]
        if lines == self._shown:
            return
        up = f"\x1b[{self._height}F" if self._height else ""
        # Each line is overwritten and then cleared to its end: nothing blinks.
        body = "".join(f"{line}\x1b[K\n" for line in lines)
        sys.stdout.write(f"{up}{body}\x1b[J")
        sys.stdout.flush()
        self._shown, self._height = lines, len(lines)


class LogCanvas(Canvas):
    """A line for each change that matters."""

    def __init__(self) -> None:
        super().__init__()
        self._last: Frame | None = None
        self._next = 0.0

    def _draw(self, frame: Frame) -> None:
        last, now = self._last, time.monotonic()
        routine = last is not None and frame.milestone == last.milestone and not frame.final
        if routine and last is not None and (frame.progress == last.progress or now < self._next):
            return
        if last is None or frame.line != last.line:
            sys.stdout.write(f"{this_terminal().plain(frame.line)}\n")
            sys.stdout.flush()
        self._last, self._next = frame, now + LINE_SECONDS


def make_canvas() -> Canvas:
    """The best that this process has to draw on."""
    if notebook_shell() is not None:
        return NotebookCanvas()
    return TerminalCanvas() if can_redraw() else LogCanvas()

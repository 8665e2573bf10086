"""Progress of something that blocks and logs lines, such as building an environment."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeVar

from fractal_jupyter.display.canvas import Frame, make_canvas
from fractal_jupyter.display.page import Note, Page, Tone, pill
from fractal_jupyter.display.words import clock, counted, duration, shorten
from fractal_jupyter.printable import without_colors

DRAW_SECONDS = 0.5
SHOWN_LINES = 5
KEPT_LINES = 300
LINE_LIMIT = 160

_Item = TypeVar("_Item")


class Progress:
    """Shows that something goes on: the last lines of its log, and how long it takes.

    Use it as a context manager; lines may come from any thread.

    Args:
        title: What goes on: "Collecting fractal-tasks-core".
        at_once: Whether it is shown from the start; otherwise only if it takes longer than half a
            second.
    """

    def __init__(self, title: str, *, at_once: bool = True) -> None:
        self._title = title
        self._is_shown = at_once
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._count = 0
        self._status = "running"
        self._result = ""
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._canvas = make_canvas()
        self._ticker = threading.Thread(target=self._tick, name="fractal-progress", daemon=True)

    def log(self, text: str) -> None:
        """Add what was logged: one line, or several."""
        with self._lock:
            for line in without_colors(text).splitlines():
                if line.strip():
                    self._lines.append(shorten(line.rstrip(), LINE_LIMIT))
                    self._count += 1

    def done(self, text: str) -> None:
        """Say what has come of it; shown at the end."""
        with self._lock:
            self._result = text

    def __enter__(self) -> Self:
        if self._is_shown:
            self._draw()
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._ticker.join()
        if kind is not None:
            self._status = "failed" if issubclass(kind, Exception) else "interrupted"
        else:
            self._status = "done"
        if self._is_shown:
            self._draw()

    def _tick(self) -> None:
        while not self._stop.wait(DRAW_SECONDS):
            self._is_shown = True
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            seconds = time.monotonic() - self._started
            lines, count, status, result = (
                list(self._lines),
                self._count,
                self._status,
                self._result,
            )
        last = lines[-1] if lines else ""
        ends = {"running": last, "done": f"{result or 'done'} ({duration(seconds)})"}
        self._canvas.draw(
            Frame(
                page=Page(
                    title=self._title,
                    pill=pill(status),
                    corner=clock(seconds),
                    blocks=_blocks(status, result, lines, count),
                ),
                line=": ".join(filter(None, (self._title, ends.get(status, status)))),
                milestone=status,
                progress=count,
                final=status != "running",
            )
        )


def follow(title: str, items: Iterable[_Item]) -> list[_Item]:
    """Take all of what comes one after the other, and show it as lines if it takes its time."""
    taken = []
    with Progress(title, at_once=False) as progress:
        for item in items:
            progress.log(str(item))
            taken.append(item)
    return taken


def _blocks(status: str, result: str, lines: list[str], count: int) -> tuple[Note, ...]:
    if status == "running":
        # Always the same number of lines, so that nothing below moves.
        shown = lines[-SHOWN_LINES:]
        padding = [""] * (SHOWN_LINES - len(shown))
        return (Note(text="\n".join([*shown, *padding, " "]), look="code"),)
    if status != "done":
        tone: Tone = "bad" if status == "failed" else "warn"
        return (Note(text="\n".join(lines[-2 * SHOWN_LINES :]), look="code", tone=tone),)
    title = f"Log ({counted(count, 'line')})"
    log = Note(title=title, text="\n".join(lines), look="code", folded=True, in_text=False)
    return (*((Note(text=result),) if result else ()), *((log,) if lines else ()))

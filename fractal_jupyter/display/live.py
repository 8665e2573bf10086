"""Jobs that are watched while they run."""

from __future__ import annotations

import contextvars
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from fractal_jupyter.display.canvas import Canvas, Frame, NotebookCanvas, make_canvas
from fractal_jupyter.display.job import job_line, job_page, shown_status, waiting_for
from fractal_jupyter.display.pace import Pace, ended
from fractal_jupyter.display.render_text import to_text
from fractal_jupyter.display.snapshot import JobSnapshot
from fractal_jupyter.display.surroundings import Execution, current_execution, notebook_shell
from fractal_jupyter.printable import printable

Take = Callable[[], JobSnapshot]

DRAW_SECONDS = 0.5
# A change of the store is looked at no sooner than this after the last look.
LOOK_SECONDS = 0.05
# A display in the background gives up when it could not look at its job so many times in a row.
MOST_FAILURES = 20


class WaitInterrupted(KeyboardInterrupt):
    """Raised when a user stops waiting for a job; the job goes on."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: where in this package the waiting was interrupted is no news."""
        return [str(self)]


class LiveJob:
    """Shows a job, and in a notebook keeps what is shown up to date until the job is over.

    Args:
        take: Looks at the job; called from a thread of its own.
        changed: Whether anything may have changed since the last look; always, by default.
    """

    def __init__(self, take: Take, changed: Callable[[], bool] | None = None) -> None:
        self._take = take
        self._changed = changed

    def show(self) -> None:
        """Show the job and return at once.

        A notebook has one picture of a job in a cell, whatever else shows it there; pictures in
        other cells move along. A terminal gets a picture that stays as it is.
        """
        snapshot = self._take()
        view = _view_of(snapshot)
        with suppress(Exception):
            view.show(snapshot)
        if not snapshot.over and notebook_shell() is not None:
            view.follow(self._take, self._changed)


def wait_with_display(
    take: Take, wait_for_change: Callable[[float], object], timeout: float | None
) -> bool:
    """Wait until a job is over, showing it meanwhile.

    Args:
        take: Looks at the job.
        wait_for_change: Returns when the job may have changed, after so many seconds at most.
        timeout: Most seconds to wait; None for as long as it takes.

    Returns:
        Whether the job is over.

    Raises:
        WaitInterrupted: The user interrupted the waiting; the job goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    snapshot = take()
    view = _view_of(snapshot)
    view.stop_following()
    try:
        # Whatever is wrong with the display, the waiting goes on.
        with suppress(Exception):
            view.open(snapshot)
        while not snapshot.over:
            left = DRAW_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            looked = time.monotonic()
            wait_for_change(min(DRAW_SECONDS, left))
            time.sleep(max(0.0, min(looked + LOOK_SECONDS - time.monotonic(), LOOK_SECONDS)))
            snapshot = take()
            with suppress(Exception):
                view.draw(snapshot)
    except KeyboardInterrupt:
        job = snapshot.job.id
        raise WaitInterrupted(
            f"Stopped waiting for job {job}, which goes on. "
            "job.wait() waits again, job.cancel() stops the job."
        ) from None
    finally:
        if not snapshot.over and notebook_shell() is not None:
            view.follow(take, None)
    return snapshot.over


class _JobView:
    """All pictures of one job in this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._canvas: Canvas | None = None
        self._pace = Pace()
        self._where = Execution(None)
        self._last_look: JobSnapshot | None = None
        self._next_draw = 0.0
        self._following: threading.Event | None = None

    def open(self, snapshot: JobSnapshot) -> None:
        """Show the job where somebody is about to wait for it."""
        with self._lock:
            if notebook_shell() is None:
                self._canvas = make_canvas()
                self._where = current_execution()
                self.draw(snapshot, at_once=True)
            else:
                self._show_in_notebook(snapshot, other_cells=True)

    def show(self, snapshot: JobSnapshot) -> None:
        """Show the job once; not again where the same was just shown."""
        with self._lock:
            if notebook_shell() is not None:
                self._show_in_notebook(snapshot, other_cells=False)
                return
            here, last = current_execution(), self._last_look
            seen = here.key is not None and here.key == self._where.key and last is not None
            if seen and snapshot.over and last is not None and last.over:
                # IPython has written `Out[3]:` by now: one line, so that something follows it.
                print(printable(job_line(snapshot)))  # noqa: T201
                return
            self._where, self._last_look = here, snapshot
            print(to_text(job_page(snapshot)))  # noqa: T201

    def draw(self, snapshot: JobSnapshot, *, at_once: bool = False) -> None:
        """Bring the pictures up to date, at most twice a second before the job is over."""
        with self._lock:
            self._pace.observe(snapshot)
            self._last_look = snapshot
            now = time.monotonic()
            if self._canvas is None or (now < self._next_draw and not (snapshot.over or at_once)):
                return
            self._next_draw = now + DRAW_SECONDS * 0.9
            self._canvas.draw(self._frame(snapshot))

    def follow(self, take: Take, changed: Callable[[], bool] | None) -> None:
        """Keep the pictures up to date from a thread, until the job is over."""
        with self._lock:
            if self._following is not None and not self._following.is_set():
                return
            stop = self._following = threading.Event()
        # An empty context: updates belong to the cell that is executed at the time, not to the
        # one that this thread was started from (which free-threaded Python would pass on).
        context = contextvars.Context()
        threading.Thread(
            target=lambda: context.run(self._follow, take, changed, stop),
            name="fractal-live-display",
            daemon=True,
        ).start()

    def stop_following(self) -> None:
        """Leave the drawing to somebody else."""
        with self._lock:
            if self._following is not None:
                self._following.set()

    def _follow(
        self, take: Take, changed: Callable[[], bool] | None, stop: threading.Event
    ) -> None:
        failures = 0
        while not stop.wait(DRAW_SECONDS) and failures < MOST_FAILURES:
            try:
                last = self._last_look
                if last is None or changed is None or changed():
                    snapshot = take()
                else:
                    snapshot = replace(last, now=time.time())
                with self._lock:
                    if stop.is_set():
                        return
                    self.draw(snapshot)
            except Exception:
                failures += 1
                continue
            failures = 0
            if snapshot.over:
                break
        stop.set()

    def _show_in_notebook(self, snapshot: JobSnapshot, *, other_cells: bool) -> None:
        """Show the job in this cell, unless a picture of it is there.

        Args:
            snapshot: The job.
            other_cells: Whether a living picture in another cell is enough.
        """
        here = current_execution()
        if not isinstance(self._canvas, NotebookCanvas):
            self._canvas = NotebookCanvas()
            self._where = Execution(object())
        same = here.key == self._where.key
        # Executing a cell again clears its output.
        elsewhere = here.cell is not None and here.cell != self._where.cell
        if same or (other_cells and elsewhere and self._where.cell and not snapshot.over):
            self.draw(snapshot, at_once=True)
            return
        self._where = here
        self._pace.observe(snapshot)
        self._last_look = snapshot
        self._canvas.show_here(self._frame(snapshot))

    def _frame(self, snapshot: JobSnapshot) -> Frame:
        job = snapshot.job
        units = sum(step.total for step in snapshot.steps)
        return Frame(
            page=job_page(snapshot, pace=self._pace),
            line=job_line(snapshot),
            milestone=(
                shown_status(job),
                # Not each time that the same has lasted a little longer.
                re.sub("[0-9]+", "", waiting_for(job)),
                tuple(step.status for step in snapshot.steps),
                any(step.failed for step in snapshot.steps),
            ),
            progress=10 * sum(map(ended, snapshot.steps)) // max(1, units),
            final=snapshot.over,
        )


_views: dict[tuple[object, ...], _JobView] = {}
_views_lock = threading.Lock()


def _view_of(snapshot: JobSnapshot) -> _JobView:
    """The view of a job; ids alone do not tell jobs of several stores apart."""
    job = snapshot.job
    with _views_lock:
        return _views.setdefault((job.id, job.owner, job.created), _JobView())

"""A job as it runs: its steps, its units, their logs; to be cancelled and run again."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Mapping
from typing import Any

import ipywidgets

from fractal_jupyter.client.jobs import UNIT_STATUSES, Job
from fractal_jupyter.display.words import counted, duration, fit, number
from fractal_jupyter.errors import FractalError
from fractal_jupyter.printable import printable
from fractal_jupyter.store.jobs import FINAL_JOBS
from fractal_jupyter.store.records import UnitRecord
from fractal_jupyter.widgets.tool import Tool, button, html, row, safely, say, show, with_class

LOOK_SECONDS = 1.0
PER_PAGE = 12
_LOG_CHARACTERS = 40_000
_ERRORS_FIRST = ("failed", "interrupted", "cancelled", "running", "pending", "done")


class JobMonitor(Tool):
    """Shows a job, and keeps what is shown up to date until it is over or `close` is called.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._page = 0
        self._units: list[UnitRecord] = []
        self._picture = html()
        self._filling = False
        self._status = ipywidgets.Dropdown(
            options=[("errors first", ""), *((status, status) for status in UNIT_STATUSES)],
            description="Units",
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="200px", height="28px"),
        )
        self._status.observe(lambda _: self._turn(0), "value")
        self._list = ipywidgets.Select(
            description="Unit, to see its log",
            options=[],
            rows=4,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="auto"),
        )
        self._list.observe(self._chosen, "value")
        self._where = html()
        self._log = html()
        self._back = button("Back", lambda: self._turn(-1), tip="Units before these")
        self._on = button("Further", lambda: self._turn(1), tip="Units after these")
        self._cancel = button("Cancel the job", self._ask_cancel)
        self._sure = button("Yes, cancel it", self.cancel)
        self._retry = button("Retry", self.retry, tip="Run again what did not succeed")
        self._sure.layout.display = "none"
        listed = with_class(ipywidgets.VBox([self._list]), "field", "list")
        self.compose(
            self._picture,
            row(self._cancel, self._sure, self._retry),
            with_class(row(self._status, self._back, self._on, self._where), "units"),
            listed,
            self._log,
        )
        self._closed = threading.Event()
        self._follower: threading.Thread | None = None
        self.refresh()
        self._follow()

    @safely
    def refresh(self) -> None:
        """Read the job from the store, and show it."""
        snapshot = self._job._snapshot()
        show(self._picture, self._job._repr_html_())
        self._cancel.disabled = snapshot.over or snapshot.job.cancel_requested
        if snapshot.over:
            self._sure.layout.display = "none"
        retry = snapshot.job.status in ("failed", "cancelled")
        self._retry.layout.display = None if retry else "none"
        self._cancel.layout.display = "none" if snapshot.over else None
        self._fill()

    @safely
    def cancel(self) -> None:
        """Stop the job."""
        self._sure.layout.display = "none"
        self._job.cancel()
        self.refresh()

    @safely
    def retry(self) -> None:
        """Run again what did not succeed."""
        self.tell("", tone="", title="")
        self._job.retry()
        self.refresh()
        self._follow()

    def close(self) -> None:
        """Stop looking at the job."""
        self._closed.set()

    def page(self) -> str:
        """The job as it is now, as HTML."""
        return self._job._repr_html_()

    def __repr__(self) -> str:
        return f"<JobMonitor of job {self._job.id}>"

    def _ask_cancel(self) -> None:
        self._sure.layout.display = None

    @safely
    def _turn(self, by: int) -> None:
        self._page = max(0, self._page + by) if by else 0
        self._fill()

    def _fill(self) -> None:
        total, shown = self._wanted()
        pages = max(1, -(-total // PER_PAGE))
        if self._page >= pages:
            self._page = pages - 1
            total, shown = self._wanted()
        self._units = shown
        first = self._page * PER_PAGE
        last = min(first + PER_PAGE, total)
        about = f"{number(first + 1)} to {number(last)} of {counted(total, 'unit')}"
        say(self._where, about if total else "no such units")
        self._back.disabled, self._on.disabled = self._page == 0, self._page >= pages - 1
        options = [(_line(unit), unit.index) for unit in shown]
        if options != list(self._list.options):
            chosen = self._list.value
            known = any(index == chosen for _, index in options)
            self._filling = True
            try:
                self._list.options = options
                self._list.value = chosen if known else None
            finally:
                self._filling = False
        self._list.rows = max(3, min(len(options), PER_PAGE)) + 1
        if self._list.value is not None:
            self._show_log(self._list.value)

    def _wanted(self) -> tuple[int, list[UnitRecord]]:
        """How many units there are to see, and those of this page."""
        jobs, key = self._job._store.jobs, self._job.id
        wanted = [self._status.value] if self._status.value else _ERRORS_FIRST
        steps = jobs.steps(key)
        counts = {name: sum(getattr(step, name) for step in steps) for name in _COUNTED}
        counts["pending"] = sum(step.total for step in steps) - sum(counts.values())
        skip, left, shown = self._page * PER_PAGE, PER_PAGE, list[UnitRecord]()
        for status in wanted:
            there = counts.get(status, 0)
            if skip < there and left:
                found = jobs.units(key, status=status, offset=skip, limit=left)
                shown += found
                left -= len(found)
            skip = max(0, skip - there)
        return sum(counts.get(status, 0) for status in wanted), shown

    @safely
    def _chosen(self, change: Mapping[str, Any]) -> None:
        if not self._filling:
            self._show_log(change["new"])

    def _show_log(self, index: int | None) -> None:
        if index is None:
            say(self._log, "")
            return
        unit = next((unit for unit in self._units if unit.index == index), None)
        log = self._job.log(index)[-_LOG_CHARACTERS:] or "Nothing was written yet."
        error = f"{unit.error}\n\n" if unit is not None and unit.error else ""
        say(self._log, f"{error}{log}", look="code")

    def _follow(self) -> None:
        """Look at the job once in a while, from a thread, until it is over."""
        if self._follower is not None and self._follower.is_alive():
            return
        context = contextvars.copy_context()
        self._follower = threading.Thread(target=lambda: context.run(self._look_on), daemon=True)
        self._follower.start()

    def _look_on(self) -> None:
        store = self._job._store
        seen = None
        while not self._closed.wait(LOOK_SECONDS):
            try:
                version = store.database.data_version()
                if version is None or version != seen or self._job.status == "running":
                    seen = version
                    self.refresh()
                if self._job.status in FINAL_JOBS:
                    self.refresh()
                    return
            except FractalError:
                # the store is busy or gone for a moment; the next look may see it
                continue


_COUNTED = ("failed", "interrupted", "cancelled", "running", "done")


def _line(unit: UnitRecord) -> str:
    took = duration(unit.ended - unit.started) if unit.ended and unit.started else ""
    above, *last = (unit.zarr_url or "").rsplit("/", 3)
    image = "/".join(("…", *last)) if above and last else unit.zarr_url or ""
    why = (unit.error or "").strip().split("\n")[0]
    cells = ((unit.status, 11), (took, 9), (image, 34), (why, 80))
    padded = (f"{fit(printable(text), columns):<{columns}}" for text, columns in cells)
    return " ".join((f"{unit.index:>6} ", *padded)).rstrip()

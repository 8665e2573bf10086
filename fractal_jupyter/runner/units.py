"""From the records of workers to the columns of units: pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fractal_jupyter.errors import InvalidTaskOutput
from fractal_jupyter.models.images import parse_init_output, parse_task_output
from fractal_jupyter.printable import without_colors
from fractal_jupyter.store.running import COUNTED

Columns = dict[str, Any]

CANCELLED = "The job was cancelled."
_TOLD_TO_END = (
    "It was stopped while it was running, because its worker was told to end: by somebody, by "
    "what schedules jobs, or because the machine was going down. What the unit had done until then "
    "is not known."
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(slots=True)
class UnitChanges:
    """What a round of records changes in the units of one phase.

    Attributes:
        statuses: The status of each unit of the phase, by index; moved on in place.
        is_init: Whether the phase is the initialisation of a compound task.
        cancelled: Whether somebody wants the job cancelled.
        columns: Columns to set, by index of the unit.
        counters: What to add to the counters of the step.
        modes: The last `mode` record, in words.
        learned: Modules that units loaded beyond the preloaded ones.
        ended: How many units ended.
        damaged: How many records could not be read; their units count as not reported.
    """

    statuses: dict[int, str]
    is_init: bool
    cancelled: bool = False
    columns: dict[int, Columns] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    mode: str | None = None
    learned: list[str] = field(default_factory=list)
    ended: int = 0
    damaged: int = 0

    def apply(self, attempt: int, record: Mapping[str, Any]) -> None:
        """Take one record of a worker into account."""
        match record.get("event"):
            case "start":
                self._start(attempt, record)
            case "end":
                self._end(attempt, record)
            case "mode":
                self.mode = _mode_in_words(record)
            case "learned":
                self.learned.extend(record["modules"])
            case "damaged":
                self.damaged += 1
            case _:
                pass  # attempt, finished: read by those who look for them

    def set(self, index: int, status: str, **columns: Any) -> None:
        """Give a unit another status."""
        before = self.statuses[index]
        if before in COUNTED:
            self.counters[before] -= 1
        if status in COUNTED:
            self.counters[status] += 1
        self.statuses[index] = status
        self.columns[index] = {**self.columns.get(index, {}), "status": status, **columns}

    def _start(self, attempt: int, record: Mapping[str, Any]) -> None:
        index = record["unit"]
        # A later attempt may run a unit again that an earlier one has left.
        if self.statuses.get(index) not in ("pending", "running", "interrupted"):
            return
        self.set(
            index,
            "running",
            error=None,
            problem=None,
            started=record["time"],
            log={"attempt": attempt, "slot": record["slot"]},
        )

    def _end(self, attempt: int, record: Mapping[str, Any]) -> None:
        index, status = record["unit"], record["status"]
        before = self.statuses.get(index)
        # One attempt counts: a result is final, but one that arrives late outranks the report
        # of a later attempt that it was missing.
        if before not in ("pending", "running") and not (
            before == "interrupted" and status in ("done", "failed")
        ):
            return
        columns = _end_columns(attempt, record)
        if status == "cancelled" and not self.cancelled:
            status = "interrupted"
            columns |= {"problem": "worker_ended", "error": _TOLD_TO_END}
        elif self.cancelled and record.get("problem") == "superseded":
            status = "cancelled"
            columns |= {"problem": "cancelled", "error": CANCELLED}
        if status == "done":
            problem = self._wrong_output(record.get("output"))
            if problem is not None:
                status = "failed"
                columns |= {"problem": "invalid_output", "error": problem, "output": None}
        self.set(index, status, **columns)
        self.ended += 1

    def _wrong_output(self, output: object) -> str | None:
        try:
            if self.is_init:
                parse_init_output(output)
            else:
                parse_task_output(output)
        except InvalidTaskOutput as error:
            return f"The task ended well, but its output breaks the task contract: {error}"
        return None


def _end_columns(attempt: int, record: Mapping[str, Any]) -> Columns:
    columns = {
        "error": _plain(record.get("message") or "") or None,
        "problem": record.get("problem"),
        "exit_code": record.get("exit_code"),
        "signal": record.get("signal"),
        "ended": record.get("ended"),
        "peak_memory": record.get("peak_memory"),
        "cpu_seconds": record.get("cpu_seconds"),
        "output": record.get("output"),
    }
    if record.get("problem") == "worker_died":
        # A later attempt says so, which knows neither when and where the unit ran, nor its log.
        return columns
    log = record.get("log")
    return {
        **columns,
        "started": record.get("started"),
        "node": record.get("node"),
        "log": None
        if log is None
        else {
            "attempt": attempt,
            "segment": log[0],
            "offset": log[1],
            "length": log[2],
            "dropped": record.get("log_dropped") or 0,
        },
    }


def _plain(text: str) -> str:
    """A text without what steers terminals, such as the colours of a traceback."""
    return _CONTROL.sub("", without_colors(text))


def _mode_in_words(record: Mapping[str, Any]) -> str:
    if record["warm"]:
        return (
            f"warm: units are forked from a process that imported {record.get('modules', 0)} "
            f"modules in {record.get('seconds', 0.0):.1f} s"
        )
    return f"cold: {record.get('reason') or 'each unit is a process of its own'}"

"""Activities: what is done to task groups, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from fractal_jupyter.display.page import (
    Column,
    Note,
    Page,
    Row,
    Span,
    Table,
    cell,
    clipped,
    pill,
    status_cell,
)
from fractal_jupyter.display.words import counted, duration, moment, number
from fractal_jupyter.store.records import ActivityRecord

LOG_LINES = 40


def activity_page(record: ActivityRecord) -> Page:
    """One activity, with the end of its log."""
    lines = record.log.splitlines()
    left_out = len(lines) - LOG_LINES
    title = f"Log (without its first {number(left_out)} lines)" if left_out > 0 else "Log"
    log = Note(title=title, text="\n".join(lines[-LOG_LINES:]), look="code")
    return Page(
        title=f"{record.action} {record.subject}",
        pill=pill(record.status),
        facts=(Span(f"activity {record.id}"), Span(moment(record.created)), *_took(record)),
        blocks=(
            *((Note(text=record.error, tone="bad"),) if record.error else ()),
            *((log,) if lines else ()),
        ),
    )


def _took(record: ActivityRecord) -> tuple[Span, ...]:
    if record.ended is None:
        return ()
    return (Span(f"took {duration(record.ended - record.created)}"),)


def activities_page(records: Sequence[ActivityRecord]) -> Page:
    """Several activities."""
    shown, left_out = clipped(records, head=100)
    return Page(
        title=counted(len(records), "activity", "activities"),
        blocks=(
            Table(
                columns=(
                    Column(title="Id", right=True),
                    Column(title="Action"),
                    Column(title="What", grows=True),
                    Column(title="Status"),
                    Column(title="Begun", line=True),
                    Column(title="Took", right=True),
                ),
                rows=tuple(_row(record) for record in shown),
                gap_after=len(shown),
                gap=f"{number(left_out)} more" if left_out else "",
                empty="Nothing was done yet.",
            ),
        ),
    )


def _row(record: ActivityRecord) -> Row:
    took = "" if record.ended is None else duration(record.ended - record.created)
    return (
        cell(record.id, tone="soft"),
        cell(record.action, look="strong"),
        cell(record.subject, note=(record.error or "").partition("\n")[0]),
        status_cell(record.status),
        cell(moment(record.created), tone="soft"),
        cell(took),
    )

"""The units of a job."""

from __future__ import annotations

import platform
import signal
from collections import Counter
from collections.abc import Mapping, Sequence

from fractal_jupyter.display.messages import taken_apart
from fractal_jupyter.display.page import (
    STATUS_TONES,
    Cell,
    Column,
    Hint,
    Look,
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
from fractal_jupyter.display.words import (
    counted,
    document_text,
    duration,
    moment,
    number,
    shorten,
    size,
)
from fractal_jupyter.store.records import UnitRecord

HEAD, TAIL = 20, 5
MB = 1_000_000


def units_page(
    units: Sequence[UnitRecord], *, asked_mb: Mapping[tuple[int, str], int] | None = None
) -> Page:
    """The units of a job, or some of them.

    Args:
        units: The units.
        asked_mb: How much memory was asked for a unit, in MB as SLURM counts them, by step and
            phase.
    """
    asked = asked_mb or {}
    shown, left_out = clipped(units, head=HEAD, tail=TAIL)
    counts = Counter(unit.status for unit in units)
    prefix = _folder(units)
    end = HEAD + left_out
    columns = _columns(shown)
    return Page(
        title=counted(len(units), "unit"),
        facts=(
            *(
                Span(f"{number(count)} {status}", STATUS_TONES.get(status, ""))
                for status, count in counts.most_common()
            ),
            *((Span(f"images below {prefix}", "", "path"),) if prefix else ()),
        ),
        blocks=(
            Table(
                columns=columns,
                rows=tuple(
                    _row(unit, prefix, columns, asked.get((unit.step, unit.phase)))
                    for unit in shown
                ),
                gap_after=HEAD,
                gap=f"{number(left_out)} more; [{HEAD}:{end}] of this list shows them"
                if left_out
                else "",
                empty="No such units.",
            ),
        ),
    )


def unit_page(unit: UnitRecord) -> Page:
    """One unit: all that is known of it, but where its log is."""
    took = unit.ended - unit.started if unit.ended and unit.started else None
    known: dict[str, tuple[str, Look]] = {
        "image": (unit.zarr_url or "the whole dataset", "path" if unit.zarr_url else ""),
        "step": (f"{unit.step}, {unit.phase}", ""),
        "began": (moment(unit.started) if unit.started else "", ""),
        "took": ("" if took is None else duration(took), ""),
        "CPU time": ("" if unit.cpu_seconds is None else duration(unit.cpu_seconds), ""),
        "peak memory": ("" if unit.peak_memory is None else size(unit.peak_memory), ""),
        "node": (unit.node or "", ""),
        "ended with": (_how(unit), ""),
    }
    log = Hint(code=f"job.log(unit={unit.index})", words="shows what it wrote")
    return Page(
        title=f"Unit {unit.index} of job {unit.job_id}",
        pill=pill(unit.status),
        blocks=(
            *((_failure(unit),) if unit.error or unit.problem else ()),
            Table(
                columns=(Column(), Column(grows=True)),
                rows=tuple(
                    (cell(name, tone="soft"), cell(text, look=look))
                    for name, (text, look) in known.items()
                    if text
                ),
            ),
            *((_document("Arguments of its own", unit.args),) if unit.args else ()),
            *((_document("What it gave back", unit.output),) if unit.output else ()),
            *((Note(hints=(log,)),) if unit.started else ()),
        ),
    )


def _failure(unit: UnitRecord) -> Note:
    problem = unit.problem if unit.problem != unit.error else None
    return Note(
        text="\n".join(filter(None, (unit.error, problem))),
        tone="bad" if unit.status == "failed" else "warn",
    )


def _document(title: str, value: object) -> Note:
    return Note(title=title, text=document_text(value), look="code")


_COLUMNS = (
    Column(title="Unit", right=True),
    Column(title="Step", right=True),
    Column(title="Image", grows=True),
    Column(title="Status"),
    Column(title="Took", right=True),
    Column(title="CPU time", right=True),
    Column(title="Peak memory", right=True),
    Column(title="Node", line=True),
    Column(title="Error", grows=True, below=True),
)


def _columns(units: Sequence[UnitRecord]) -> tuple[Column, ...]:
    """All columns but those that would say nothing."""
    idle = {
        "Step": len({unit.step for unit in units}) < 2,
        "Took": not any(unit.ended and unit.started for unit in units),
        "CPU time": all(unit.cpu_seconds is None for unit in units),
        "Peak memory": all(unit.peak_memory is None for unit in units),
        # Where all ran on this machine.
        "Node": {unit.node for unit in units if unit.node} <= {platform.node()},
        "Error": not any(unit.error or unit.problem for unit in units),
    }
    return tuple(column for column in _COLUMNS if not idle.get(column.title, False))


def _row(unit: UnitRecord, prefix: str, columns: Sequence[Column], asked_mb: int | None) -> Row:
    took = unit.ended - unit.started if unit.ended and unit.started else None
    cells = {
        "Unit": cell(unit.index),
        "Step": cell(unit.step),
        "Image": _image(unit, prefix),
        "Status": status_cell(unit.status),
        "Took": cell("" if took is None else duration(took)),
        "CPU time": cell("" if unit.cpu_seconds is None else duration(unit.cpu_seconds)),
        "Peak memory": cell(_memory(unit, asked_mb)),
        "Node": cell(unit.node, tone="soft"),
        "Error": cell(shorten(str(taken_apart(unit.error or "")), 220), note=_how(unit)),
    }
    return tuple(cells[column.title] for column in columns)


def _image(unit: UnitRecord, prefix: str) -> Cell:
    if not unit.zarr_url:
        return cell("the whole dataset", tone="soft")
    return cell(unit.zarr_url.removeprefix(prefix), look="path")


def _memory(unit: UnitRecord, asked_mb: int | None) -> str:
    if unit.peak_memory is None:
        return ""
    if asked_mb is None:
        return size(unit.peak_memory)
    return f"{number(round(unit.peak_memory / MB))} / {number(asked_mb)} MB"


def _how(unit: UnitRecord) -> str:
    """How a unit that did not end well ended, beside its message."""
    if unit.signal:
        try:
            return f"killed by {signal.Signals(unit.signal).name}"
        except ValueError:
            return f"killed by signal {unit.signal}"
    return f"exit status {unit.exit_code}" if unit.exit_code else ""


def _folder(units: Sequence[UnitRecord]) -> str:
    """The folder that all images are below, with a slash; empty when there is none."""
    folders = [unit.zarr_url.split("/")[:-1] for unit in units if unit.zarr_url]
    if len(folders) < 2:
        return ""
    common = []
    # What the first and the last in order have in common, all have.
    for one, other in zip(min(folders), max(folders), strict=False):
        if one != other:
            break
        common.append(one)
    return "/".join(common) + "/" if any(common) else ""

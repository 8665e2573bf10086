"""Task groups: what is installed, where, and what it takes on the disk."""

from __future__ import annotations

from collections.abc import Sequence

from fractal_jupyter.display.page import (
    Cell,
    Column,
    Hint,
    Note,
    Page,
    Row,
    Span,
    Table,
    cell,
    clipped,
)
from fractal_jupyter.display.tasks import package_name, tasks_table
from fractal_jupyter.display.words import counted, moment, number, size
from fractal_jupyter.runner.activities.cleaning import Unused
from fractal_jupyter.store.records import TaskGroupRecord, TaskRecord


def task_group_page(record: TaskGroupRecord, tasks: Sequence[TaskRecord]) -> Page:
    """One task group, with its tasks."""
    return Page(
        title=package_name(record),
        pill=None if record.active else Span("deactivated", "warn", "pill"),
        facts=(
            Span(counted(len(tasks), "task")),
            Span(f"Python {record.python_version}"),
            *([Span(_size_in_words(record))] if record.size_bytes and record.active else []),
            Span(f"collected {moment(record.created)}"),
            Span(record.folder, "", "path"),
        ),
        blocks=(
            tasks_table(tasks),
            *([] if record.active else [Note(hints=(_REACTIVATE,))]),
            *([_freeze(record.freeze)] if record.freeze else []),
        ),
    )


def task_groups_page(groups: Sequence[TaskGroupRecord]) -> Page:
    """Several task groups."""
    shown, left_out = clipped(groups, head=100)
    return Page(
        title=counted(len(groups), "task group"),
        blocks=(
            Table(
                columns=(
                    Column(title="Package", grows=True),
                    Column(title="Version"),
                    Column(title="Python"),
                    Column(title="From"),
                    Column(title="Size", right=True),
                    Column(title="Collected", line=True),
                    Column(title="Folder", grows=True, below=True),
                ),
                rows=tuple(_group_row(group) for group in shown),
                gap_after=len(shown),
                gap=f"{number(left_out)} more" if left_out else "",
                empty='No task packages yet: fractal.collect("fractal-tasks-core") installs one.',
            ),
        ),
    )


def _group_row(group: TaskGroupRecord) -> Row:
    return (
        Cell(
            spans=(
                Span(group.package, "", "strong"),
                *(() if group.active else (Span("deactivated", "warn", "pill"),)),
            ),
            joint=" ",
        ),
        cell(group.version),
        cell(group.python_version),
        cell(group.origin, tone="soft", note=_asked_for(group)),
        _size_cell(group),
        cell(moment(group.created), tone="soft"),
        cell(group.folder, look="path", tone="soft"),
    )


def _asked_for(group: TaskGroupRecord) -> str:
    """What tells task groups of the same version apart: extras, pins, and who has built it."""
    asked = group.request
    pins = {**asked.get("pins_before", {}), **asked.get("pins_after", {})}
    return ", ".join(
        [
            *(f"[{extra}]" for extra in asked.get("extras", ())),
            *(f"{name}=={version}" for name, version in pins.items()),
            *(["by pip"] if asked.get("uv") is False else []),
        ]
    )


_REACTIVATE = Hint(code="group.reactivate()", words="builds its environment again, exactly")


def _size_cell(group: TaskGroupRecord) -> Cell:
    if not group.size_bytes or not group.active:
        return cell("")
    own = group.own_bytes
    return cell(size(group.size_bytes), note="" if own is None else f"{size(own)} unshared")


def _size_in_words(group: TaskGroupRecord) -> str:
    assert group.size_bytes is not None
    own = "" if group.own_bytes is None else f" ({size(group.own_bytes)} unshared)"
    return f"{size(group.size_bytes)}{own}"


def _freeze(freeze: Sequence[str]) -> Note:
    return Note(
        title=f"What is installed ({counted(len(freeze), 'package')})",
        text="\n".join(freeze),
        look="code",
        folded=True,
        in_text=False,
    )


def unused_page(
    unused: Sequence[Unused],
    *,
    saved: int,
    removed: bool,
    unused_for: float | None = None,
    profile: str | None = None,
) -> Page:
    """What of the environments on the disk nothing uses.

    Args:
        unused: What that is.
        saved: What the environments would take in addition if they shared no files, in bytes.
        removed: Whether it was removed.
        unused_for: What was said of how long task groups were not used, if it was.
        profile: The profile that was named, if one was.
    """
    shown, left_out = clipped(unused, head=100)
    ours = [each for each in unused if each.kind != "unknown"]
    total = size(sum(each.frees for each in ours))
    said = "" if unused_for is None else f"unused_for={unused_for:g}, "
    said += "" if profile is None else f"profile={profile!r}, "
    call = f"fractal.task_groups.clean({said}dry_run=False)"
    hint = Hint(code=call, words=f"frees {total}")
    facts = (Span(f"environments share {size(saved)}"),) if saved else ()
    return Page(
        title=f"{counted(len(ours), 'thing')} that nothing uses, {total}",
        pill=Span("removed" if removed else "nothing was removed", "soft", "pill"),
        facts=facts,
        blocks=(
            Table(
                columns=(
                    Column(title="Kind"),
                    Column(title="What", grows=True),
                    Column(title="Resource", line=True),
                    Column(title="Frees", right=True),
                    Column(title="Folder", grows=True, below=True),
                ),
                rows=tuple(_unused_row(each, removed=removed) for each in shown),
                gap_after=len(shown),
                gap=f"{number(left_out)} more" if left_out else "",
                empty="Everything on the disk is used.",
            ),
            *([Note(hints=(hint,))] if ours and not removed else []),
        ),
    )


def _unused_row(unused: Unused, *, removed: bool) -> Row:
    stays = unused.kind == "unknown"
    note = "is never removed" if stays else ""
    if unused.kind == "task group":
        note = "was deactivated" if removed else "is deactivated, and can be built again"
    return (
        cell(unused.kind, tone="soft"),
        cell(unused.what, look="strong", note=note),
        cell(unused.resource),
        cell(size(unused.frees)),
        cell(unused.folder, look="path", tone="soft"),
    )

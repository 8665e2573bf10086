"""Tasks and task groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fractal_jupyter.display.arguments import arguments_table
from fractal_jupyter.display.page import (
    Block,
    Cell,
    Column,
    Hint,
    Note,
    Page,
    Row,
    Span,
    Table,
    cell,
    chips,
    clipped,
)
from fractal_jupyter.display.words import (
    counted,
    moment,
    number,
    shorten,
    size,
    types_text,
    value_text,
)
from fractal_jupyter.store.records import TaskGroupRecord, TaskRecord

MOST_TASKS = 200
TYPES_IN_WORDS = {
    "parallel": "runs for each image",
    "non_parallel": "runs once for all images",
    "compound": "runs once, then for each part of the work",
    "converter_non_parallel": "makes images, runs once",
    "converter_compound": "makes images: runs once, then for each part of the work",
}


def tasks_page(tasks: Sequence[TaskRecord], groups: Mapping[int, TaskGroupRecord]) -> Page:
    """Several tasks, a table for each task group.

    Args:
        tasks: The tasks.
        groups: Their task groups, by id.
    """
    by_group: dict[int, list[TaskRecord]] = {}
    for task in tasks:
        by_group.setdefault(task.task_group_id, []).append(task)
    names = {key: _package(groups.get(key)) for key in by_group}
    one = len(by_group) == 1
    return Page(
        title=counted(len(tasks), "task"),
        facts=tuple(Span(name) for name in names.values()) if one else (),
        blocks=(
            *(
                _tasks_table(some, title="" if one else names[key])
                for key, some in by_group.items()
            ),
            Note(hints=(_DETAILS,)) if tasks else _tasks_table(()),
        ),
    )


_DETAILS = Hint(code="fractal.tasks.get(name)", words="shows what arguments a task takes")


def task_page(record: TaskRecord, group: TaskGroupRecord) -> Page:
    """One task: what it is for, and what arguments it takes."""
    entry = record.entry
    kind = str(entry.get("type"))
    facts = [Span(_package(group)), Span(kind), Span(TYPES_IN_WORDS.get(kind, ""))]
    facts += [Span(str(entry[name])) for name in ("category", "modality") if entry.get(name)]
    link = str(entry.get("docs_link") or "")
    if link:
        facts.append(Span("documentation", link=link))
    return Page(
        title=record.name,
        facts=tuple(fact for fact in facts if fact.text),
        blocks=(*_about(entry), *_arguments(entry)),
    )


def task_group_page(record: TaskGroupRecord, tasks: Sequence[TaskRecord]) -> Page:
    """One task group, with its tasks."""
    return Page(
        title=_package(record),
        pill=None if record.active else Span("deactivated", "warn", "pill"),
        facts=(
            Span(counted(len(tasks), "task")),
            Span(f"Python {record.python_version}"),
            *([Span(size(record.size_bytes))] if record.size_bytes else []),
            Span(f"collected {moment(record.created)}"),
            Span(record.folder, "", "path"),
        ),
        blocks=(
            _tasks_table(tasks),
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
                    Column(title="Folder", grows=True),
                ),
                rows=tuple(_group_row(group) for group in shown),
                gap_after=len(shown),
                gap=f"{number(left_out)} more" if left_out else "",
                empty='No task packages yet: fractal.collect("fractal-tasks-core") installs one.',
            ),
        ),
    )


def _package(group: TaskGroupRecord | None) -> str:
    return "" if group is None else " ".join(filter(None, (group.package, group.version)))


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
        cell(group.origin, tone="soft"),
        cell(size(group.size_bytes) if group.size_bytes else ""),
        cell(moment(group.created), tone="soft"),
        cell(group.folder, look="path", tone="soft"),
    )


def _tasks_table(tasks: Sequence[TaskRecord], *, title: str = "") -> Table:
    shown, left_out = clipped(tasks, head=MOST_TASKS)
    return Table(
        title=title,
        columns=(
            Column(title="Task"),
            Column(title="Type"),
            Column(title="Category", line=True),
            Column(title="Images", grows=True),
            Column(title="Tags", grows=True),
        ),
        rows=tuple(_task_row(task) for task in shown),
        gap_after=len(shown),
        gap=f"{number(left_out)} more" if left_out else "",
        empty='No tasks yet: fractal.collect("fractal-tasks-core") installs some.',
    )


def _task_row(task: TaskRecord) -> Row:
    entry = task.entry
    tags = entry.get("tags") or ()
    category = " · ".join(str(entry[name]) for name in ("category", "modality") if entry.get(name))
    return (
        cell(task.name, look="strong"),
        cell(entry.get("type")),
        cell(category),
        cell(_types(entry)),
        chips(shorten(str(tag), 40) for tag in list(tags)[:8]),
    )


def _types(entry: Mapping[str, Any]) -> str:
    """What images a task takes and gives, by their types: `is_3D → not is_3D`."""
    taken = types_text(entry.get("input_types") or {})
    given = types_text(entry.get("output_types") or {})
    return f"{taken or 'any'} → {given or 'same'}" if taken or given else ""


def _about(entry: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    tags = [str(tag) for tag in entry.get("tags") or ()]
    types = _types(entry)
    needs = _needs(entry)
    rows = [
        (cell("Images", tone="soft"), cell(types)) if types else None,
        (cell("Tags", tone="soft"), chips(tags)) if tags else None,
        (cell("Needs", tone="soft"), cell(needs)) if needs else None,
    ]
    shown = tuple(row for row in rows if row is not None)
    if shown:
        blocks.append(Table(columns=(Column(), Column(grows=True)), rows=shown))
    return [*blocks, *_sections(shorten(str(entry.get("docs_info") or ""), 4_000))]


def _needs(entry: Mapping[str, Any]) -> str:
    """What the units of a task need by default: `parallel: cpus_per_task 1, mem 4000`."""
    parts = []
    for part in ("non_parallel", "parallel"):
        meta = entry.get(f"meta_{part}")
        if isinstance(meta, dict) and meta:
            listed = ", ".join(f"{name} {value_text(value, 30)}" for name, value in meta.items())
            parts.append(f"{part}: {listed}" if entry.get("executable_non_parallel") else listed)
    return "; ".join(parts)


def _sections(markdown: str) -> list[Note]:
    """Markdown as plain paragraphs under their headings, without the marks for bold and code."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    joins = False
    for raw in markdown.replace("**", "").replace("`", "").splitlines():
        line = raw.strip()
        lines = sections[-1][1]
        if line.startswith("#"):
            sections.append((line.lstrip("#").strip(), []))
        elif line.startswith(("- ", "* ")):
            lines.append(f"• {line[2:]}")
        elif line and joins:
            # A line of Markdown goes on where the last one ended.
            lines[-1] += f" {line}"
        elif line or lines:
            lines.append(line)
        joins = bool(line) and not line.startswith("#")
    return [
        Note(title=title, text="\n".join(lines).strip())
        for title, lines in sections
        if title or lines
    ]


def _arguments(entry: Mapping[str, Any]) -> list[Table]:
    once, each = entry.get("executable_non_parallel"), entry.get("executable_parallel")
    tables = []
    if once:
        title = "Arguments of the part that runs once (args_non_parallel)" if each else "Arguments"
        tables.append(arguments_table(entry.get("args_schema_non_parallel"), title=title))
    if each:
        title = (
            "Arguments of the part that runs many times (args_parallel)" if once else "Arguments"
        )
        tables.append(arguments_table(entry.get("args_schema_parallel"), title=title))
    return tables


def _freeze(freeze: Sequence[str]) -> Note:
    return Note(
        title=f"What is installed ({counted(len(freeze), 'package')})",
        text="\n".join(freeze),
        look="code",
        folded=True,
        in_text=False,
    )

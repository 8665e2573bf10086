"""Tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fractal_jupyter.display.arguments import arguments_table
from fractal_jupyter.display.page import (
    Block,
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
from fractal_jupyter.display.words import counted, number, shorten, types_text, value_text
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
    names = {key: package_name(groups.get(key)) for key in by_group}
    one = len(by_group) == 1
    return Page(
        title=counted(len(tasks), "task"),
        facts=tuple(Span(name) for name in names.values()) if one else (),
        blocks=(
            *(tasks_table(some, title="" if one else names[key]) for key, some in by_group.items()),
            Note(hints=(_DETAILS,)) if tasks else tasks_table(()),
        ),
    )


def found_tasks_page(tasks: Sequence[TaskRecord], groups: Mapping[int, TaskGroupRecord]) -> Page:
    """Tasks that were searched for: one table, the best first.

    Args:
        tasks: The tasks.
        groups: Their task groups, by id.
    """
    shown, left_out = clipped(tasks, head=MOST_TASKS)
    table = Table(
        columns=(
            Column(title="Task"),
            Column(title="Version", line=True),
            Column(title="Package", grows=True),
            Column(title="Type"),
            Column(title="Category", grows=True),
            Column(title="Tags", grows=True),
        ),
        rows=tuple(_found_row(task, groups.get(task.task_group_id)) for task in shown),
        gap_after=len(shown),
        gap=f"{number(left_out)} more" if left_out else "",
        empty="No task fits. fractal.tasks.list() shows all of them.",
    )
    return Page(
        title=counted(len(tasks), "task"),
        blocks=(table, *([Note(hints=(_DETAILS,))] if tasks else [])),
    )


_DETAILS = Hint(code="fractal.tasks.get(name)", words="shows what arguments a task takes")


def task_page(record: TaskRecord, group: TaskGroupRecord, *, versions: Sequence[str] = ()) -> Page:
    """One task: what it is for, and what arguments it takes.

    Args:
        record: The task.
        group: Its task group.
        versions: The versions of its package that have it.
    """
    entry = record.entry
    kind = str(entry.get("type"))
    facts = [Span(package_name(group)), Span(kind), Span(TYPES_IN_WORDS.get(kind, ""))]
    facts += [Span(str(entry[name])) for name in ("category", "modality") if entry.get(name)]
    link = str(entry.get("docs_link") or "")
    if link:
        facts.append(Span("documentation", link=link))
    return Page(
        title=record.name,
        facts=tuple(fact for fact in facts if fact.text),
        blocks=(*_about(entry, _versions(versions, group)), *_arguments(entry)),
    )


def package_name(group: TaskGroupRecord | None) -> str:
    """What a task group is called: its package and its version."""
    return "" if group is None else " ".join(filter(None, (group.package, group.version)))


def tasks_table(tasks: Sequence[TaskRecord], *, title: str = "") -> Table:
    """A table of tasks of one task group."""
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


def _found_row(task: TaskRecord, group: TaskGroupRecord | None) -> Row:
    name, kind, category, _, tags = _task_row(task)
    package, version = (group.package, group.version) if group else (None, None)
    return (name, cell(version), cell(package, tone="soft"), kind, category, tags)


def _types(entry: Mapping[str, Any]) -> str:
    """What images a task takes and gives, by their types: `is_3D → not is_3D`."""
    taken = types_text(entry.get("input_types") or {})
    given = types_text(entry.get("output_types") or {})
    return f"{taken or 'any'} → {given or 'same'}" if taken or given else ""


def _versions(versions: Sequence[str], group: TaskGroupRecord) -> str:
    """The versions that there are, if there are several: `2.1.0 (this one), 2.0.2`."""
    if len(versions) < 2:
        return ""
    return ", ".join(f"{one} (this one)" if one == group.version else one for one in versions)


def _about(entry: Mapping[str, Any], versions: str) -> list[Block]:
    blocks: list[Block] = []
    tags = [str(tag) for tag in entry.get("tags") or ()]
    types = _types(entry)
    needs = _needs(entry)
    rows = [
        (cell("Images", tone="soft"), cell(types)) if types else None,
        (cell("Tags", tone="soft"), chips(tags)) if tags else None,
        (cell("Versions", tone="soft"), cell(versions)) if versions else None,
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

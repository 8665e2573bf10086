"""Resources, profiles, and what checking them has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fractal_jupyter.display.page import Cell, Column, Page, Row, Span, Table, cell
from fractal_jupyter.display.words import counted, value_text
from fractal_jupyter.store.records import ProfileRecord, ResourceRecord

if TYPE_CHECKING:
    from fractal_jupyter.runner.checks import Check

TYPES_IN_WORDS = {
    "local": "this machine",
    "slurm_sudo": "SLURM cluster, through sudo",
    "slurm_ssh": "SLURM cluster, through SSH",
}
DEEPEST = 4


def resource_page(record: ResourceRecord) -> Page:
    """One resource: its document, field by field."""
    kind = str(record.document.get("type"))
    return Page(
        title=f"Resource {record.name}",
        facts=(
            Span(TYPES_IN_WORDS.get(kind, kind)),
            *([Span(f"host {record.document['host']}")] if record.document.get("host") else []),
            Span("warm units" if record.warm else "cold units: each process does its own imports"),
            *([Span(f"the administrator's, from {record.source}")] if record.source else []),
        ),
        blocks=(_document_table(record.document),),
    )


def resources_page(records: Sequence[ResourceRecord]) -> Page:
    """Several resources."""
    owners = _has_owners(records)
    return Page(
        title=counted(len(records), "resource"),
        blocks=(
            Table(
                columns=(
                    Column(title="Name", grows=True),
                    *([Column(title="Whose")] * owners),
                    Column(title="Where"),
                    Column(title="Python", line=True),
                    Column(title="Units at a time"),
                    Column(title="Folder of jobs", grows=True),
                    Column(title="Folder of tasks", grows=True),
                ),
                rows=tuple(_resource_row(record, owners=owners) for record in records),
                empty="No resources: fractal.resources.add(document) adds one.",
            ),
        ),
    )


def profiles_page(
    records: Sequence[ProfileRecord], resources: Mapping[int, ResourceRecord]
) -> Page:
    """Several profiles; `resources` has their resources by id."""
    owners = _has_owners(records)
    return Page(
        title=counted(len(records), "profile"),
        blocks=(
            Table(
                columns=(
                    Column(title="Name", grows=True),
                    *([Column(title="Whose")] * owners),
                    Column(title="Resource", grows=True),
                    Column(title="Where"),
                    Column(title="User"),
                    Column(title="Remote folders", grows=True),
                ),
                rows=tuple(_profile_row(record, resources, owners=owners) for record in records),
                empty="No profiles: fractal.profiles.add(document, resource=…) adds one.",
            ),
        ),
    )


def checks_page(checks: Sequence[Check]) -> Page:
    """What was tried on a resource, what was found, and the cure for what does not work."""
    wrong = sum(not check.ok for check in checks)
    some = any(check.note for check in checks)
    status = Span("all that was tried works" if some else "all is well", "good", "pill")
    if wrong:
        status = Span(counted(wrong, "problem"), "bad", "pill")
    return Page(
        title=counted(len(checks), "check"),
        pill=status,
        blocks=(
            Table(
                columns=(
                    Column(),
                    Column(),
                    Column(grows=True, wraps=True),
                    Column(grows=True, below=True),
                ),
                rows=tuple(
                    (
                        _mark(check),
                        cell(check.subject, look="strong"),
                        cell(check.found),
                        cell(f"→ {check.cure}" if check.cure else ""),
                    )
                    for check in checks
                ),
                empty="Nothing was checked.",
            ),
        ),
    )


def _mark(check: Check) -> Cell:
    if check.note:
        return cell("·", tone="soft")
    return cell("✓", tone="good") if check.ok else cell("✗", tone="bad")


def _resource_row(record: ResourceRecord, *, owners: bool) -> Row:
    document = record.document
    kind = str(document.get("type"))
    closed = bool(document.get("prevent_new_submissions"))
    return (
        Cell(
            spans=(
                Span(record.name, "", "strong"),
                *((Span("takes no new jobs", "warn", "pill"),) if closed else ()),
            ),
            joint=" ",
        ),
        *_owner(record, shown=owners),
        cell(TYPES_IN_WORDS.get(kind, kind), note=str(document.get("host") or "")),
        cell(_pythons(document)),
        cell(_side_by_side(document)),
        cell(document.get("jobs_local_dir"), look="path", tone="soft"),
        cell(document.get("tasks_local_dir"), look="path", tone="soft"),
    )


def _has_owners(records: Sequence[ResourceRecord] | Sequence[ProfileRecord]) -> bool:
    """Whether some come from an administrator: then a column says which."""
    return any(record.source for record in records)


def _owner(record: ResourceRecord | ProfileRecord, *, shown: bool) -> Row:
    return (cell("administrator" if record.source else "you", tone="soft"),) if shown else ()


def _pythons(document: Mapping[str, Any]) -> str:
    config = document.get("tasks_python_config")
    versions = config.get("versions") if isinstance(config, dict) else None
    return ", ".join(map(str, versions)) if isinstance(versions, dict) else ""


def _side_by_side(document: Mapping[str, Any]) -> str:
    config = document.get("jobs_runner_config")
    if document.get("type") != "local" or not isinstance(config, dict):
        return "as SLURM allows"
    limit = config.get("parallel_tasks_per_job")
    return "one per processor" if limit is None else str(limit)


def _profile_row(
    record: ProfileRecord, resources: Mapping[int, ResourceRecord], *, owners: bool
) -> Row:
    document = record.document
    resource = resources.get(record.resource_id)
    kind = str(document.get("resource_type"))
    remote = [document[n] for n in ("jobs_remote_dir", "tasks_remote_dir") if document.get(n)]
    return (
        cell(record.name, look="strong"),
        *_owner(record, shown=owners),
        cell(resource.name if resource else ""),
        cell(TYPES_IN_WORDS.get(kind, kind)),
        cell(document.get("username")),
        cell(", ".join(map(str, remote)), look="path", tone="soft"),
    )


def _document_table(document: Mapping[str, Any]) -> Table:
    shown = {k: v for k, v in document.items() if k not in ("type", "name")}
    return Table(
        columns=(Column(), Column(grows=True)),
        rows=tuple(_fields(shown, depth=0)),
        empty="Nothing but a name.",
    )


def _fields(document: Mapping[str, Any], *, depth: int) -> Iterator[Row]:
    for name, value in document.items():
        label = Cell(spans=(Span(str(name), "soft", "code"),), indent=depth)
        if isinstance(value, dict) and value and depth < DEEPEST:
            yield (label, cell())
            yield from _fields(value, depth=depth + 1)
        elif value is None or value == {}:
            yield (label, cell("none", tone="soft"))
        else:
            path = isinstance(value, str) and value.startswith("/")
            yield (label, cell(value_text(value, 200), look="path" if path else ""))

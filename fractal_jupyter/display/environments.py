"""What an environment consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fractal_jupyter.display.page import Block, Column, Note, Page, Row, Span, Table, cell, clipped
from fractal_jupyter.display.words import counted, number
from fractal_jupyter.environments.lock import Distribution, Lock

MOST_ROWS = 500


def lock_page(lock: Lock) -> Page:
    """Everything that is installed in an environment, without its hashes."""
    return Page(
        title=f"Lock of {counted(len(lock.distributions), 'package')}",
        facts=_facts(lock),
        blocks=(_packages(lock),),
    )


def job_environment_page(
    *,
    package: str,
    version: str | None,
    origin: str,
    lock: Lock | None,
    source: Mapping[str, Any] | None,
) -> Page:
    """What a step of a job ran in; see `client.environments.JobEnvironment`."""
    known: tuple[Block, ...] = (Note(text="What was installed is not known.", tone="soft"),)
    if lock is not None:
        known = (_packages(lock),)
    return Page(
        title=" ".join(filter(None, (package, version))),
        facts=(
            Span(f"from {origin}"),
            *_source(source or {}),
            *(() if lock is None else (Span(counted(len(lock.distributions), "package")),)),
            *(() if lock is None else _facts(lock)),
        ),
        blocks=known,
    )


def _source(source: Mapping[str, Any]) -> tuple[Span, ...]:
    """Which state of a source folder it was."""
    return (
        *((Span(f"commit {source['commit']}", "", "path"),) if source.get("commit") else ()),
        *((Span("with changes since", "warn"),) if source.get("dirty") else ()),
        *((Span(f"source {source['digest']}", "", "path"),) if source.get("digest") else ()),
    )


def _facts(lock: Lock) -> tuple[Span, ...]:
    return (
        Span(f"Python {lock.python}"),
        Span(lock.platform),
        *((Span("made by pixi"),) if lock.pixi is not None else ()),
        Span(f"digest {lock.digest[:12]}…"),
    )


def _packages(lock: Lock) -> Table:
    shown, left_out = clipped(lock.distributions, head=MOST_ROWS)
    elsewhere = any(each.url for each in shown)
    return Table(
        columns=(
            Column(title="Package", grows=True),
            Column(title="Version", line=True),
            *([Column(title="From", grows=True)] * elsewhere),
        ),
        rows=tuple(_row(each, elsewhere=elsewhere) for each in shown),
        gap_after=MOST_ROWS,
        gap=f"{number(left_out)} more" if left_out else "",
        empty="Nothing is installed.",
    )


def _row(each: Distribution, *, elsewhere: bool) -> Row:
    where = cell(each.url, look="path", tone="soft", note="runs from there" * each.editable)
    return (cell(each.name, look="strong"), cell(each.version), *((where,) if elsewhere else ()))

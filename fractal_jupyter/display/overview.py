"""What there is in a store, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fractal_jupyter.display.page import STATUS_TONES, Cell, Column, Page, Row, Span, Table, cell
from fractal_jupyter.display.words import number


def fractal_page(
    *,
    url: str,
    profile: str | None,
    profiles: Sequence[str],
    counts: Mapping[str, int],
    jobs: Mapping[str, int],
) -> Page:
    """A `Fractal`.

    Args:
        url: The URL of the store, as it may be shown.
        profile: The profile in use.
        profiles: The names of all.
        counts: How many there are of things, by the name of the attribute that lists them.
        jobs: How many jobs of this user there are, by status.
    """
    in_use = Span(f"profile {profile}")
    if profile is None:
        in_use = Span("no profile in use: fractal.use(…) chooses one", "warn")
    return Page(
        title="Fractal",
        facts=(in_use, Span(url, "", "path")),
        blocks=(
            Table(
                columns=(Column(title="What"), Column(title="How many", right=True), Column()),
                rows=(
                    *(_row(name, count) for name, count in counts.items()),
                    _row("profiles", len(profiles), Cell(spans=_names(profiles))),
                    _row("jobs", sum(jobs.values()), Cell(spans=_statuses(jobs))),
                ),
            ),
        ),
    )


def _row(name: str, count: int, more: Cell | None = None) -> Row:
    return (cell(f"fractal.{name}", look="code"), cell(number(count)), more or cell())


def _names(names: Sequence[str], most: int = 5) -> tuple[Span, ...]:
    left_out = len(names) - most
    more = (Span(f"and {number(left_out)} more"),) if left_out > 0 else ()
    return (*(Span(name, "soft") for name in names[:most]), *more)


def _statuses(jobs: Mapping[str, int]) -> tuple[Span, ...]:
    return tuple(
        Span(f"{number(count)} {status}", STATUS_TONES.get(status, ""))
        for status, count in jobs.items()
        if count
    )

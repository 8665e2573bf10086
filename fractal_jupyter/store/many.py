"""A hundred thousand rows at once, which SQLAlchemy would spend more time on than the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

Conversions = list[tuple[int, Callable[[Any], Any]]]


def insert_many(
    connection: sa.Connection,
    table: sa.Table,
    names: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Insert rows, each with the values of the columns of these names."""
    if not rows:
        return
    if not connection.dialect.positional:  # PostgreSQL's driver sends few statements, not many rows
        parameters = [dict(zip(names, row, strict=True)) for row in rows]
        connection.execute(sa.insert(table), parameters)
        return
    statement, order, conversions = _positional_insert(connection.dialect, table, names)
    connection.exec_driver_sql(statement, list(_converted(rows, order, conversions)))


@lru_cache(maxsize=32)
def _positional_insert(
    dialect: sa.Dialect, table: sa.Table, names: tuple[str, ...]
) -> tuple[str, list[int], Conversions]:
    """The statement, which value of a row comes where in it, and what is made of some of them."""
    compiled = sa.insert(table).compile(dialect=dialect, column_keys=names)
    order = [names.index(name) for name in compiled.positiontup or ()]
    conversions: Conversions = [
        (place, convert)
        for place, name in enumerate(compiled.positiontup or ())
        for convert in [table.c[name].type.dialect_impl(dialect).bind_processor(dialect)]
        if convert is not None
    ]
    return str(compiled), order, conversions


def _converted(
    rows: Iterable[tuple[Any, ...]], order: list[int], conversions: Conversions
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        values = [row[place] for place in order]
        for place, convert in conversions:
            values[place] = convert(values[place])
        yield tuple(values)


class Repeating:
    """Reads JSON objects of plain values; many are the same as the one before.

    Each is an object of its own, so that who changes one does not change others.
    """

    def __init__(self, decode: Callable[[str], Mapping[str, Any]]) -> None:
        """Start with none; `decode` reads one."""
        self._decode = decode
        self._text = ""
        self._last: Mapping[str, Any] = {}

    def __call__(self, text: str) -> dict[str, Any]:
        """Read one."""
        if text != self._text:
            self._last, self._text = self._decode(text), text
        return dict(self._last)

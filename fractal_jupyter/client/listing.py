"""Lists, and single things, that are worth looking at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Shown:
    """Something whose `repr` is one line, and that terminals of IPython show in full."""

    def _line(self) -> str:
        """What it is, in one line."""
        raise NotImplementedError

    def _text(self) -> str:
        """All of it, as lines of text."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._line()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002
        """What IPython calls; within a list or the like one line is enough."""
        printer.text(self._text() if len(printer.stack) < 2 else self._line())


class Listing(Sequence[T], Generic[T]):
    """An immutable sequence that shows itself as a table.

    Args:
        items: The items.
        html: Makes HTML of the items.
        text: Makes text of the items.
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        html: Callable[[Sequence[T]], str],
        text: Callable[[Sequence[T]], str],
    ) -> None:
        self._items = tuple(items)
        self._html = html
        self._text = text

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> Any:
        """The item at a position, or a part of the list as a list of the same kind."""
        if isinstance(index, slice):
            return Listing(self._items[index], html=self._html, text=self._text)
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str):
            return self._items == tuple(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return self._text(self._items)

    def _repr_html_(self) -> str:
        return self._html(self._items)

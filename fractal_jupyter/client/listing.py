"""What shows itself, as HTML in a notebook and as text elsewhere: lists, and single things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, overload

from fractal_jupyter.display.page import Page

T = TypeVar("T")


class Shown:
    """Something that shows itself as a page."""

    def _page(self) -> Page:
        """All of it."""
        raise NotImplementedError

    def _text(self) -> str:
        from fractal_jupyter.display.render_text import to_text

        return to_text(self._page())

    def __repr__(self) -> str:
        return self._text()

    def _repr_html_(self) -> str:
        from fractal_jupyter.display.render_html import to_html

        return to_html(self._page())


class Brief(Shown):
    """Something whose `repr` is one line; terminals of IPython, and notebooks, show all of it."""

    def _line(self) -> str:
        """What it is, in one line."""
        raise NotImplementedError

    def __repr__(self) -> str:
        from fractal_jupyter.printable import printable

        return printable(self._line())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002
        """What IPython calls; within a list or the like one line is enough."""
        printer.text(self._text() if len(printer.stack) < 2 else repr(self))


class Listing(Shown, Sequence[T], Generic[T]):
    """An immutable sequence that shows itself as a table.

    Args:
        items: The items.
        page: Makes a page of the items.
    """

    def __init__(self, items: Iterable[T], *, page: Callable[[Sequence[T]], Page]) -> None:
        self._items = tuple(items)
        self._page_of = page

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> Any:
        """The item at a position, or a part of the list as a list of the same kind."""
        if isinstance(index, slice):
            return Listing(self._items[index], page=self._page_of)
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str):
            return self._items == tuple(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _page(self) -> Page:
        return self._page_of(self._items)

"""What all answers are, and lists of them."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]


class Answer(BaseModel):
    """What clients get."""

    model_config = ConfigDict(from_attributes=True, frozen=True, defer_build=True)


T = TypeVar("T", bound=Answer)


class Items(Answer, Generic[T]):
    """All there is."""

    items: list[T]


class Page(Answer, Generic[T]):
    """A part of a long list.

    Attributes:
        items: The items.
        total: How many there are in the whole list; null where counting would take long.
        next: Where the next page begins; null when this is the last one.
    """

    items: list[T]
    total: int | None
    next: int | None

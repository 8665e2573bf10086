"""What a route is: one row of the table that handlers and the OpenAPI document are made from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from fractal_jupyter.models.documents import Section
from fractal_jupyter.server.api import Api

BASE_PATH = "/fractal/api"
# Ids are 32-bit integers in PostgreSQL.
LARGEST_ID = 2**31 - 1
_ID = re.compile(r"\{(\w+)\}")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Query(BaseModel):
    """The query of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Body(Section):
    """The body of a request: a JSON object with no other fields than those of its model.

    No number stands for true or false, and no text for a number: what the OpenAPI document says
    is what is taken.
    """

    model_config = ConfigDict(strict=True)


Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body | None)


@dataclass(frozen=True, slots=True)
class Request(Generic[Q, B]):
    """A request that has been checked.

    Attributes:
        ids: The ids in the path, by the names that the route gives them.
        query: The checked query.
        body: The checked body; None where the route takes none.
    """

    ids: Mapping[str, int]
    query: Q
    body: B


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is text, whatever is in it.

    Attributes:
        data: UTF-8.
        headers: What there is to know of it.
    """

    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One verb of one path.

    Attributes:
        method: The verb.
        path: The path below `fractal/api`, with ids as `{name}`.
        call: Answers a request, in a thread; its docstring is what the OpenAPI document says.
        resource: What authorizers are asked for: `fractal:<noun>`.
        query: The model of the query.
        body: The model of the body; None for no body.
        answer: The model of the answer; `Text` for plain text, None for none at all.
        status: The status of a good answer.
        slow: Whether other machines may be asked: such requests wait for each other, not for
            those that ask the store only.
    """

    method: Method
    path: str
    call: Callable[[Api, Request[Any, Any]], BaseModel | Text | None]
    resource: str
    query: type[Query] = Query
    body: type[Body] | None = None
    answer: type[BaseModel] | type[Text] | None = None
    status: int = 200
    slow: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the ids in the path."""
        return tuple(_ID.findall(self.path))

    @property
    def pattern(self) -> str:
        """The path as a regular expression with the ids as named groups."""
        return BASE_PATH + _ID.sub(r"(?P<\1>[0-9]{1,10})", self.path)

    @property
    def name(self) -> str:
        """A unique name: that of the noun's module and of the function."""
        return f"{self.call.__module__.rpartition('.')[2]}_{self.call.__name__}"

    @property
    def description(self) -> str:
        """What it does, in full."""
        return inspect.cleandoc(self.call.__doc__ or "")

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return self.description.partition("\n")[0].rstrip(".")

"""Queries that several nouns have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fractal_jupyter.server.route import LARGEST_ID, Query

# What SQLite and PostgreSQL take as a number of rows.
LARGEST_OFFSET = 2**31 - 1

Id = Annotated[int, Field(strict=True, ge=0, le=LARGEST_ID)]
"""An id in a body."""

Limit = Annotated[int | None, Field(ge=1, description="At most so many items.")]


class PagedBack(Query):
    """A page of a list with the newest first."""

    limit: Limit = None
    before: Annotated[
        int | None,
        Field(ge=0, le=LARGEST_ID, description="Only items older than the one with this id."),
    ] = None


class Paged(Query):
    """A page of a list in its own order."""

    limit: Limit = None
    offset: Annotated[
        int, Field(ge=0, le=LARGEST_OFFSET, description="How many items to pass over.")
    ] = 0

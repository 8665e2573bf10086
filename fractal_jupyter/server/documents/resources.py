"""Resources."""

from __future__ import annotations

from typing import Literal, Self

from fractal_jupyter.server.documents.answer import Answer, Json
from fractal_jupyter.store.records import ResourceRecord


class ResourceDocument(Answer):
    """Where computing happens: `document` is what was added.

    `source` is the file of the administrator that it comes from, where it cannot be changed here.
    """

    id: int
    name: str
    type: Literal["local", "slurm_sudo", "slurm_ssh"]
    warm: bool
    document: Json
    source: str | None
    created: float

    @classmethod
    def of(cls, record: ResourceRecord) -> Self:
        """Make it of a resource."""
        return cls(
            id=record.id,
            name=record.name,
            type=record.document["type"],
            warm=record.warm,
            document=record.document,
            source=record.source,
            created=record.created,
        )

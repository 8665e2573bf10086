"""Profiles, and keys of their hosts."""

from __future__ import annotations

from typing import Self

from fractal_jupyter.server.documents.answer import Answer, Json
from fractal_jupyter.store.records import ProfileRecord, ResourceRecord


class ProfileDocument(Answer):
    """As whom computing happens; `source` is as with resources."""

    id: int
    name: str
    resource_id: int
    resource: str
    document: Json
    source: str | None
    created: float

    @classmethod
    def of(cls, record: ProfileRecord, resource: ResourceRecord) -> Self:
        """Make it of a profile and its resource."""
        return cls(
            id=record.id,
            name=record.name,
            resource_id=resource.id,
            resource=resource.name,
            document=record.document,
            source=record.source,
            created=record.created,
        )


class KeyDocument(Answer):
    """Where the key of a host that is trusted from now on was written to."""

    known_hosts: str

"""What jobs ran in: documents that outlive the task groups they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import NotFound
from fractal_jupyter.store.database import Database
from fractal_jupyter.store.tables import environments


class Environments:
    """All environments that jobs ran in, each once, by the digest of its document."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, document: Mapping[str, Any]) -> str:
        """Keep the document of an environment, and return its digest."""
        text = json.dumps(document, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not self._knows(digest):
            try:
                with self._database.write() as connection:
                    connection.execute(
                        sa.insert(environments).values(digest=digest, document=json.loads(text))
                    )
            except sa.exc.IntegrityError:
                # somebody else has just kept the same
                return digest
        return digest

    def _knows(self, digest: str) -> bool:
        query = sa.select(environments.c.digest).where(environments.c.digest == digest)
        with self._database.read() as connection:
            return connection.execute(query).one_or_none() is not None

    def get(self, digest: str) -> dict[str, Any]:
        """The document with that digest; raises `NotFound`."""
        query = sa.select(environments.c.document).where(environments.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"No job ran in an environment with the digest {digest}.")
        return dict(row.document)

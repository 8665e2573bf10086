"""What a server says of itself."""

from __future__ import annotations

from fractal_jupyter.server.documents.answer import Answer, Json


class ServerDocument(Answer):
    """What a client has to know before anything else.

    `problems` are what of the administrator's files cannot be used, and why.
    """

    version: str
    user: str
    store: str
    profile_id: int | None
    page_size: int
    largest_page: int
    log_page_bytes: int
    problems: list[str]


class SchemasDocument(Answer):
    """JSON schemas of documents, by the type of resource that they are for.

    Attributes:
        meta: The schema of the `meta` of a step.
        begun: What a new resource may begin with: the interpreters of this machine, say.
    """

    resource: dict[str, Json]
    profile: dict[str, Json]
    meta: Json
    begun: dict[str, Json]

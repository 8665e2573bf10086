"""What steps of jobs ran in."""

from __future__ import annotations

from typing import Self

from fractal_jupyter.client.environments import JobEnvironment
from fractal_jupyter.server.documents.answer import Answer, Json
from fractal_jupyter.server.documents.task_groups import Origin


class DistributionDocument(Answer):
    """A package as it was installed; see `Distribution`."""

    name: str
    version: str
    hashes: list[str]
    content: str | None
    url: str | None
    editable: bool


class LockDocument(Answer):
    """Everything that was installed; `pixi` is the text of pixi.lock, if there was one."""

    digest: str
    python: str
    platform: str
    distributions: list[DistributionDocument]
    pixi: str | None


class EnvironmentDocument(Answer):
    """What a step of a job ran in.

    `lock` is null where it is not known. `source` is of a source folder: the digest of its files,
    and the commit of its repository, if it has one.
    """

    package: str
    version: str | None
    origin: Origin
    lock: LockDocument | None
    source: Json | None

    @classmethod
    def of(cls, environment: JobEnvironment) -> Self:
        """Make it of what the Python API knows."""
        return cls.model_validate(environment)

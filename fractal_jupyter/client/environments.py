"""What jobs ran in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fractal_jupyter.client.listing import Brief
from fractal_jupyter.display.page import Page
from fractal_jupyter.environments.lock import Lock, parse_lock


@dataclass(frozen=True, slots=True, repr=False)
class JobEnvironment(Brief):
    """What a step of a job ran in.

    Attributes:
        package: The task package.
        version: Its version.
        origin: Where it came from: `pypi`, `wheel`, `editable`, `pixi` or `custom`.
        lock: Python, platform, and everything that was installed, with its hashes.
        source: Of a source folder (`editable`): the digest of its files, and the commit of its
            repository, if it has one.
    """

    package: str
    version: str | None
    origin: str
    lock: Lock | None
    source: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Make it of what the store remembers."""
        lock = document.get("lock")
        return cls(
            package=document["package"],
            version=document["version"],
            origin=document["origin"],
            lock=None if lock is None else parse_lock(lock),
            source=document.get("source"),
        )

    @property
    def freeze(self) -> tuple[str, ...]:
        """Everything that was installed, as exact requirements."""
        return () if self.lock is None else self.lock.freeze

    def _line(self) -> str:
        name = " ".join(filter(None, (self.package, self.version)))
        return f"<Environment of {name}, from {self.origin}: {self.lock!r}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.environments import job_environment_page

        return job_environment_page(
            package=self.package,
            version=self.version,
            origin=self.origin,
            lock=self.lock,
            source=self.source,
        )

"""What all handlers share: the Python API on one store, and what runs beside the requests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property

from fractal_jupyter.client import Fractal
from fractal_jupyter.errors import NotFound
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.server.actions import Actions
from fractal_jupyter.store.records import JobRecord
from fractal_jupyter.store.store import Store


@dataclass
class Api:
    """The Python API, opened when it is first needed: a broken store does not stop a server.

    Attributes:
        url: The URL of the store; None for the one that `Fractal()` uses.
        page_size: How many items a page has that does not say so.
        largest_page: How many it may ask for.
        log_page_bytes: The same of logs, in bytes.
    """

    url: str | None = None
    page_size: int = 100
    largest_page: int = 1_000
    log_page_bytes: int = 262_144
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _fractal: Fractal | None = field(default=None, repr=False)

    @property
    def fractal(self) -> Fractal:
        """The Python API.

        Raises:
            StoreError: The store cannot be opened; it is tried again the next time.
        """
        with self._lock:
            if self._fractal is None:
                self._fractal = Fractal(self.url)
                self._fractal._store.activities.end_lost()
            return self._fractal

    @property
    def store(self) -> Store:
        """Its store."""
        return self.fractal._store

    @cached_property
    def actions(self) -> Actions:
        """What was begun by a request and goes on after it."""
        return Actions(lambda: self.store)

    def page(self, limit: int | None) -> int:
        """How many items a page gets."""
        return min(limit or self.page_size, self.largest_page)

    def job(self, key: int) -> JobRecord:
        """A job of this user; raises `NotFound` for those of others, too."""
        record = self.store.jobs.get(key)
        if record.owner != current_user():
            raise NotFound(f"There is no job {key}.")
        return record

    def close(self) -> None:
        """End what still runs, and close the store."""
        if self._fractal is not None:
            self.actions.close()
            self._fractal.close()

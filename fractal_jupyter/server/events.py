"""Changes of the store as Jupyter events: kinds and ids, which clients fetch again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_events import EventLogger

from fractal_jupyter.errors import FractalError
from fractal_jupyter.runner.launch import SupervisorCare
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.server.local_work import is_under_way
from fractal_jupyter.store.changes import Change, Picture, changes
from fractal_jupyter.store.store import Store

SCHEMA_FILE = Path(__file__).parent / "event_schemas" / "changes.yaml"
SCHEMA_ID = "https://events.fractal-jupyter/changes/v1"
# More than that is told by kind.
MOST_CHANGES = 200
CARE_SECONDS = 10.0


class Watch:
    """Looks at the store, and says what is different since the last time."""

    def __init__(self, store: Store) -> None:
        self.sees_local_work = False
        self._store = store
        self._version: int | None = None
        self._picture: Picture = store.changes.picture(current_user())
        self._care = SupervisorCare(store)
        self._next_care = 0.0

    def look(self) -> list[Change]:
        """What has changed; costs one counter while nothing has (SQLite)."""
        version = self._store.database.data_version()
        if version is not None and version == self._version:
            return []
        now = self._store.changes.picture(current_user(), before=self._picture)
        found = changes(self._picture, now)
        self._version, self._picture = version, now
        if len(found) > MOST_CHANGES:
            return [(kind, None) for kind in dict.fromkeys(kind for kind, _ in found)]
        return found

    def take_care(self) -> None:
        """Now and then, see that active jobs are driven by somebody, and what is at work here."""
        if time.monotonic() >= self._next_care:
            self._next_care = time.monotonic() + CARE_SECONDS
            self.sees_local_work = is_under_way(self._store)
            self._care.take()


class Announcer:
    """Tells of changes through Jupyter events, once a second at most, while somebody listens."""

    def __init__(
        self,
        store: Callable[[], Store],
        *,
        logger: EventLogger,
        pool: Executor,
        seconds: float,
        log: Logger,
        record_activity: Callable[[], None],
    ) -> None:
        logger.register_event_schema(SCHEMA_FILE)
        self._store = store
        self._logger = logger
        self._pool = pool
        self._seconds = seconds
        self._log = log
        self._record_activity = record_activity
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if it has not begun; called in the event loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        loop, troubled = asyncio.get_running_loop(), False
        while True:
            heard = self._is_heard()
            try:
                found = await loop.run_in_executor(self._pool, self._look, heard)
                troubled = False
            except FractalError as error:
                found = []
                if not troubled:
                    self._log.warning("Fractal cannot watch its store: %s", error)
                troubled = True
            if found:
                told = [{"kind": kind, "id": key} for kind, key in found]
                self._logger.emit(schema_id=SCHEMA_ID, data={"changes": told})
            await asyncio.sleep(self._seconds)

    def _look(self, heard: bool) -> list[Change]:
        if self._watch is None:
            self._watch = Watch(self._store())
        self._watch.take_care()
        if self._watch.sees_local_work:
            self._record_activity()
        # What changes while nobody listens is told to the first who does.
        return self._watch.look() if heard else []

    def _is_heard(self) -> bool:
        """Whether an event would reach anybody; `EventLogger` has no public word for it."""
        listeners: list[Any] = [
            getattr(self._logger, name, {SCHEMA_ID: True}).get(SCHEMA_ID)
            for name in ("_modified_listeners", "_unmodified_listeners")
        ]
        return bool(self._logger.handlers) or any(listeners)

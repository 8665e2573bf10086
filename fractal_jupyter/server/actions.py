"""Actions that take longer than a request: each is an activity in the store, with its log.

They run in threads of the server and end with it: the store then says so, whether the server was
stopped or killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fractal_jupyter.store.records import ActivityRecord
from fractal_jupyter.store.store import Store

STOPPED = "The Jupyter server was stopped before this had ended. Start it again."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action.

    Attributes:
        result: What clients get as the `result` of the activity.
        task_group_id: The task group that it made.
    """

    result: Any = None
    task_group_id: int | None = None


class Actions:
    """Runs actions, and knows which of them are not over."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._ongoing: set[int] = set()
        self._lock = threading.Lock()

    def start(
        self, action: str, subject: str, run: Callable[[ActivityRecord], Outcome]
    ) -> ActivityRecord:
        """Begin an action, in a thread; what it raises is the error of the activity."""
        activity = self._store().activities.begin(action=action, subject=subject)
        with self._lock:
            self._ongoing.add(activity.id)
        # A daemon: a server that is told to stop does not wait for an environment to be built.
        threading.Thread(target=self._run, args=(activity, run), daemon=True).start()
        return activity

    def _run(self, activity: ActivityRecord, run: Callable[[ActivityRecord], Outcome]) -> None:
        outcome, error = Outcome(), None
        try:
            outcome = run(activity)
        except Exception as raised:
            error = str(raised) or type(raised).__name__
        self._end(activity.id, outcome, error)

    def _end(self, key: int, outcome: Outcome, error: str | None) -> None:
        with self._lock:
            if key not in self._ongoing:
                return
            self._ongoing.remove(key)
        self._store().activities.end(
            key, error=error, task_group_id=outcome.task_group_id, result=outcome.result
        )

    def close(self) -> None:
        """Record of what is not over that it ends here."""
        for key in tuple(self._ongoing):
            self._end(key, Outcome(), STOPPED)

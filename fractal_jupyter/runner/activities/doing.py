"""What who does an activity has: its request, its log, and whether it is still wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from fractal_jupyter.errors import ActivityCancelled
from fractal_jupyter.store.records import ActivityRecord
from fractal_jupyter.store.store import Store

# How often the log gets into the store, and whether somebody has cancelled is looked up.
BEAT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an activity.

    Attributes:
        task_group_id: The task group that it made or changed, if that is still there.
        result: What else clients get, as JSON.
    """

    task_group_id: int | None = None
    result: Any = None


@dataclass(slots=True)
class Doing:
    """An activity that this process does."""

    store: Store
    activity: ActivityRecord
    _lines: list[str] = field(default_factory=list)
    _last: float = field(default_factory=time.monotonic)
    _settled: bool = False

    @property
    def settled(self) -> bool:
        """Whether something has changed for good."""
        return self._settled

    @property
    def request(self) -> dict[str, Any]:
        """What is wanted."""
        return self.activity.request

    def log(self, line: str) -> None:
        """Add a line to the log."""
        self._lines.append(line + "\n")
        self.beat()

    def beat(self) -> None:
        """To be called twice a second, or more often, while something takes long; see `look`."""
        if time.monotonic() - self._last < BEAT_SECONDS:
            return
        self.flush()
        self.look()

    def settle(self) -> None:
        """To be called when something has changed for good: to cancel is too late from now on."""
        self._settled = True

    def look(self) -> None:
        """See whether the activity is still wanted.

        Raises:
            ActivityCancelled: Somebody wants it to stop, and nothing has changed yet.
        """
        if not self._settled and self.store.activities.cancel_requested(self.activity.id):
            raise ActivityCancelled(
                f"Cancelled: {self.activity.action} {self.activity.subject}. "
                "Everything is as it was before."
            )

    def flush(self) -> None:
        """Write what has not been written of the log."""
        if self._lines:
            self.store.activities.append_log(self.activity.id, "".join(self._lines))
        self._lines, self._last = [], time.monotonic()

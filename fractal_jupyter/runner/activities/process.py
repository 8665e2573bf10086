"""Starting the process that does an activity, and following what it does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from fractal_jupyter import errors
from fractal_jupyter.environment import build_environment
from fractal_jupyter.runner.detached import start_detached, store_folder
from fractal_jupyter.schedulers.processes import alive, identity
from fractal_jupyter.store.activities import ACTIVE_ACTIVITIES
from fractal_jupyter.store.records import ActivityRecord
from fractal_jupyter.store.store import Store

STORE_VARIABLE = "FRACTAL_JUPYTER_ACTIVITY_STORE"
ID_VARIABLE = "FRACTAL_JUPYTER_ACTIVITY"
LOG_NAME = "activities.log"

WATCH_SECONDS = 0.05
CARE_SECONDS = 1.0

# Those that this process has started: it is their parent, and has to ask how they ended.
_started: list[subprocess.Popen[bytes]] = []


def start(
    store: Store,
    *,
    action: str,
    subject: str,
    request: Mapping[str, Any],
    place: str,
    task_group_id: int | None = None,
) -> tuple[ActivityRecord, bool]:
    """Have something done, by a process that outlives this one; see `Activities.queue`.

    Returns:
        The activity, and whether it is a new one: when the same is being done already, it is not.

    Raises:
        InUse: Something else is being done at that place.
        ActivityLost: No process can be started.
    """
    store.activities.end_lost()
    activity, is_new = store.activities.queue(
        action=action, subject=subject, request=request, place=place, task_group_id=task_group_id
    )
    if is_new:
        _start_process(store, activity)
    return activity, is_new


def _start_process(store: Store, activity: ActivityRecord) -> None:
    _started[:] = [child for child in _started if child.poll() is None]
    try:
        child = start_detached(
            "fractal_jupyter.runner.activities",
            environment={
                **build_environment(),
                STORE_VARIABLE: store.url,
                ID_VARIABLE: str(activity.id),
            },
            output=store_folder(store) / LOG_NAME,
        )
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        lost = errors.ActivityLost(
            f"No process can be started to {activity.action} {activity.subject}: "
            f"{what}{error.strerror or error}."
        )
        store.activities.end(activity.id, error=str(lost), error_type=type(lost).__name__)
        raise lost from error
    _started.append(child)
    store.activities.hand_over(activity.id, identity(child.pid))


def cancel(store: Store, key: int) -> None:
    """Ask who does an activity to stop; one that is over stays as it is.

    Raises:
        NotFound: There is none with that id.
        NotAllowed: It is of a kind that cannot be stopped.
    """
    activity = store.activities.get(key)
    if activity.place is None and activity.status in ACTIVE_ACTIVITIES:
        raise errors.NotAllowed(
            f"Activity {key} ({activity.action} {activity.subject}) cannot be cancelled; it "
            "changes nothing, and ends by itself."
        )
    store.activities.request_cancel(key)
    if alive(activity.process) is None:
        # It is done on another machine, or was, if that is gone: nobody may ever answer.
        store.activities.end(
            key,
            error="Cancelled from another machine than the one that did it.",
            error_type=errors.ActivityCancelled.__name__,
            cancelled=True,
        )


def follow(
    store: Store, key: int, *, log: Callable[[str], None], timeout: float | None = None
) -> ActivityRecord:
    """Wait until an activity is over, whatever becomes of it.

    Args:
        store: Where it is.
        key: Its id.
        log: Gets each line of its log as it comes, those that were there first.
        timeout: Most seconds to wait.

    Raises:
        TimeoutError: It is not over yet; it goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    told, version, care = 0, None, time.monotonic() + CARE_SECONDS
    while True:
        now = store.database.data_version()
        if now is None or now != version or version is None:
            version = now
            activity = store.activities.get(key)
            is_over = activity.status not in ACTIVE_ACTIVITIES
            end = len(activity.log) if is_over else activity.log.rfind("\n") + 1
            for line in activity.log[told:end].splitlines():
                log(line)
            told = max(told, end)
            if is_over:
                return activity
        if time.monotonic() > care:
            care = time.monotonic() + CARE_SECONDS
            _started[:] = [child for child in _started if child.poll() is None]
            if alive(store.activities.get(key).process) is False:
                store.activities.end_lost()
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"Activity {key} is not over after {timeout:g} s; it goes on.")
        time.sleep(WATCH_SECONDS)


def see_through(
    store: Store, activity: ActivityRecord, *, is_ours: bool, log: Callable[[str], None]
) -> ActivityRecord:
    """Wait until an activity is over and has succeeded.

    An interrupt cancels it, if it is ours: nobody would know of it any more.

    Raises:
        FractalError: It has not succeeded; of the class that it failed with.
    """
    try:
        ended = follow(store, activity.id, log=log)
    except KeyboardInterrupt:
        if is_ours:
            store.activities.request_cancel(activity.id)
            follow(store, activity.id, log=lambda _: None)
        raise
    raise_for(ended)
    return ended


def raise_for(activity: ActivityRecord) -> None:
    """Raise what an activity failed with, if it did."""
    if activity.error is None:
        return
    kind = getattr(errors, activity.error_type or "", None)
    if not (isinstance(kind, type) and issubclass(kind, errors.FractalError)):
        kind = errors.FractalError
    raise kind(activity.error)

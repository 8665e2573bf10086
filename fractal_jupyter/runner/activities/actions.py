"""Which actions there are, and doing one of them to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fractal_jupyter.errors import ActivityCancelled, ActivityLost, FractalError
from fractal_jupyter.runner.activities import (
    cleaning,
    collecting,
    custom,
    deactivating,
    deleting,
    reactivating,
)
from fractal_jupyter.runner.activities.doing import Doing, Outcome
from fractal_jupyter.store.activities import what_next
from fractal_jupyter.store.store import Store

ACTIONS: Mapping[str, Callable[[Doing], Outcome]] = MappingProxyType(
    {
        "collect": collecting.perform,
        "collect_custom": custom.perform,
        "deactivate": deactivating.perform,
        "reactivate": reactivating.perform,
        "delete": deleting.perform,
        "clean": cleaning.perform,
    }
)
STOPPED = "The process that did this was told to end."
TOO_LATE = "Somebody has cancelled this too late: it is done."


def perform(store: Store, key: int) -> None:
    """Do an activity, unless it is done already, and record what came of it."""
    if not store.activities.take_up(key):
        return
    doing = Doing(store, store.activities.get(key))
    try:
        doing.look()
        outcome = ACTIONS[doing.activity.action](doing)
    except BaseException as error:
        doing.flush()
        store.activities.end(
            key,
            error=_words(error, doing),
            error_type=(type(error) if isinstance(error, Exception) else ActivityLost).__name__,
            cancelled=isinstance(error, ActivityCancelled),
        )
        if not isinstance(error, FractalError):
            raise
    else:
        doing.settle()
        if store.activities.cancel_requested(key):
            doing.log(TOO_LATE)
        doing.flush()
        store.activities.end(
            key, error=None, task_group_id=outcome.task_group_id, result=outcome.result
        )


def _words(error: BaseException, doing: Doing) -> str:
    next_words = what_next(doing.activity.action)
    if not isinstance(error, Exception):
        return f"{STOPPED} {next_words}"
    words = (
        str(error)
        if isinstance(error, FractalError)
        else f"Something went wrong that nobody thought of: {type(error).__name__}: {error}"
    )
    return f"{words} {next_words}" if doing.settled else words

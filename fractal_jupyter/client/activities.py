"""Activities: what is done to task groups, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fractal_jupyter.client.listing import Brief, Listing
from fractal_jupyter.display.page import Page
from fractal_jupyter.runner.activities.process import cancel, follow, raise_for, see_through
from fractal_jupyter.store.records import ActivityRecord
from fractal_jupyter.store.store import Store


class Activity(Brief):
    """One activity; it goes on whatever becomes of the notebook that began it."""

    def __init__(self, store: Store, key: int) -> None:
        self._store = store
        self.id = key

    @property
    def _record(self) -> ActivityRecord:
        self._store.activities.end_lost()
        return self._store.activities.get(self.id)

    @property
    def action(self) -> str:
        """What is done: `collect`, `deactivate`, `reactivate`, `delete` or the like."""
        return self._record.action

    @property
    def subject(self) -> str:
        """What it is done to, in words."""
        return self._record.subject

    @property
    def status(self) -> str:
        """`pending`, `ongoing`, `OK`, `failed` or `cancelled`."""
        return self._record.status

    @property
    def error(self) -> str | None:
        """Why it did not succeed."""
        return self._record.error

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._record.log

    @property
    def created(self) -> float:
        """When it began, in seconds since the epoch."""
        return self._record.created

    @property
    def ended(self) -> float | None:
        """When it was over, in seconds since the epoch."""
        return self._record.ended

    def cancel(self) -> Activity:
        """Stop it, if it is not over: everything becomes as it was before.

        What has changed something already (a task group is put aside, say, and its environment
        being removed) goes on to its end, and its log says that this came too late.

        Raises:
            NotAllowed: It is of a kind that cannot be stopped, and ends by itself.
        """
        cancel(self._store, self.id)
        return self

    def wait(self, timeout: float | None = None) -> Activity:
        """Wait until it is over, whatever becomes of it, showing its log.

        Args:
            timeout: Most seconds to wait.

        Raises:
            TimeoutError: It is not over yet; it goes on.
        """
        from fractal_jupyter.display.progress import Progress

        with Progress(f"{self.action.capitalize()} {self.subject}") as progress:
            follow(self._store, self.id, log=progress.log, timeout=timeout)
            progress.done(self.status)
        return self

    def raise_for_status(self) -> Activity:
        """Return the activity if it has not failed; raise what it failed with if it has."""
        raise_for(self._record)
        return self

    def _line(self) -> str:
        record = self._record
        return f"<Activity {record.id}: {record.action} {record.subject}, {record.status}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.activities import activity_page

        return activity_page(self._record)


def activity_listing(store: Store, records: Sequence[ActivityRecord]) -> Listing[Activity]:
    """A list of activities that shows itself as a table."""
    from fractal_jupyter.display.activities import activities_page

    def now(items: Sequence[Activity]) -> list[ActivityRecord]:
        return [item._record for item in items]

    return Listing(
        (Activity(store, record.id) for record in records),
        page=lambda items: activities_page(now(items)),
    )


class Activities:
    """All activities of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, *, limit: int = 100) -> Listing[Activity]:
        """The last activities, the newest first; at most `limit`."""
        self._store.activities.end_lost()
        return activity_listing(self._store, self._store.activities.page(limit=limit))

    def get(self, key: int) -> Activity:
        """The activity with that id; raises `NotFound`."""
        return Activity(self._store, self._store.activities.get(key).id)

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


def see_to_it(
    store: Store,
    title: str,
    begun: tuple[ActivityRecord, bool],
    *,
    done: Callable[[ActivityRecord], str],
) -> Any:
    """Show an activity until it is over and has succeeded.

    Args:
        store: Where it is.
        title: What is done, in words.
        begun: The activity, and whether it was begun by us.
        done: Says what has come of it.

    Returns:
        The activity's record.

    Raises:
        FractalError: It has not succeeded.
    """
    from fractal_jupyter.display.progress import Progress

    activity, is_ours = begun
    with Progress(title) as progress:
        ended = see_through(store, activity, is_ours=is_ours, log=progress.log)
        progress.done(done(ended))
    return ended

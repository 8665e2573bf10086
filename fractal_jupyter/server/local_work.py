"""Whether processes of this machine are at work, which may end when the server is stopped.

Cullers stop servers that nobody has used for a while. Where a spawner ends everything that a
server has started, this would be the end of local jobs and of environments that are being built.
SLURM jobs are no such work: they go on without the server, and are found again.
"""

from __future__ import annotations

from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.store import Store


def is_under_way(store: Store) -> bool:
    """Whether this user has a local job, or does something to a task group, that is not over."""
    active = store.jobs.active(current_user())
    if any(job.request["resource"]["type"] == "local" for job in active):
        return True
    store.activities.end_lost()
    return bool(store.activities.active())

"""All units of a job, in columns."""

from __future__ import annotations

from fractal_jupyter.server.documents.answer import Answer
from fractal_jupyter.server.documents.units import UnitStatus


class TimelineDocument(Answer):
    """All units of a job in columns, in the order of their indexes: `status[i]` is of `index[i]`.

    Attributes:
        index: The number of a unit in its job.
        step: The position of its step.
        status: Its status, as a position in `statuses`.
        started: When it started, in seconds after `origin`; null if it has not.
        ended: When it ended, likewise.
        node: Where it ran, as a position in `nodes`; null where that is not known.
        statuses: The statuses that a unit may have.
        nodes: The names of the nodes.
        origin: When the first unit started; null if none has.
        now: The time of the server.
    """

    index: list[int]
    step: list[int]
    status: list[int]
    started: list[float | None]
    ended: list[float | None]
    node: list[int | None]
    statuses: list[UnitStatus]
    nodes: list[str]
    origin: float | None
    now: float

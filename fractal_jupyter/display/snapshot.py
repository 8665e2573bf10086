"""What a display of a job is made from: everything that it shows, at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from fractal_jupyter.store.records import JobRecord, StepRecord, UnitRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnapshot:
    """A job at one moment.

    Attributes:
        job: The job.
        steps: Its steps, in order.
        bad_units: The first few units that failed or were interrupted, in the order of indexes.
        now: When this was so, in seconds since the epoch.
    """

    job: JobRecord
    steps: tuple[StepRecord, ...]
    bad_units: tuple[UnitRecord, ...]
    now: float

    @property
    def over(self) -> bool:
        """Whether nothing will change any more (but by a retry)."""
        return self.job.status in ("done", "failed", "cancelled")

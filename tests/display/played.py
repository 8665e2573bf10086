"""A job that goes on whenever somebody looks at it."""

from __future__ import annotations

import time

from fractal_jupyter.display.snapshot import JobSnapshot
from tests.display.samples import failed_unit, make_job, make_step


class PlayedJob:
    """One step of `total` units, of which one more has ended at each look; `bad` of them fail."""

    def __init__(
        self, total: int = 20, *, key: int = 12, bad: int = 0, name: str = "Played"
    ) -> None:
        self.total, self.key, self.bad, self.name = total, key, bad, name
        self.looks = 0
        self.held = False
        self.started = time.time()

    def __call__(self) -> JobSnapshot:
        self.looks += not self.held and self.looks <= self.total
        ended = min(self.looks, self.total)
        failed = min(self.bad, ended)
        status = "failed" if failed else "done"
        over = ended == self.total
        return JobSnapshot(
            job=make_job(
                id=self.key,
                name=self.name,
                status=status if over else "running",
                created=self.started,
                started=self.started,
                ended=time.time() if over else None,
            ),
            steps=(
                make_step(
                    total=self.total,
                    done=ended - failed,
                    failed=failed,
                    running=0 if over else 1,
                    status=status if over else "running",
                    started=self.started,
                    ended=time.time() if over else None,
                ),
            ),
            bad_units=tuple(failed_unit(k, "KeyError: 'DAPI'") for k in range(min(failed, 3))),
            now=time.time(),
        )


def at_once(seconds: float) -> None:
    """Wait for a change that is always there already."""

"""How fast the units of a step end, and how long the rest will take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from fractal_jupyter.display.snapshot import JobSnapshot
from fractal_jupyter.store.records import JobRecord, StepRecord

WINDOW_SECONDS = 20.0
LEAST_SECONDS = 1.0
MOST_SAMPLES = 512


@dataclass(frozen=True, slots=True)
class Estimate:
    """How a step goes on.

    Attributes:
        per_second: How many units end.
        seconds_left: How long the rest takes at this pace.
    """

    per_second: float
    seconds_left: float


def ended(step: StepRecord) -> int:
    """How many units of a step have ended, well or not."""
    return step.done + step.failed + step.cancelled + step.interrupted


def run_seconds(record: JobRecord | StepRecord, now: float | None = None) -> float | None:
    """How long a job or a step has run, all its runs together; None where that is not known.

    Args:
        record: The job or step.
        now: The time up to which one counts that has not ended.
    """
    if record.started is None:
        return record.seconds_before or None
    end = now if record.ended is None else record.ended
    return None if end is None else record.seconds_before + end - record.started


def _estimate(step: StepRecord, worked: float, seconds: float) -> Estimate | None:
    """From units' worth of work done in some seconds to an estimate."""
    if worked <= 0 or seconds < LEAST_SECONDS:
        return None
    rate = worked / seconds
    # A unit that runs is on average half done.
    left = max(0.0, step.total - ended(step) - step.running / 2)
    return Estimate(rate, left / rate)


def average(step: StepRecord, now: float) -> Estimate | None:
    """What the whole time of a running step so far lets expect; None while nothing has ended."""
    seconds = run_seconds(step, now)
    if step.status != "running" or seconds is None or not ended(step):
        return None
    return _estimate(step, ended(step) + step.running / 2, seconds)


@dataclass(frozen=True, slots=True)
class _Sample:
    time: float
    position: int
    ended: int


@dataclass(slots=True)
class Pace:
    """Watches a job, to estimate from how it went lately.

    That is nearer to the truth than the average where a step began slowly (imports, waiting for
    a cluster), and after a retry, when few units are left.
    """

    _samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))

    def observe(self, snapshot: JobSnapshot) -> None:
        """Take a look at the job into account."""
        for step in snapshot.steps:
            if step.status != "running":
                continue
            last = self._samples[-1] if self._samples else None
            if last is None or last.position != step.position or last.ended > ended(step):
                self._samples.clear()
            elif last.ended == ended(step):
                continue
            self._samples.append(_Sample(snapshot.now, step.position, ended(step)))

    def estimate(self, step: StepRecord, now: float) -> Estimate | None:
        """What the last seconds let expect of a running step, or else its whole time so far."""
        samples = [sample for sample in self._samples if sample.position == step.position]
        if step.status != "running" or not samples:
            return average(step, now)
        enough = max(8, 3 * step.running)
        base = samples[0]
        for sample in samples:
            if now - sample.time < WINDOW_SECONDS or ended(step) - sample.ended < enough:
                break
            base = sample
        worked = ended(step) - base.ended
        # Where few units have ended while somebody watched, the whole time of the step says more;
        # but not where somebody began to watch late, as after a retry.
        if worked < (1 if base.ended else 4):
            return average(step, now)
        return _estimate(step, worked, now - base.time)

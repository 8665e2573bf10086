from __future__ import annotations

import pytest

from fractal_jupyter.display.pace import Pace, average
from fractal_jupyter.store.records import StepRecord
from tests.display.samples import T0, make_snapshot, make_step


def step_at(done: int, *, total: int = 1000, running: int = 2, failed: int = 0) -> StepRecord:
    return make_step(total=total, done=done, running=running, failed=failed, started=T0)


def test_nothing_is_said_before_something_has_ended() -> None:
    assert average(step_at(0), T0 + 60) is None
    assert average(step_at(1), T0 + 0.5) is None
    assert average(make_step(), T0 + 60) is None


def test_running_units_count_half() -> None:
    # Two units of ten seconds each, side by side, seen after fifteen seconds.
    estimate = average(step_at(2, total=10, running=2), T0 + 15)
    assert estimate is not None
    assert estimate.per_second == pytest.approx(0.2)
    assert estimate.seconds_left == pytest.approx(35)


def test_the_time_of_runs_before_a_retry_counts() -> None:
    step = make_step(total=100, done=50, started=T0 + 5000, seconds_before=90.0)
    estimate = average(step, T0 + 5010)
    assert estimate is not None
    assert estimate.per_second == pytest.approx(0.5)


def test_failed_units_count_as_ended() -> None:
    one = average(step_at(50, failed=50, running=0), T0 + 10)
    other = average(step_at(100, running=0), T0 + 10)
    assert one == other


def watch(pace: Pace, ended: list[tuple[float, int]]) -> StepRecord:
    """Look at a step at some seconds after its beginning, with so many units done each time."""
    for seconds, done in ended:
        step = step_at(done)
        pace.observe(make_snapshot([step], now=T0 + seconds))
    return step


def test_a_slow_beginning_is_forgotten() -> None:
    pace = Pace()
    # A minute of imports, then ten units a second.
    step = watch(pace, [(60 + k / 2, 5 * k) for k in range(81)])
    estimate = pace.estimate(step, T0 + 100)
    assert estimate is not None
    assert estimate.per_second == pytest.approx(10, rel=0.05)
    assert average(step, T0 + 100).per_second < 5  # type: ignore[union-attr]


def test_a_step_that_comes_to_a_halt_is_seen_to() -> None:
    pace = Pace()
    step = watch(pace, [(k / 2, 5 * k) for k in range(81)])
    then, later = pace.estimate(step, T0 + 40), pace.estimate(step, T0 + 140)
    assert then is not None
    assert later is not None
    assert later.per_second < then.per_second / 3


def test_a_retry_begins_anew() -> None:
    pace = Pace()
    # An hour after its first start, units fail no more and end one per second.
    step = watch(pace, [(3600.0 + k, 500 + k) for k in range(30)])
    estimate = pace.estimate(step, T0 + 3630)
    assert estimate is not None
    assert estimate.per_second == pytest.approx(1, rel=0.1)


def test_steps_are_told_apart() -> None:
    pace = Pace()
    watch(pace, [(k, 100 * k) for k in range(10)])
    other = make_step(1, total=100, done=10, running=1, started=T0 + 10)
    pace.observe(make_snapshot([other], now=T0 + 20))
    estimate = pace.estimate(other, T0 + 20)
    assert estimate is not None
    assert estimate.per_second == pytest.approx(1.05, rel=0.1)

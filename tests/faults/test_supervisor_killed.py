"""The supervisor is killed at exact moments; the next one goes on, and no unit runs twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.faults.helpers import (
    assert_consistent,
    other_supervisor,
    starts,
    urls,
    wait_for_leader,
)
from tests.toy import make_dataset, wait_until

RUNNING = "store.running:Running"
PHASE = "runner.phase:PhaseRun"
SCHEDULER = "schedulers.direct:DirectScheduler"

# Three images are copied; the compound task has one unit, and then one for each copy.
STEPS = [{"task": "Toy Copy"}, {"task": "Toy Compound"}]


@contextmanager
def driven_by_one_that_dies(fractal: Fractal, point: str, moment: str, call: int) -> Iterator[Job]:
    make_dataset(fractal, 3)
    workflow = fractal.workflows.create("w", steps=STEPS)
    with other_supervisor(fractal._store, point, moment, call=call) as process:
        wait_for_leader(fractal._store, process)
        job = fractal.submit(workflow, "plate")
        wait_until(lambda: process.poll() is not None)
        assert process.returncode == -9
        yield job


@pytest.mark.parametrize(
    ("point", "moment", "call"),
    [
        (f"{RUNNING}.start_job", "after", 1),
        (f"{RUNNING}.begin_step", "after", 1),
        (f"{RUNNING}.add_units", "before", 1),
        (f"{RUNNING}.add_units", "after", 1),
        (f"{RUNNING}.add_units", "before", 3),
        (f"{RUNNING}.add_units", "after", 3),
        (f"{RUNNING}.add_batches", "after", 1),
        (f"{SCHEDULER}._write", "after", 1),
        (f"{SCHEDULER}.submit", "after", 1),
        (f"{RUNNING}.update_batches", "after", 1),
        (f"{RUNNING}.record_results", "before", 1),
        (f"{RUNNING}.record_results", "after", 1),
        (f"{PHASE}._end", "before", 1),
        ("runner.step:StepRun.merge", "before", 1),
        ("store.running:insert_images", "after", 1),
        ("store.running:write_images", "after", 2),
        (f"{RUNNING}.merge_images", "after", 1),
        (f"{RUNNING}.end_step", "before", 1),
        (f"{RUNNING}.end_step", "after", 2),
        (f"{RUNNING}.end_job", "before", 1),
    ],
)
def test_a_supervisor_killed_at_any_moment_leaves_nothing_half_done(
    fractal: Fractal, point: str, moment: str, call: int
) -> None:
    with driven_by_one_that_dies(fractal, point, moment, call) as job:
        job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert [(step.total, step.done) for step in job.steps] == [(3, 3), (4, 4)]
    assert set(starts(fractal._store, job).values()) == {1}
    assert_consistent(fractal, job, before=[f"/data/plate-{i}.zarr" for i in range(3)])
    assert len(urls(fractal)) == 6

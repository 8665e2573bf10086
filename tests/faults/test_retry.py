"""`retry` runs what is missing, and nothing else, whatever it was that went wrong."""

import os
import signal
from collections import Counter
from pathlib import Path

from fractal_jupyter import Fractal
from tests.faults.helpers import Control, assert_consistent, starts
from tests.toy import make_dataset, wait_until, worker_pids

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]


def one_at_a_time(fractal: Fractal) -> None:
    fractal.resources.update("Local resource", jobs_runner_config={"parallel_tasks_per_job": 1})


def gated(gate: Path, which: str) -> str:
    """A script that waits at `gate` on the image whose name ends with `which`."""
    return (
        "import pathlib, time\n"
        f"if zarr_url.endswith({which!r}):\n"
        f"    pathlib.Path({str(gate) + '.reached'!r}).touch()\n"
        f"    while not pathlib.Path({str(gate)!r}).exists():\n"
        "        time.sleep(0.01)\n"
        "output = {'image_list_updates': [{'zarr_url': zarr_url, 'attributes': {'seen': 1}}]}\n"
    )


def test_after_a_unit_that_failed(fractal: Fractal, control: Control) -> None:
    dataset = make_dataset(fractal, 4)
    control.units("assert not zarr_url.endswith('-2.zarr'), 'not this one'")
    job = fractal.submit("Scripted", dataset, **control.arguments).wait(60)
    assert job.status == "failed"
    assert "not this one" in (job.error or "")
    assert_consistent(fractal, job, before=FOUR)
    control.units("")
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(fractal._store, job) == Counter({0: 1, 1: 1, 2: 2, 3: 1})
    assert_consistent(fractal, job, before=FOUR)


def test_after_a_cancellation(fractal: Fractal, control: Control, tmp_path: Path) -> None:
    one_at_a_time(fractal)
    dataset = make_dataset(fractal, 4)
    control.units(gated(tmp_path / "gate", "-1.zarr"))
    job = fractal.submit("Scripted", dataset, **control.arguments)
    wait_until((tmp_path / "gate.reached").exists)
    job.cancel().wait(60)
    assert job.status == "cancelled"
    assert [unit.status for unit in job.units()] == ["done", *["cancelled"] * 3]
    assert_consistent(fractal, job, before=FOUR)
    (tmp_path / "gate").touch()
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(fractal._store, job) == Counter({0: 1, 1: 2, 2: 1, 3: 1})
    assert_consistent(fractal, job, before=FOUR)


def test_after_an_interruption(fractal: Fractal, control: Control, tmp_path: Path) -> None:
    one_at_a_time(fractal)
    dataset = make_dataset(fractal, 4)
    control.units(gated(tmp_path / "gate", "-1.zarr"))
    job = fractal.submit("Scripted", dataset, **control.arguments)
    wait_until((tmp_path / "gate.reached").exists)
    wait_until(lambda: job.steps[0].running)
    (worker,) = worker_pids(fractal._store)
    os.kill(worker, signal.SIGKILL)
    job.wait(60)
    assert job.status == "failed"
    assert "1 interrupted of 4 units" in (job.error or "")
    assert [unit.status for unit in job.units()] == ["done", "interrupted", "done", "done"]
    assert_consistent(fractal, job, before=FOUR)
    (tmp_path / "gate").touch()
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(fractal._store, job) == Counter({0: 1, 1: 2, 2: 1, 3: 1})
    assert_consistent(fractal, job, before=FOUR)


def test_after_the_first_part_of_a_compound_task_failed(fractal: Fractal, control: Control) -> None:
    dataset = make_dataset(fractal, 4)
    control.init("raise RuntimeError('no list today')")
    control.units("assert init_args['n'] == 7")
    job = fractal.submit("Scripted Compound", dataset, **control.compound_arguments).wait(60)
    assert job.status == "failed"
    assert "no list today" in (job.error or "")
    assert [(unit.phase, unit.status) for unit in job.units()] == [("non_parallel", "failed")]
    control.init(
        "output = {'parallelization_list': [{'zarr_url': u, 'init_args': {'n': 7}} for u in"
        " zarr_urls[1:]]}"
    )
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(fractal._store, job) == Counter({0: 2, 1: 1, 2: 1, 3: 1})
    assert_consistent(fractal, job, before=FOUR)


def test_after_the_second_part_of_a_compound_task_failed(
    fractal: Fractal, control: Control
) -> None:
    dataset = make_dataset(fractal, 4)
    control.init("output = {'parallelization_list': [{'zarr_url': u} for u in zarr_urls]}")
    control.units("assert not zarr_url.endswith('-2.zarr'), 'not this one'")
    job = fractal.submit("Scripted Compound", dataset, **control.compound_arguments).wait(60)
    assert "1 failed of 4 units" in (job.error or "")
    control.units("")
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert starts(fractal._store, job) == Counter({0: 1, 1: 1, 2: 1, 3: 2, 4: 1})
    assert_consistent(fractal, job, before=FOUR)


def test_after_outputs_that_do_not_fit_the_image_list(fractal: Fractal, control: Control) -> None:
    dataset = make_dataset(fractal, 4)
    control.units("output = {'image_list_removals': [zarr_url, '/data/later.zarr'][-1:]}")
    job = fractal.submit("Scripted", dataset, **control.arguments).wait(60)
    assert job.status == "failed"
    assert "'/data/later.zarr', which is not in the image list" in (job.error or "")
    assert [unit.status for unit in job.units()] == ["done"] * 4
    # Without another list, the same again; no unit runs for it.
    job.retry().wait(60)
    assert job.status == "failed"
    dataset.add_images([{"zarr_url": "/data/later.zarr"}])
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert set(starts(fractal._store, job).values()) == {1}
    assert_consistent(fractal, job, before=[*FOUR, "/data/later.zarr"])


def test_after_a_step_without_images(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    workflow = fractal.workflows.create(
        "w",
        steps=[{"task": "Toy Parallel"}, {"task": "Toy Parallel", "type_filters": {"big": True}}],
    )
    job = fractal.submit(workflow, dataset).wait(60)
    assert job.status == "failed"
    assert "big" in (job.error or "")
    dataset.update_images([{"zarr_url": "/data/plate-1.zarr", "types": {"big": True}}])
    job.retry().wait(60)
    assert (job.status, job.error) == ("done", None)
    assert [step.total for step in job.steps] == [2, 1]
    assert set(starts(fractal._store, job).values()) == {1}

"""A user changes a dataset while a job works on it: what the user says counts from then on."""

import signal
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.errors import InUse
from tests.faults.helpers import (
    Control,
    assert_consistent,
    other_supervisor,
    urls,
    wait_for_leader,
    wait_until_stopped,
)
from tests.toy import make_dataset, wait_until

FOUR = [f"/data/plate-{i}.zarr" for i in range(4)]
UPDATE = "output = {'image_list_updates': [{'zarr_url': zarr_url, 'attributes': {'seen': True}}]}"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def submit_gated(fractal: Fractal, control: Control, gate: Path, script: str) -> Job:
    """Submit a step whose units do `script` once the gate is open, and one that looks at all."""
    control.units(
        f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        + script
    )
    workflow = fractal.workflows.create(
        "w", steps=[{"task": "Scripted", **control.arguments}, {"task": "Toy Parallel"}]
    )
    job = fractal.submit(workflow, "plate")
    wait_until(lambda: job.steps[0].running)
    return job


def test_an_image_that_is_taken_off_stays_off(
    fractal: Fractal, control: Control, gate: Path
) -> None:
    dataset = make_dataset(fractal, 4)
    job = submit_gated(fractal, control, gate, UPDATE)
    dataset.remove_images([FOUR[1]])
    gate.touch()
    job.wait(60)
    assert (job.status, job.error) == ("done", None)
    # The unit that had begun was not disturbed; the next step does without the image.
    assert [step.done for step in job.steps] == [4, 3]
    assert_consistent(fractal, job, before=FOUR, removed=[FOUR[1]])
    assert all(image.attributes["seen"] for image in dataset.images)


def test_an_image_is_taken_off_by_the_user_and_by_its_unit(
    fractal: Fractal, control: Control, gate: Path
) -> None:
    dataset = make_dataset(fractal, 4)
    script = "output = {'image_list_removals': [zarr_url] if zarr_url.endswith('-1.zarr') else []}"
    job = submit_gated(fractal, control, gate, script)
    dataset.remove_images([FOUR[1]])
    gate.touch()
    job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert_consistent(fractal, job, before=FOUR, removed=[FOUR[1]])


def test_attributes_that_are_changed_keep_what_no_unit_overwrites(
    fractal: Fractal, control: Control, gate: Path
) -> None:
    dataset = make_dataset(fractal, 4)
    job = submit_gated(fractal, control, gate, UPDATE)
    changed = {"zarr_url": FOUR[1], "attributes": {"well": "B03", "seen": False}}
    dataset.update_images([changed])
    gate.touch()
    job.wait(60)
    assert dict(dataset.images[1].attributes) == {"well": "B03", "seen": True}
    assert_consistent(fractal, job, before=FOUR)


def test_an_image_that_is_added_is_part_of_the_next_step(
    fractal: Fractal, control: Control, gate: Path
) -> None:
    dataset = make_dataset(fractal, 4)
    job = submit_gated(fractal, control, gate, UPDATE)
    dataset.add_images([{"zarr_url": "/data/late.zarr"}])
    gate.touch()
    job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert [step.done for step in job.steps] == [4, 5]
    assert_consistent(fractal, job, before=[*FOUR, "/data/late.zarr"])


def test_an_image_is_added_at_the_moment_when_a_task_adds_it(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 4)
    store = fractal._store
    point = "store.running:Running.merge_images"
    with other_supervisor(store, point, "before", by=signal.SIGSTOP) as process:
        wait_for_leader(store, process)
        job = fractal.submit("Toy Copy", dataset)
        wait_until_stopped(process)
        dataset.add_images([{"zarr_url": "/data/plate-0_copy.zarr", "attributes": {"mine": 1}}])
        process.send_signal(signal.SIGCONT)
        job.wait(60)
    assert (job.status, job.error) == ("done", None)
    assert len(dataset.images) == 8
    assert_consistent(fractal, job, before=[*FOUR, "/data/plate-0_copy.zarr"])


def test_all_images_are_taken_off(fractal: Fractal, control: Control, gate: Path) -> None:
    dataset = make_dataset(fractal, 4)
    job = submit_gated(fractal, control, gate, UPDATE)
    dataset.remove_images(FOUR)
    gate.touch()
    job.wait(60)
    assert job.status == "failed"
    assert "no images" in (job.error or "").lower()
    assert urls(fractal) == []
    assert_consistent(fractal, job, before=FOUR, removed=FOUR)


def test_the_dataset_itself_cannot_be_removed(
    fractal: Fractal, control: Control, gate: Path
) -> None:
    make_dataset(fractal, 4)
    job = submit_gated(fractal, control, gate, UPDATE)
    with pytest.raises(InUse, match=f"jobs {job.id}"):
        fractal.datasets.remove("plate")
    job.cancel().wait(60)

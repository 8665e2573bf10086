"""Units that must not be forked, and what is said of that where users look."""

from typing import Any

from fractal_jupyter import Fractal
from tests.toy import make_dataset


def test_a_step_says_why_its_units_run_cold(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    steps: list[dict[str, Any]] = [
        {"task": "Toy Parallel"},
        {"task": "Toy Parallel", "warm": False},
        {"task": "Toy Parallel", "meta": {"needs_gpu": True}},
    ]
    workflow = fractal.workflows.create("w", steps=steps)
    job = fractal.submit(workflow, dataset).wait(60)
    modes = [str(step.mode) for step in job.steps]
    assert modes[0].startswith("warm: ")
    assert modes[1:] == [
        "cold: switched off for the step",
        "cold: units that need a GPU are processes of their own",
    ]


def test_warm_units_are_switched_off_for_a_job_and_for_a_resource(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    job = fractal.submit("Toy Parallel", dataset, warm=False).wait(60)
    assert job.steps[0].mode == "cold: switched off for the job"
    fractal.resources.update("Local resource", warm=False)
    job = fractal.submit("Toy Parallel", dataset).wait(60)
    assert job.steps[0].mode == "cold: switched off for the resource"
    assert "warm=" not in str(job.code())  # that of the resource is not of the submission

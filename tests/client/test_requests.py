"""What is said of requests that cannot be: before anything is started."""

from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import ImageListError, InvalidArguments, InvalidDocument
from fractal_jupyter.runner import submission
from tests.toy import make_dataset


def test_what_is_wrong_with_a_single_task_is_named_as_it_was_given(fractal: Fractal) -> None:
    make_dataset(fractal, 1)
    for verb in (fractal.submit, fractal.plan):
        with pytest.raises(InvalidDocument) as raised:
            verb("Toy Parallel", "plate", meta={"mem": "lots"})
        assert "\n  meta.mem: found 'lots'" in str(raised.value)
    steps = [{"task": "Toy Parallel", "meta": {"mem": "lots"}}]
    with pytest.raises(InvalidDocument, match=r"\n  steps\[0\]\.meta\.mem: found 'lots'"):
        fractal.workflows.create("w", steps=steps)


def test_a_plan_takes_what_a_submission_takes(fractal: Fractal) -> None:
    make_dataset(fractal, 1)
    with pytest.raises(TypeError, match=r"plan\(\).*'frist'; did you mean 'first'\?"):
        fractal.plan("Toy Parallel", "plate", frist=1)
    with pytest.raises(TypeError, match=r"'nonsense'; there are task, dataset, args, "):
        fractal.plan("Toy Parallel", "plate", nonsense=1)
    plan = fractal.plan("Toy Parallel", "plate", type_filters=None, name="trial")
    assert (plan.name, len(plan.steps)) == ("trial", 1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"account": "lab"}, "account='lab' is for SLURM, and 'Local resource' is this machine"),
        ({"worker_init": "export MODELS=/m"}, "worker_init='export MODELS=/m' is for the shell of"),
    ],
)
def test_what_only_slurm_does_is_refused_on_this_machine(
    fractal: Fractal, asked: dict[str, Any], words: str
) -> None:
    make_dataset(fractal, 1)
    for verb in (fractal.submit, fractal.plan):
        with pytest.raises(InvalidArguments, match=words):
            verb("Toy Parallel", "plate", **asked)
    assert fractal.jobs.list() == []
    assert fractal.plan("Toy Parallel", "plate", account="", worker_init="")  # empty fields


def test_jobs_of_a_status_that_there_is_not(fractal: Fractal) -> None:
    with pytest.raises(InvalidArguments, match="one of submitted, running, done, failed, canc"):
        fractal.jobs.list(status="wrong")


def test_one_is_not_several(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 1)
    assert repr(dataset) == "<Dataset 'plate', 1 image in /data>"
    with pytest.raises(IndexError, match="The dataset has 1 image;"):
        dataset.images[1]


def test_of_a_long_list_a_submission_reads_one_image_that_it_can_work_on(
    fractal: Fractal, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[Any] = ["a", 1, True, "b"]
    dataset = fractal.datasets.create("plate", zarr_dir="/data")
    dataset.add_images(
        {"zarr_url": f"/data/{n}.zarr", "attributes": {"value": value}}
        for n, value in enumerate(values)
    )
    for value in values:  # some databases take 1 for true: then all are looked at
        prepare(fractal, attribute_filters={"value": [value]})
    with pytest.raises(ImageListError, match="no image"):
        prepare(fractal, attribute_filters={"value": ["c"]})
    monkeypatch.setattr(type(fractal._store.datasets), "images", None)
    prepare(fractal)
    prepare(fractal, attribute_filters={"value": ["b"]})


def prepare(fractal: Fractal, **options: Any) -> None:
    """Do what a submission does before it starts anything."""
    request = fractal._request("Toy Parallel", "plate", single={}, profile=None, **options)
    submission.prepare(fractal._store, request)

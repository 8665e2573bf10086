"""The cell that submits the same: run, it makes the same job."""

from __future__ import annotations

from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.code import literal, submission_code
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.store.records import JobRecord
from tests.toy import make_dataset

WORKFLOW: list[dict[str, Any]] = [
    {"task": "Toy Parallel", "args": {"seconds": 0}, "meta": {"mem": 200}},
    {"task": "Toy Copy", "type_filters": {"is_3D": False}, "warm": False},
    {"task": "Toy Compound", "meta_parallel": {"cpus_per_task": 1, "mem": 300}},
]
SUBMISSIONS: dict[str, dict[str, Any]] = {
    "a task": {"task": "Toy Parallel", "args": {"seconds": 0, "only": 'it\'s "so"\n\u202e'}},
    "a name": {"task": "Toy Copy", "name": "mine", "meta": {"mem": "1G", "cpus_per_task": 2}},
    "options": {
        "task": "Toy Parallel",
        "type_filters": {"is_3D": False},
        "attribute_filters": {"well": ["B03", 4, True]},
        "memory_limit": "2G",
        "warm": False,
        "rerun_interrupted": True,
    },
    "a workflow": {"task": "w"},
    "a part of a workflow": {"task": "w", "first": 1, "last": 1},
}


def described(job: JobRecord) -> dict[str, Any]:
    same = ("name", "dataset_id", "profile_name", "resource_name", "request")
    return {name: getattr(job, name) for name in same}


@pytest.mark.parametrize("kind", SUBMISSIONS)
def test_the_same_job(fractal: Fractal, kind: str) -> None:
    dataset = make_dataset(fractal, 1)
    dataset.update_images(
        [{"zarr_url": image.zarr_url, "attributes": {"well": "B03"}} for image in dataset.images]
    )
    fractal.workflows.create("w", steps=WORKFLOW)
    asked = dict(SUBMISSIONS[kind])
    task = asked.pop("task")
    what = fractal.workflows.get("w") if task == "w" else task
    job = fractal.submit(what, dataset, **asked)
    store = fractal._store
    code = submission_code(store.jobs.get(job.id), store.jobs.steps(job.id), url=fractal.url)
    names: dict[str, Any] = {}
    exec(code, names)
    again: Job = names["job"]
    assert described(store.jobs.get(again.id)) == described(store.jobs.get(job.id))
    ran = [
        [
            {
                k: v
                for k, v in step.request.items()
                if k != "meta_non_parallel" or "executable_non_parallel" in step.request["entry"]
            }
            for step in store.jobs.steps(key)
        ]
        for key in (job.id, again.id)
    ]
    assert ran[0] == ran[1], code
    names["fractal"].close()
    job.cancel()
    again.cancel()
    job.wait(60)
    again.wait(60)


def test_long_values_are_broken_into_lines() -> None:
    value = {"channels": [{"label": "x" * 30, "window": [0, 65535]}] * 2, "empty": {}}
    text = literal(value)
    assert eval(text) == value
    assert max(map(len, text.splitlines())) < 88
    assert text.splitlines()[1] == '    "channels": ['

"""Whole jobs, from submission to their end, with real supervisors, workers and units."""

import json
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import (
    Ambiguous,
    ImageListError,
    InvalidArguments,
    InvalidDocument,
    JobFailed,
    NotAllowed,
    NotFound,
)
from tests.toy import add_toy_tasks, make_dataset, wait_until

BROKEN = {"behaviour": "raise", "only": "-3.zarr"}


def test_all_types_of_tasks_run_one_after_another(fractal: Fractal) -> None:
    dataset = fractal.datasets.create("new", zarr_dir="/data")
    workflow = fractal.workflows.create(
        "all",
        steps=[
            {"task": "Toy Converter", "args": {"count": 5}},
            {"task": "Toy Copy"},
            {"task": "Toy Compound", "args": {"label": "seen", "skip": 2}},
            {"task": "Toy Summary"},
            {"task": "Toy Parallel"},
        ],
    )
    job = fractal.submit(workflow, dataset).wait(60)
    assert (job.status, job.error) == ("done", None)
    assert [(s.total, s.done, s.running, s.status) for s in job.steps] == [
        (1, 1, 0, "done"),
        (5, 5, 0, "done"),
        (4, 4, 0, "done"),
        (1, 1, 0, "done"),
        (5, 5, 0, "done"),
    ]
    assert len(dataset.images) == 10
    copies = dataset.images[5:]
    assert [image.origin for image in copies] == [f"/data/{i}.zarr" for i in range(5)]
    assert [dict(image.types) for image in copies] == [{"is_3D": True, "copied": True}] * 5
    assert [image.attributes.get("label") for image in copies] == [None, None, *["seen"] * 3]
    assert [unit.index for unit in job.units()] == list(range(16))


def test_units_say_what_they_took_and_wrote(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 3)
    job = fractal.submit("Toy Parallel", dataset).wait(60)
    for unit in job.units():
        assert unit.status == "done"
        assert unit.started is not None
        assert unit.ended is not None
        assert unit.ended >= unit.started
        assert unit.peak_memory is not None
        assert unit.peak_memory > 1_000_000
        assert unit.cpu_seconds is not None
        assert unit.node
        assert job.log(unit.index) == f"working on {unit.zarr_url}\n"


def test_what_succeeded_is_kept_and_retry_runs_only_what_is_missing(
    fractal: Fractal, tmp_path: Path
) -> None:
    dataset = make_dataset(fractal, 6)
    workflow = fractal.workflows.create(
        "w", steps=[{"task": "Toy Parallel", "args": BROKEN}, {"task": "Toy Summary"}]
    )
    job = fractal.submit(workflow, dataset).wait(60)
    assert job.status == "failed"
    assert job.error is not None
    assert "1 failed of 6 units" in job.error
    assert job.error.startswith("Step 0 (Toy Parallel): ")
    assert job.error.endswith("ValueError: the toy is broken. The other 5 are kept.")
    with pytest.raises(JobFailed, match="the toy is broken"):
        job.raise_for_status()
    (bad,) = job.units(status="failed")
    assert bad.zarr_url == "/data/plate-3.zarr"
    assert bad.exit_code == 1
    assert "Traceback" in job.log()
    ended = {unit.index: unit.ended for unit in job.units(status="done")}
    assert len(ended) == 5
    first = job.steps[0]
    assert first.started is not None
    assert first.ended is not None

    job.retry().wait(60)

    assert job.status == "failed"
    assert {unit.index: unit.ended for unit in job.units(status="done")} == ended
    (again,) = job.units(status="failed")
    assert again.index == bad.index
    assert again.started is not None
    assert bad.ended is not None
    assert again.started > bad.ended
    step = job.steps[0]
    assert step.started is not None
    assert step.started >= first.ended
    assert step.seconds_before == pytest.approx(first.ended - first.started)
    assert [(s.status, s.total, s.done, s.failed) for s in job.steps] == [
        ("failed", 6, 5, 1),
        ("pending", 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("behaviour", "status", "words"),
    [
        ("raise", "failed", "ValueError: the toy is broken"),
        ("exit", "failed", "exit status 3"),
        ("segfault", "failed", "SIGSEGV"),
        ("kill", "failed", "SIGKILL"),
        ("half", "failed", "output file is not JSON"),
        ("nonsense", "failed", "images"),
        ("silent", "done", ""),
        ("chatty", "done", ""),
    ],
)
def test_each_way_to_fail_is_told_apart(
    fractal: Fractal, behaviour: str, status: str, words: str
) -> None:
    dataset = make_dataset(fractal, 2)
    args = {"behaviour": behaviour, "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=args).wait(60)
    first, second = job.units()
    assert first.status == "done"
    assert second.status == status
    assert words in (second.error or "")
    if behaviour == "chatty":
        assert 1_000_000 < len(job.log(1)) < 20_000_000
        assert "bytes left out here" in job.log(1)


def test_a_unit_over_its_memory_limit_is_ended_and_says_so(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    args = {"behaviour": "memory", "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=args, memory_limit="200M").wait(60)
    (bad,) = job.units(status="failed")
    assert bad.problem == "memory_limit"
    assert "memory" in (bad.error or "")
    assert "200 MB" in (bad.error or "")
    assert (bad.peak_memory or 0) > 200_000_000


def test_a_unit_that_never_ends_can_be_cancelled(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 4)
    job = fractal.submit("Toy Parallel", dataset, args={"behaviour": "forever"})
    wait_until(lambda: job.units(status="running"))
    job.cancel().wait(60)
    assert job.status == "cancelled"
    assert {unit.status for unit in job.units()} == {"cancelled"}
    assert job.steps[0].cancelled == 4


def test_jobs_on_one_dataset_take_turns(fractal: Fractal, tmp_path: Path) -> None:
    dataset = make_dataset(fractal, 2)
    elsewhere = make_dataset(fractal, 2, name="other")
    gate = tmp_path / "gate"
    first = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate)})
    second = fractal.submit("Toy Parallel", dataset)
    third = fractal.submit("Toy Parallel", elsewhere)
    third.wait(60)
    wait_until(lambda: second.waiting_for)
    assert f"job {first.id}" in (second.waiting_for or "")
    assert (first.status, second.status, third.status) == ("running", "submitted", "done")
    gate.touch()
    second.wait(60)
    assert (first.status, second.status, second.waiting_for) == ("done", "done", None)


def test_a_waiting_job_can_be_cancelled(fractal: Fractal, tmp_path: Path) -> None:
    dataset = make_dataset(fractal, 2)
    gate = tmp_path / "gate"
    first = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate)})
    second = fractal.submit("Toy Parallel", dataset).cancel().wait(60)
    assert (first.status, second.status) == ("running", "cancelled")
    gate.touch()
    assert first.wait(60).status == "done"


def test_as_many_units_run_side_by_side_as_the_resource_says(
    fractal: Fractal, tmp_path: Path
) -> None:
    fractal.resources.update("Local resource", jobs_runner_config={"parallel_tasks_per_job": 3})
    dataset = make_dataset(fractal, 8)
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate)})
    wait_until(lambda: len(list(tmp_path.glob("gate.*.waiting"))) == 3)
    wait_until(lambda: job.steps[0].running == 3)
    gate.touch()
    job.wait(60)
    assert job.status == "done"


def test_a_slow_unit_holds_back_nobody(fractal: Fractal, tmp_path: Path) -> None:
    fractal.resources.update("Local resource", jobs_runner_config={"parallel_tasks_per_job": 2})
    dataset = make_dataset(fractal, 12)
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate), "only": "-0.zarr"})
    wait_until(lambda: job.steps[0].done == 11)
    assert [unit.index for unit in job.units(status="running")] == [0]
    gate.touch()
    assert job.wait(60).status == "done"


def test_bad_requests_are_refused_before_anything_starts(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    with pytest.raises(NotFound, match="Did you mean 'Toy Parallel'"):
        fractal.submit("Toy Paralel", dataset)
    with pytest.raises(InvalidArguments, match="behavior"):
        fractal.submit("Toy Parallel", dataset, args={"behavior": "ok"})
    with pytest.raises(InvalidArguments, match="seconds"):
        fractal.submit("Toy Parallel", dataset, args={"seconds": "long"})
    with pytest.raises(InvalidArguments, match="zarr_url"):
        fractal.submit("Toy Parallel", dataset, args={"zarr_url": "/data/x.zarr"})
    with pytest.raises(ImageListError, match="well"):
        fractal.submit("Toy Parallel", dataset, attribute_filters={"well": ["B03"]})
    for name, wrong in {"attribute_filters": {"well": 3}, "type_filters": {"is_3D": [1]}}.items():
        with pytest.raises(InvalidDocument, match=rf"{name}\.\w+: found .*allowed: "):
            fractal.submit("Toy Parallel", dataset, **{name: wrong})  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="memory_limit"):
        fractal.submit("Toy Parallel", dataset, memory_limit="lots")
    fractal.resources.update("Local resource", prevent_new_submissions=True)
    with pytest.raises(NotAllowed, match="prevent_new_submissions"):
        fractal.submit("Toy Parallel", dataset)
    assert len(fractal.jobs.list()) == 0


def test_a_version_is_needed_where_several_are_installed(fractal: Fractal, tmp_path: Path) -> None:
    dataset = make_dataset(fractal, 1)
    add_toy_tasks(fractal._store, version="2.0", folder=str(tmp_path / "second"))
    with pytest.raises(Ambiguous, match=r"toy-tasks 1\.0, toy-tasks 2\.0.*version="):
        fractal.submit("Toy Parallel", dataset)
    assert fractal.submit("Toy Parallel", dataset, version="2.0").steps[0].version == "2.0"


def test_part_of_a_workflow_can_be_run(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    workflow = fractal.workflows.create(
        "w", steps=[{"task": "Toy Summary"}, {"task": "Toy Parallel"}, {"task": "Toy Copy"}]
    )
    job = fractal.submit(workflow, dataset, first=1, last=1).wait(60)
    assert [(step.position, step.task_name) for step in job.steps] == [(1, "Toy Parallel")]
    with pytest.raises(NotAllowed, match="the workflow has 3 steps, 0 to 2, and first="):
        fractal.submit(workflow, dataset, first=2, last=1)
    with pytest.raises(NotAllowed, match="the workflow has one step, step 0, and first="):
        fractal.submit("Toy Parallel", dataset, first=1)


def test_secrets_of_the_notebook_do_not_reach_units(
    fractal: Fractal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "s3cr3t-t0ken")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    dataset = make_dataset(fractal, 1)
    job = fractal.submit("Toy Parallel", dataset).wait(60)
    environment = fractal._store.jobs.get(job.id).request["environment"]
    assert environment["FRACTAL_CACHE_DIR"] == "/data/.fractal_cache"
    assert not {"JUPYTERHUB_API_TOKEN", "SLURM_JOB_ID"} & environment.keys()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"s3cr3t-t0ken" not in path.read_bytes(), path


def test_waiting_can_time_out_and_the_job_goes_on(fractal: Fractal, tmp_path: Path) -> None:
    dataset = make_dataset(fractal, 1)
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", dataset, args={"gate": str(gate)})
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(0.5)
    gate.touch()
    assert job.wait(60).status == "done"


async def _await(job: object) -> object:
    return await job  # type: ignore[misc]


def test_a_job_can_be_awaited(fractal: Fractal) -> None:
    import asyncio

    dataset = make_dataset(fractal, 1)
    job = fractal.submit("Toy Parallel", dataset)
    assert asyncio.run(_await(job)) is job
    assert job.status == "done"


def test_an_empty_parallelization_list_is_a_step_that_is_done(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    job = fractal.submit("Toy Compound", dataset, args={"skip": 2}).wait(60)
    assert (job.status, job.error) == ("done", None)
    assert job.steps[0].total == 1


def test_a_retry_may_ask_for_more(fractal: Fractal, tmp_path: Path) -> None:
    dataset = make_dataset(fractal, 2)
    job = fractal.submit("Toy Parallel", dataset, args={"behaviour": "raise"}).wait(60)
    with pytest.raises(InvalidDocument, match=r"meta\.mem"):
        job.retry(meta={"mem": "lots"})
    assert job.status == "failed"
    job.retry(meta={"cpus_per_task": 2, "mem": "8G"}).wait(60)
    (step,) = fractal._store.jobs.steps(job.id)
    assert step.request["meta_parallel"] == {"cpus_per_task": 2, "mem": 8000}
    batch = fractal._store.jobs.batches(job.id)[-1]
    document = json.loads((Path(batch.folder) / "batch.json").read_text())
    assert document["env"]["OMP_NUM_THREADS"] == "2"

"""Jobs over REST: the same jobs as in notebooks."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.environments.lock import Distribution, Lock
from fractal_jupyter.server.app import FractalExtension
from tests.server.conftest import Call
from tests.toy import make_dataset

BROKEN = {"behaviour": "raise", "only": "-1.zarr"}


async def test_what_a_notebook_submits_is_seen(fractal: Fractal, call: Call) -> None:
    dataset = make_dataset(fractal, 3)
    job = fractal.submit("Toy Parallel", dataset, args=BROKEN).wait(60)
    document = json.loads((await call("GET", f"jobs/{job.id}")).body)
    assert document["status"] == "failed"
    assert "the toy is broken" in document["error"]
    (step,) = document["steps"]
    assert (step["done"], step["failed"], step["total"], step["rate"]) == (2, 1, 3, None)
    (bad,) = document["bad_units"]
    assert (bad["index"], bad["error"]) == (1, "ValueError: the toy is broken")

    page = json.loads((await call("GET", "jobs")).body)
    assert page["counts"]["failed"] == page["total"] == 1
    listed = {name: document[name] for name in page["items"][0]}
    assert page["items"] == [listed]

    units = json.loads((await call("GET", f"jobs/{job.id}/units", status="failed")).body)
    assert units == {"items": [bad], "total": 1, "next": None}
    (of_step,) = json.loads((await call("GET", f"jobs/{job.id}/steps")).body)["items"]
    assert of_step["args_parallel"] == BROKEN

    log = await call("GET", f"jobs/{job.id}/units/1/log")
    assert log.body.decode() == job.log(1)
    assert log.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert log.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_cell_submits_the_same(fractal: Fractal, call: Call) -> None:
    dataset = make_dataset(fractal, 2)
    job = fractal.submit("Toy Parallel", dataset, args=BROKEN, meta={"mem": 200}).wait(60)
    document = json.loads((await call("GET", f"jobs/{job.id}")).body)
    names: dict[str, Any] = {}
    exec(document["code"], names)
    again = names["job"].wait(60)
    assert again.id != job.id
    same = [[step.request for step in of.steps] for of in (job, again)]
    assert same[0] == same[1]
    names["fractal"].close()


async def test_from_submission_to_retry(fractal: Fractal, call: Call, tmp_path: Path) -> None:
    make_dataset(fractal, 3)
    tasks = json.loads((await call("GET", "tasks")).body)["items"]
    key = next(task["id"] for task in tasks if task["name"] == "Toy Parallel")
    gate = tmp_path / "gate"
    body = {"task_id": key, "dataset_id": 1, "args": {"gate": str(gate)}, "name": "mine"}
    answer = await call("POST", "jobs", body)
    assert answer.code == 201, answer.body
    job = json.loads(answer.body)
    assert (job["name"], job["status"]) == ("mine", "submitted")
    assert fractal.jobs.get(job["id"]).name == "mine"
    second = json.loads((await call("POST", "jobs", body)).body)
    await _until(call, second["id"], lambda document: document["waiting_for"])
    assert (await call("POST", f"jobs/{job['id']}/retry", {})).code == 409
    assert (await call("DELETE", f"jobs/{job['id']}")).code == 409
    for number in (second["id"], job["id"]):
        await call("POST", f"jobs/{number}/cancel")
        await _until(call, number, lambda document: document["status"] == "cancelled")
    gate.touch()
    assert (await call("POST", f"jobs/{job['id']}/retry", {"meta": {"mem": "lots"}})).code == 422
    assert (await call("POST", f"jobs/{job['id']}/retry", {"meta": {"mem": 300}})).code == 200
    done = await _until(call, job["id"], lambda document: document["status"] == "done")
    assert done["steps"][0]["done"] == 3
    (step,) = json.loads((await call("GET", f"jobs/{job['id']}/steps")).body)["items"]
    assert step["meta_parallel"]["mem"] == 300
    assert (await call("DELETE", f"jobs/{job['id']}")).code == 204
    assert (await call("GET", f"jobs/{job['id']}")).code == 404


async def _until(call: Call, key: int, condition: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        document: dict[str, Any] = json.loads((await call("GET", f"jobs/{key}")).body)
        if condition(document):
            return document
        assert time.monotonic() < deadline, document
        await asyncio.sleep(0.05)


async def test_what_a_step_ran_in(fractal: Fractal, call: Call) -> None:
    job = fractal.submit("Toy Copy", make_dataset(fractal, 1)).wait(60)
    path = f"jobs/{job.id}/steps/0/environment"
    found = json.loads((await call("GET", path)).body)
    assert found == {
        "package": "toy-tasks",
        "version": "1.0",
        "origin": "wheel",
        "lock": None,
        "source": None,
    }
    digest = "sha256:" + "a" * 64
    lock = Lock("3.11.7", "linux-x86_64-glibc", (Distribution("toy", "1.0", hashes=(digest,)),))
    document = {**found, "lock": lock.to_document(), "source": {"commit": "c0ffee"}}
    key = fractal._store.environments.remember(document)
    with fractal._store.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE steps SET environment = '{key}'")
    found = json.loads((await call("GET", path)).body)
    assert found == {**document, "lock": {**document["lock"], "digest": lock.digest}}
    assert (await call("GET", f"jobs/{job.id}/steps/1/environment")).code == 404


async def test_jobs_of_others_are_not_there(fractal: Fractal, call: Call) -> None:
    job = fractal.submit("Toy Copy", make_dataset(fractal, 1)).wait(60)
    with fractal._store.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET owner = 'somebody else'")
    assert json.loads((await call("GET", "jobs")).body)["items"] == []
    for path in (
        "",
        "/steps",
        "/steps/0/environment",
        "/units",
        "/units/0",
        "/units/0/log",
        "/units/0/output",
    ):
        assert (await call("GET", f"jobs/{job.id}{path}")).code == 404
    for path in ("/cancel", "/retry"):
        assert (await call("POST", f"jobs/{job.id}{path}")).code == 404
    assert (await call("DELETE", f"jobs/{job.id}")).code == 404


async def test_pages(fractal: Fractal, call: Call) -> None:
    dataset = make_dataset(fractal, 5)
    first = fractal.submit("Toy Parallel", dataset, args=BROKEN).wait(60)
    second = fractal.submit("Toy Copy", dataset).wait(60)
    page = json.loads((await call("GET", "jobs", limit=1)).body)
    assert ([job["id"] for job in page["items"]], page["next"]) == ([second.id], second.id)
    page = json.loads((await call("GET", "jobs", limit=1, before=page["next"])).body)
    assert ([job["id"] for job in page["items"]], page["next"]) == ([first.id], None)
    page = json.loads((await call("GET", "jobs", status="failed")).body)
    assert ([job["id"] for job in page["items"]], page["total"]) == ([first.id], 1)
    page = json.loads((await call("GET", f"jobs/{first.id}/units", offset=3, limit=1)).body)
    assert ([unit["index"] for unit in page["items"]], page["total"]) == ([3], 5)
    assert page["next"] == 4
    assert (await call("GET", "jobs", stauts="failed")).code == 422
    assert (await call("GET", "jobs", status="red")).code == 422
    assert (await call("GET", f"jobs/{first.id}/units", limit=0)).code == 422


async def test_whoever_retries_a_job_holds_up_nobody(
    fractal: Fractal, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(fractal, 1)
    key = fractal.submit("Toy Parallel", dataset, args={"behaviour": "raise"}).wait(60).id
    answered = threading.Event()

    def retry(job: Job, *, meta: Any) -> Job:
        answered.wait(60)  # as long as a machine behind SSH takes that does not answer
        return job

    monkeypatch.setattr(Job, "retry", retry)
    more_than_threads = FractalExtension.store_threads.default_value + 1
    retries = [
        asyncio.ensure_future(call("POST", f"jobs/{key}/retry", {}))
        for _ in range(more_than_threads)
    ]
    try:
        assert (await asyncio.wait_for(call("GET", "jobs"), 30)).code == 200
    finally:
        answered.set()
    assert {answer.code for answer in await asyncio.gather(*retries)} == {200}


async def test_a_request_that_takes_long_holds_up_nobody(fractal: Fractal, call: Call) -> None:
    make_dataset(fractal, 1)
    with fractal._store.database.write():  # whoever wants to write waits for us
        body = {"name": "w", "steps": [{"task": "Toy Copy"}]}
        waiting = asyncio.ensure_future(call("POST", "workflows", body))
        assert (await asyncio.wait_for(call("GET", "jobs"), 10)).code == 200
        assert not waiting.done()
    assert (await waiting).code == 201

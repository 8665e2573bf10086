"""Jobs over REST: the same jobs as in notebooks."""

from __future__ import annotations

import json
from typing import Any

from fractal_jupyter import Fractal
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

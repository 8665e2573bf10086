"""Long lists stay quick: what a page costs, of the server and of who asks, together.

Processor time: it is what counts for a server, and the same however busy the machine is.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa

from fractal_jupyter import Fractal
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.tables import images, jobs, steps, units
from tests.server.conftest import Call
from tests.toy import make_dataset

JOBS, IMAGES, UNITS = 10_000, 100_000, 100_000
MOST_SECONDS = 0.1


@pytest.fixture
def large(fractal: Fractal) -> Fractal:
    """A store with long lists."""
    dataset = make_dataset(fractal, 1)
    one = fractal.submit("Toy Copy", dataset).wait(60)
    with fractal._store.database.write() as connection:
        job = connection.execute(sa.select(jobs)).one()._asdict()
        step = connection.execute(sa.select(steps)).one()._asdict()
        unit = connection.execute(sa.select(units)).one()._asdict()
        keys = range(one.id + 1, one.id + JOBS)
        connection.execute(sa.insert(jobs), [{**job, "id": key} for key in keys])
        connection.execute(sa.insert(steps), [{**step, "job_id": key} for key in keys])
        connection.execute(
            sa.insert(units), [{**unit, "index": index} for index in range(1, UNITS)]
        )
        connection.execute(
            sa.insert(images),
            [
                {
                    "dataset_id": 1,
                    "zarr_url": f"/data/{number}.zarr",
                    "attributes": {"well": f"B{number % 96:02}", "plate": "p"},
                    "types": {"is_3D": number % 2 == 0},
                }
                for number in range(IMAGES)
            ],
        )
    assert job["owner"] == current_user()
    return fractal


@pytest.mark.slow
async def test_a_page_of_a_long_list(large: Fractal, jp_fetch: Call) -> None:
    async def seconds(path: str, **query: Any) -> float:
        took = []
        for _ in range(3):
            begun = time.process_time()
            answer = await jp_fetch("fractal/api", *path.split("/"), params=query)
            took.append(time.process_time() - begun)
            assert answer.code == 200, answer.body
        return min(took)

    wells = json.dumps({"well": ["B95"]})
    pages: dict[tuple[str, str], dict[str, Any]] = {
        ("jobs", "the newest"): {},
        ("jobs", "the oldest"): {"before": 101},
        ("jobs", "of a status"): {"status": "done", "before": 101},
        ("jobs/1/units", "first"): {},
        ("jobs/1/units", "last"): {"offset": UNITS - 100},
        ("jobs/1/units", "of a status"): {"status": "done", "offset": UNITS - 100},
        ("jobs/1/units", "failed"): {"status": "failed"},
        ("datasets/1/images", "first"): {},
        ("datasets/1/images", "last"): {"offset": IMAGES - 100},
        ("datasets/1/images", "of a well"): {"attribute_filters": wells},
        ("datasets/1/images", "of a type"): {"type_filters": json.dumps({"is_3D": False})},
        ("datasets/1/images", "by name"): {"search": "9999"},
        ("jobs/1", ""): {},
        ("server", ""): {},
    }
    took = {page: await seconds(page[0], **query) for page, query in pages.items()}
    slow = {page: round(time, 3) for page, time in took.items() if time > MOST_SECONDS}
    assert not slow

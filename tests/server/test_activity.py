"""What counts as use of a server, which cullers go by: what Jupyter's own status says."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from fractal_jupyter.schedulers.processes import identity
from fractal_jupyter.server import events
from tests.server.conftest import Call
from tests.toy import make_dataset


@pytest.fixture(autouse=True)
def _at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "CARE_SECONDS", 0.0)


@pytest.fixture
def counts() -> bool:
    """Whether local work counts, as it does by default."""
    return True


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any], counts: bool) -> dict[str, Any]:
    extension = {**jp_server_config["FractalExtension"], "watch_seconds": 0.05}
    if not counts:
        extension["local_work_is_activity"] = False
    return {**jp_server_config, "FractalExtension": extension}


@pytest.fixture
def job(fractal: Fractal, tmp_path: Path) -> Iterator[Job]:
    """A local job that waits in the middle of its work."""
    gate = tmp_path / "gate"
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 1), args={"gate": str(gate)})
    yield job
    gate.touch()
    job.wait(60)


async def last_used(jp_fetch: Call) -> datetime:
    """When the server was used last; asking is no use of it."""
    answer = await jp_fetch("api", "status")
    return datetime.fromisoformat(json.loads(answer.body)["last_activity"])


Look = Callable[[], Awaitable[None]]


@pytest.fixture
def look(fractal: Fractal, call: Call, jp_ws_fetch: Callable[..., Awaitable[Any]]) -> Look:
    """Waits until the server has looked at the store once more, without a request that counts."""
    numbers = itertools.count()
    sockets: list[Any] = []

    async def once_more() -> None:
        if not sockets:
            await call("GET", "server", no_track_activity=1)
            sockets.append(await jp_ws_fetch("api", "events", "subscribe"))
        name = f"looked at {next(numbers)}"
        made = fractal._store.datasets.add(name, zarr_dir="/data", project_dir="/data")
        change = {"kind": "dataset", "id": made.id}
        while True:
            event = json.loads(await asyncio.wait_for(sockets[0].read_message(), 30))
            if change in event.get("changes", []):
                return

    return once_more


async def test_a_server_with_a_local_job_is_used_and_without_it_is_not(
    job: Job, tmp_path: Path, look: Look, jp_fetch: Call
) -> None:
    await look()
    first = await last_used(jp_fetch)
    await look()
    assert await last_used(jp_fetch) > first
    (tmp_path / "gate").touch()
    while job.status != "done":
        await look()
    await look()
    last = await last_used(jp_fetch)
    await look()
    assert await last_used(jp_fetch) == last


@pytest.mark.parametrize("counts", [False])
async def test_where_the_administrator_says_so_it_is_not(
    job: Job, look: Look, jp_fetch: Call
) -> None:
    await look()
    first = await last_used(jp_fetch)
    await look()
    assert await last_used(jp_fetch) == first
    assert job.status in ("submitted", "running")


async def test_an_environment_that_is_built_counts_until_its_process_is_gone(
    fractal: Fractal, look: Look, jp_fetch: Call
) -> None:
    store = fractal._store
    activity = store.activities.begin(action="collect", subject="toys")
    await look()
    first = await last_used(jp_fetch)
    await look()
    assert await last_used(jp_fetch) > first
    with subprocess.Popen(["sleep", "60"]) as process:
        gone = identity(process.pid)
        process.kill()
    store.activities.hand_over(activity.id, gone)
    await look()
    last = await last_used(jp_fetch)
    await look()
    assert await last_used(jp_fetch) == last
    assert store.activities.get(activity.id).error_type == "ActivityLost"


async def test_requests_count_unless_they_ask_not_to(call: Call, jp_fetch: Call) -> None:
    first = await last_used(jp_fetch)
    await call("GET", "jobs", no_track_activity=1)
    assert await last_used(jp_fetch) == first
    await call("GET", "jobs")
    assert await last_used(jp_fetch) > first

"""Changes reach whoever listens, whoever made them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fractal_jupyter import Fractal
from tests.server.conftest import Call
from tests.toy import make_dataset


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any]) -> dict[str, Any]:
    extension = {**jp_server_config["FractalExtension"], "watch_seconds": 0.05}
    return {**jp_server_config, "FractalExtension": extension}


async def test_what_a_notebook_does_is_told(
    fractal: Fractal, call: Call, jp_ws_fetch: Callable[..., Awaitable[Any]]
) -> None:
    await call("GET", "server")
    socket = await jp_ws_fetch("api", "events", "subscribe")
    told: set[tuple[str, int | None]] = set()

    async def until(*wanted: tuple[str, int | None]) -> None:
        while not set(wanted) <= told:
            event = json.loads(await asyncio.wait_for(socket.read_message(), 30))
            if "changes" in event:
                told.update((change["kind"], change["id"]) for change in event["changes"])

    dataset = make_dataset(fractal, 2)
    await until(("dataset", 1))
    job = fractal.submit("Toy Copy", dataset)
    told.clear()
    await until(("job", job.id))
    while job.status != "done":
        told.clear()
        await until(("job", job.id))
    told.clear()
    fractal.jobs.remove(job.id)
    await until(("job", None))
    fractal.workflows.create("w", steps=[{"task": "Toy Copy"}])
    await until(("workflow", 1))
    fractal.resources.update("Local resource", warm=False)
    await until(("resource", 1))
    await call("POST", "resources/1/check", {})
    await until(("activity", 1))
    socket.close()

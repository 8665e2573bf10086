"""Everything but jobs, over REST: what is made there is there in notebooks, and the other way."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from fractal_jupyter import Fractal
from tests.client.test_resources import local
from tests.client.test_updating import IMPORT, add_core
from tests.engine.test_arguments import FLAT
from tests.engine.test_updating import MENDED
from tests.environments.packages import make_task_wheel
from tests.server.conftest import Call
from tests.toy import make_dataset


def read(response: HTTPResponse, status: int = 200) -> Any:
    assert response.code == status, response.body
    return json.loads(response.body) if response.body else None


async def over(call: Call, activity: dict[str, Any], *, seconds: float = 120) -> dict[str, Any]:
    """The activity when it is over."""
    deadline = time.monotonic() + seconds
    while activity["status"] in ("pending", "ongoing"):
        assert time.monotonic() < deadline, activity
        await asyncio.sleep(0.05)
        activity = read(await call("GET", f"activities/{activity['id']}"))
    return activity


async def test_server(fractal: Fractal, call: Call) -> None:
    about = read(await call("GET", "server"))
    assert about["profile_id"] == 1
    schemas = read(await call("GET", "schemas"))
    assert schemas["resource"].keys() == schemas["profile"].keys()
    assert "jobs_local_dir" in schemas["resource"]["local"]["properties"]


async def test_resources_and_profiles(fractal: Fractal, call: Call) -> None:
    added = read(await call("POST", "resources", {"document": local()}), 201)
    assert fractal.resources.get("Second").document == added["document"] == local()
    assert added in read(await call("GET", "resources"))["items"]
    place = f"resources/{added['id']}"
    changed = read(await call("PUT", place, {"document": local(name="Third"), "warm": False}))
    assert (changed["name"], changed["warm"]) == ("Third", False)
    assert read(await call("GET", place)) == changed

    mine = {"name": "Mine", "resource_type": "local"}
    body = {"document": mine, "resource_id": added["id"]}
    profile = read(await call("POST", "profiles", body), 201)
    assert (profile["resource"], fractal.profiles.get("Mine").document) == ("Third", mine)
    assert "needed by profile 'Mine'" in read(await call("DELETE", place), 409)["message"]
    body = {"document": {**mine, "name": "Ours"}}
    assert read(await call("PUT", f"profiles/{profile['id']}", body))["name"] == "Ours"
    told = read(await call("POST", f"profiles/{profile['id']}/trust", {"fingerprint": "x"}), 409)
    assert told["reason"] == "not_allowed"
    assert len(read(await call("GET", "profiles"))["items"]) == 2
    read(await call("DELETE", f"profiles/{profile['id']}"), 204)
    read(await call("DELETE", place), 204)
    assert read(await call("GET", place), 404)["reason"] == "not_found"


async def test_wrong_documents_are_told_field_by_field(fractal: Fractal, call: Call) -> None:
    document = local(jobs_local_dir="relative", surplus=1)
    told = read(await call("POST", "resources", {"document": document}), 422)
    assert told["reason"] == "invalid_document"
    assert {field["path"] for field in told["fields"]} == {"jobs_local_dir", "surplus"}
    # a document is never a path
    told = read(await call("POST", "resources", {"document": "/etc/passwd"}), 422)
    assert (told["reason"], told["fields"][0]["path"]) == ("bad_request", "document")
    told = read(await call("POST", "resources", {"document": {}, "warmth": 1}), 422)
    assert told["fields"][0]["path"] == "warmth"


async def test_checks(fractal: Fractal, call: Call) -> None:
    for path in ("resources/1/check", "profiles/1/check"):
        activity = read(await call("POST", path, {}), 202)
        activity = await over(call, activity)
        assert activity["status"] == "OK"
        assert all(check["ok"] for check in activity["result"]), activity["result"]
        log = (await call("GET", f"activities/{activity['id']}/log")).body.decode()
        assert log.count("\n") == len(activity["result"])


async def test_collecting(fractal: Fractal, call: Call, tmp_path: Path) -> None:
    wheel = make_task_wheel(tmp_path)
    for _ in range(2):  # the second time it is there already
        activity = read(await call("POST", "task_groups", {"requirement": str(wheel)}), 202)
        activity = await over(call, activity)
        assert activity["status"] == "OK", activity["error"]
        place = f"task_groups/{activity['task_group_id']}"
        assert read(await call("GET", place))["package"] == "my-tasks"
    (group,) = [group for group in fractal.task_groups.list() if group.package == "my-tasks"]
    first, second = group.activities
    assert first.log
    log = await call("GET", f"activities/{first.id}/log")
    assert log.body.decode() == first.log
    assert log.headers["Fractal-Log-Complete"] == "true"
    tail = await call("GET", f"activities/{first.id}/log", tail="true", limit=10)
    assert tail.body.decode() == first.log[-10:]
    assert "already" in second.log
    refused = await call("POST", "task_groups", {"requirement": "/none.whl"})
    assert (refused.code, b"none.whl" in refused.body) == (422, True)


async def test_the_life_of_a_task_group(fractal: Fractal, call: Call, tmp_path: Path) -> None:
    wheel = make_task_wheel(tmp_path)
    content = base64.b64encode(wheel.read_bytes()).decode()
    sent = read(await call("POST", "packages", {"name": wheel.name, "content": content}), 201)
    wheel.unlink()
    body = {"requirement": sent["requirement"]}
    collected = await over(call, read(await call("POST", "task_groups", body), 202))
    place = f"task_groups/{collected['task_group_id']}"
    lock = await call("GET", f"{place}/lock")
    assert lock.headers["Content-Type"].startswith("text/plain")
    assert f"# wheel: {wheel.name} {sent['sha256']}" in lock.body.decode()
    assert read(await call("GET", f"{place}/wheel")) == {"name": wheel.name, "content": content}
    for verb, active in (("deactivate", False), ("reactivate", True)):
        ended = await over(call, read(await call("POST", f"{place}/{verb}"), 202))
        assert ended["status"] == "OK", ended["error"]
        group = read(await call("GET", place))
        assert (group["active"], group["origin"]) == (active, "wheel")
    assert (await call("POST", f"{place}/reactivate")).code == 409
    custom = {"package": "my-tasks", "python": fractal.task_groups.get("my-tasks").python}
    ended = await over(call, read(await call("POST", "task_groups/custom", custom), 202))
    assert ended["status"] == "OK", ended["error"]
    own = f"task_groups/{ended['task_group_id']}"
    assert (await call("GET", f"{own}/lock")).code == 409
    assert (await call("GET", f"{own}/wheel")).code == 404
    assert (await over(call, read(await call("DELETE", own), 202)))["status"] == "OK"
    fractal.workflows.create("w", steps=[{"task": "Do it"}])
    refused = await call("DELETE", place)
    assert (refused.code, b"used by the workflow 'w'" in refused.body) == (409, True)
    fractal.workflows.remove("w")
    unused = read(await call("GET", "task_groups/unused", unused_for="0"))
    assert [each["what"] for each in unused["items"] if each["kind"] == "task group"] == [
        "my-tasks 1.0"
    ]
    nothing = read(await call("POST", "task_groups/clean", {"unused_for": 0, "items": []}), 202)
    assert nothing["items"] == []
    seen = [
        {name: each[name] for name in ("kind", "resource", "folder")} for each in unused["items"]
    ]
    body = {"unused_for": 0, "items": seen}
    for activity in read(await call("POST", "task_groups/clean", body), 202)["items"]:
        assert (await over(call, activity))["status"] == "OK"
    assert not read(await call("GET", place))["active"]
    done = read(await call("POST", f"activities/{collected['id']}/cancel"), 202)
    assert (done["status"], done["cancel_requested"]) == ("OK", False)
    assert (await over(call, read(await call("DELETE", place), 202)))["status"] == "OK"
    assert (await call("GET", place)).code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": "../x.whl", "content": ""},
        {"name": "x.py", "content": ""},
        {"name": "x.whl/../y.whl", "content": ""},
        {"name": "x.whl\n", "content": ""},
        {"name": "x-1-py3-none-any.whl", "content": "not base64!"},
    ],
)
async def test_what_is_no_package_is_not_kept(call: Call, body: dict[str, str]) -> None:
    assert (await call("POST", "packages", body)).code == 422


async def test_tasks(fractal: Fractal, call: Call) -> None:
    (group,) = read(await call("GET", "task_groups"))["items"]
    assert read(await call("GET", f"task_groups/{group['id']}")) == group
    tasks = read(await call("GET", "tasks", package="toy-tasks"))["items"]
    assert [task["name"] for task in tasks] == group["tasks"]
    assert read(await call("GET", "tasks", version="0"))["items"] == []
    task = read(await call("GET", f"tasks/{tasks[0]['id']}"))
    assert task["args_schema_parallel"] == fractal.tasks.get(task["name"]).args_schema_parallel


async def test_datasets_and_images(fractal: Fractal, call: Call) -> None:
    body = {"name": "d", "zarr_dir": "/data/"}
    made = read(await call("POST", "datasets", body), 201)
    assert (made["zarr_dir"], made["project_dir"], made["images"]) == ("/data", "/data", 0)
    assert read(await call("POST", "datasets", body), 409)["reason"] == "already_exists"
    place = f"datasets/{made['id']}"
    images = [
        {
            "zarr_url": f"/data/{number}.zarr",
            "attributes": {"well": f"B{number % 3:02}", "field": number, "odd": number % 2 == 1},
            "types": {"is_3D": True} if number < 6 else {},
        }
        for number in range(10)
    ]
    assert read(await call("POST", f"{place}/images", {"images": images}), 201) == {"count": 10}
    assert read(await call("POST", f"{place}/images", {"images": images}), 409)
    assert len(fractal.datasets.get("d").images) == 10

    async def numbers(**query: Any) -> list[int]:
        texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in query.items()}
        page = read(await call("GET", f"{place}/images", **texts))
        assert page["total"] == len(page["items"]) or "limit" in query
        return [image["attributes"]["field"] for image in page["items"]]

    assert await numbers() == list(range(10))
    assert await numbers(offset=8, limit=5) == [8, 9]
    assert await numbers(search="7.za") == [7]
    assert await numbers(search="%") == []
    assert await numbers(type_filters={"is_3D": False}) == [6, 7, 8, 9]
    assert await numbers(type_filters={"is_3D": True, "other": False}, limit=2) == [0, 1]
    assert await numbers(attribute_filters={"well": ["B00", "B01"]}) == [0, 1, 3, 4, 6, 7, 9]
    assert await numbers(attribute_filters={"field": [2, 3], "odd": [True]}) == [3]
    assert await numbers(attribute_filters={'a"b.c': ["x"]}) == []
    told = read(await call("GET", f"{place}/images", type_filters="{"), 422)
    assert told["fields"][0]["path"] == "type_filters"

    update = {"images": [{"zarr_url": "/data/0.zarr", "attributes": {"field": 100}}]}
    assert read(await call("PUT", f"{place}/images", update)) == {"count": 1}
    assert fractal.datasets.get("d").images[0].attributes == {"field": 100}
    removal = {"zarr_urls": ["/data//0.zarr", "/data/none.zarr"]}
    assert read(await call("POST", f"{place}/images/remove", removal)) == {"count": 1}
    told = read(await call("POST", f"{place}/images/remove", {"zarr_urls": ["relative"]}), 422)
    assert told["fields"][0]["path"] == "zarr_urls[0]"
    outside = {"images": [{"zarr_url": "/elsewhere/0.zarr"}]}
    assert "must be below" in read(await call("POST", f"{place}/images", outside), 422)["message"]
    read(await call("DELETE", place), 204)
    assert fractal.datasets.list() == []


async def test_scan(fractal: Fractal, call: Call, tmp_path: Path) -> None:
    fractal.datasets.create("d", zarr_dir=tmp_path / "none")
    activity = await over(call, read(await call("POST", "datasets/1/scan", {}), 202))
    assert (activity["status"], str(tmp_path / "none") in activity["error"]) == ("failed", True)
    (tmp_path / "none").mkdir()
    activity = await over(call, read(await call("POST", "datasets/1/scan", {}), 202))
    assert activity["result"] == {"found": 0, "added": 0}
    page = read(await call("GET", "activities", limit=1))
    assert (page["items"], page["next"]) == ([activity], activity["id"])
    page = read(await call("GET", "activities", limit=1, before=page["next"]))
    assert (page["items"][0]["status"], page["next"]) == ("failed", None)


async def test_what_goes_on_is_found_behind_what_is_over(fractal: Fractal, call: Call) -> None:
    activities = fractal._store.activities
    going = activities.begin(action="collect", subject="large")
    over = [activities.begin(action="check", subject=f"{k}").id for k in range(3)]
    for key in over:
        activities.end(key, error=None)
    page = read(await call("GET", "activities", limit=3))
    assert [each["id"] for each in page["items"]] == over[::-1]
    page = read(await call("GET", "activities", status="ongoing", limit=1))
    assert ([each["id"] for each in page["items"]], page["next"]) == ([going.id], None)
    read(await call("GET", "activities", status="red"), 422)


async def test_workflows_and_plans(fractal: Fractal, call: Call) -> None:
    make_dataset(fractal, 3)
    steps = [{"task": "Toy Parallel"}, {"task": "Toy Copy"}]
    made = read(await call("POST", "workflows", {"name": "w", "steps": steps}), 201)
    assert list(fractal.workflows.get("w").steps) == steps == made["steps"]
    plan = read(await call("POST", "plans", {"workflow_id": made["id"], "dataset_id": 1}))
    assert [(step["task"], step["images"]) for step in plan["steps"]] == [
        ("Toy Parallel", 3),
        ("Toy Copy", None),
    ]
    assert plan["steps"][0]["phases"][0]["units"] == 3
    place = f"workflows/{made['id']}"
    assert read(await call("PUT", place, {"steps": steps[:1]}))["steps"] == steps[:1]
    told = read(await call("PUT", place, {"steps": [{"tsk": "x"}]}), 422)
    assert "steps[0].tsk" in {field["path"] for field in told["fields"]}
    assert read(await call("GET", "workflows"))["items"] == [read(await call("GET", place))]
    read(await call("DELETE", place), 204)
    told = read(await call("POST", "plans", {"workflow_id": made["id"], "dataset_id": 1}), 404)
    told = read(await call("POST", "plans", {"dataset_id": 1}), 422)
    assert "either task_id or workflow_id" in told["message"]


async def test_steps_are_updated_to_other_versions(fractal: Fractal, call: Call) -> None:
    add_core(fractal, "2.0.2")
    add_core(fractal, "2.1.0")
    body = {"name": "w", "steps": [IMPORT, {"task": "Toy Copy"}]}
    place = f"workflows/{read(await call('POST', 'workflows', body), 201)['id']}/updates"
    (update,) = read(await call("GET", place, profile_id=1))["items"]
    assert (update["position"], update["before"], update["version"]) == (0, "2.0.2", "2.1.0")
    assert len(update["problems"]) == len(FLAT) - 1
    task = read(await call("GET", f"tasks/{update['task_id']}"))
    assert [one["version"] for one in task["versions"]] == ["2.1.0", "2.0.2"]
    assert "advanced_options" in task["args_schema_non_parallel"]["properties"]

    wanted = {"step": 0, "version": "2.1.0", "known": IMPORT}
    assert read(await call("POST", f"{place}/plan", wanted)) == update
    refused = read(await call("POST", place, wanted), 422)
    assert (refused["reason"], refused["fields"]) == ("invalid_arguments", update["problems"])
    mended = {**wanted, "args": MENDED}
    assert read(await call("POST", f"{place}/plan", mended))["problems"] == []
    assert fractal.workflows.get("w").steps[0] == IMPORT
    now = read(await call("POST", place, mended))
    assert now["steps"][0] == {**IMPORT, "version": "2.1.0", "args": MENDED}
    assert read(await call("GET", place))["items"] == []

    # what the client knew is not what is there
    assert "in the meantime" in read(await call("POST", place, mended), 409)["message"]
    assert read(await call("POST", place, {"step": 7}), 404)
    assert read(await call("POST", place, {"step": 7, "known": {}}), 409)


async def test_tasks_are_searched(fractal: Fractal, call: Call) -> None:
    add_core(fractal, "2.1.0")

    async def names(**query: str) -> list[str]:
        return [task["name"] for task in read(await call("GET", "tasks", **query))["items"]]

    assert (await names(search="IMAGE project"))[0] == "Project Image"
    assert await names(category="segmentation") == ["Threshold Segmentation"]
    assert "Import OME-Zarr" in await names(tag="2d", package="fractal-tasks-core")
    assert await names(modality="hcs", search="registration") == [
        "Calculate Registration (image-based)"
    ]
    assert await names(search="nonsense") == []


async def test_arguments_are_told_field_by_field(fractal: Fractal, call: Call) -> None:
    make_dataset(fractal, 1)
    tasks = read(await call("GET", "tasks"))["items"]
    key = next(task["id"] for task in tasks if task["name"] == "Toy Parallel")
    body = {"task_id": key, "dataset_id": 1, "args": {"seconds": "long"}}
    told = read(await call("POST", "jobs", body), 422)
    assert told["reason"] == "invalid_arguments"
    assert told["fields"][0]["path"] == "args_parallel.seconds"

"""Every task of real packages: what a form has once its required fields are filled in is taken."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fractal_jupyter import Fractal
from fractal_jupyter.engine.planning import RESERVED
from tests.client.test_updating import add_core
from tests.engine.test_arguments import DATA
from tests.server.conftest import Call
from tests.toy import add_task_group

CONVERTERS = Path(__file__).parents[1] / "widgets" / "data" / "fractal_uzh_converters_0.7.1.json.gz"
PARTS = ("non_parallel", "parallel")


def filled_in(schema: Any, root: Any, *, hidden: Iterable[str] = ()) -> Any:
    """The least that a schema takes, as somebody fills in a form who leaves alone what may be."""
    while "$ref" in schema:
        schema = root["$defs" if "$defs" in root else "definitions"][schema["$ref"].split("/")[-1]]
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            return filled_in(schema[kind][0], root)
    if "default" in schema:
        return schema["default"]
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    match schema["type"]:
        case "object":
            names = [name for name in schema.get("required", ()) if name not in hidden]
            return {name: filled_in(schema["properties"][name], root) for name in names}
        case "array":
            return [filled_in(schema["items"], root) for _ in range(schema.get("minItems", 1))]
        case "string":
            return "a"
        case "integer" | "number":
            return schema.get("minimum", 1)
        case other:
            return {"boolean": True, "null": None}[other]


async def test_forms_of_real_tasks_are_taken(fractal: Fractal, call: Call, tmp_path: Path) -> None:
    manifest = json.loads(gzip.decompress(CONVERTERS.read_bytes()))
    version = manifest["args_schema_version"]
    tasks = [{**task, "args_schema_version": version} for task in manifest["task_list"]]
    add_task_group(
        fractal._store,
        tasks,
        package="fractal-uzh-converters",
        version="0.7.1",
        folder=str(tmp_path),
    )
    for recorded in DATA.glob("fractal_tasks_core_*.json"):
        add_core(fractal, recorded.stem.rpartition("_")[2], package_root=str(tmp_path))
    packages = ("fractal-tasks-core", "fractal-uzh-converters")
    listed = json.loads((await call("GET", "tasks")).body)["items"]
    real = [task for task in listed if task["package"] in packages]
    refused = {}
    for number, each in enumerate(real):
        task = json.loads((await call("GET", f"tasks/{each['id']}")).body)
        dataset = fractal.datasets.create(f"d{number}", zarr_dir="/data")
        dataset.add_images([{"zarr_url": f"/data/{number}.zarr", "types": each["input_types"]}])
        schemas = {part: task[f"args_schema_{part}"] for part in PARTS}
        body = {
            f"args_{part}": filled_in(schema, schema, hidden=RESERVED)
            for part, schema in schemas.items()
            if schema
        }
        ids = {"task_id": each["id"], "dataset_id": number + 1}
        answer = await call("POST", "plans", {**body, **ids})
        if answer.code != 200:
            refused[f"{each['name']} {each['version']}"] = json.loads(answer.body)["message"]
    assert {task["package"] for task in real} == set(packages)
    assert not refused

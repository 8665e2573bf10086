"""What the views of JupyterLab are made from: schemas of documents, and timelines of jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator

from fractal_jupyter import Fractal
from fractal_jupyter.store.tables import profiles, resources
from tests.server.conftest import Call
from tests.toy import make_dataset


async def read(call: Call, path: str) -> Any:
    response = await call("GET", path)
    assert response.code == 200, response.body
    return json.loads(response.body)


async def test_schemas_say_what_fields_mean(fractal: Fractal, call: Call) -> None:
    schemas = await read(call, "schemas")
    for kinds in (schemas["resource"], schemas["profile"]):
        for schema in kinds.values():
            Draft202012Validator.check_schema(schema)
            assert all(field["description"] for field in schema["properties"].values())
    assert "Memory of one unit" in schemas["meta"]["properties"]["mem"]["description"]
    begun = schemas["begun"]
    assert begun.keys() == schemas["resource"].keys()
    default = begun["local"]["tasks_python_config"]["default_version"]
    assert default in begun["local"]["tasks_python_config"]["versions"]


async def test_what_an_administrator_gave_says_so(fractal: Fractal, call: Call) -> None:
    assert (await read(call, "resources/1"))["source"] is None
    with fractal._store.database.write() as connection:
        for table in (resources, profiles):
            connection.execute(sa.update(table).values(source="/etc/jupyter/fractal/one.json"))
    for path in ("resources/1", "profiles/1"):
        assert (await read(call, path))["source"] == "/etc/jupyter/fractal/one.json"


@pytest.mark.filterwarnings("ignore::fractal_jupyter.errors.AdministratorsFileWarning")
async def test_what_of_an_administrators_files_is_wrong_is_told(
    fractal: Fractal, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await read(call, "server"))["problems"] == []
    folder = tmp_path / "etc" / "fractal" / "cluster"
    folder.mkdir(parents=True)
    (folder / "resource.json").write_text("{")
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "etc"))
    for _ in range(2):
        (problem,) = (await read(call, "server"))["problems"]
        assert str(folder / "resource.json") in problem
    (folder / "resource.json").unlink()
    assert (await read(call, "server"))["problems"] == []


@pytest.mark.slow
async def test_the_timeline_of_a_job(fractal: Fractal, call: Call) -> None:
    dataset = make_dataset(fractal, 3)
    only = {"behaviour": "raise", "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=only).wait(60)
    found = await read(call, f"jobs/{job.id}/timeline")
    units = job.units()
    assert found["index"] == [unit.index for unit in units]
    assert [found["statuses"][code] for code in found["status"]] == [unit.status for unit in units]
    assert min(found["started"]) == 0
    for unit, started, ended, node in zip(
        units, found["started"], found["ended"], found["node"], strict=True
    ):
        assert found["origin"] + started == pytest.approx(unit.started, abs=0.01)
        assert found["origin"] + ended == pytest.approx(unit.ended, abs=0.01)
        assert (None if node is None else found["nodes"][node]) == unit.node
    assert found["now"] >= found["origin"]


async def test_a_timeline_of_no_job(fractal: Fractal, call: Call) -> None:
    assert (await call("GET", "jobs/7/timeline")).code == 404

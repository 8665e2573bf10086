"""Workflows follow their tasks to other versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.engine.updating import NewValues
from fractal_jupyter.errors import (
    Ambiguous,
    InvalidArguments,
    InvalidDocument,
    NotAllowed,
    NotFound,
)
from fractal_jupyter.runner.updating import update_step
from tests.engine.test_arguments import DATA, FLAT
from tests.engine.test_updating import MENDED
from tests.toy import add_task_group

IMPORT = {
    "task": "Import OME-Zarr",
    "package": "fractal-tasks-core",
    "version": "2.0.2",
    "args": FLAT,
}
PROJECT = {"task": "Project Image", "version": "2.1.0"}


def add_core(fractal: Fractal, version: str, **more: Any) -> None:
    """Register the tasks of a recorded manifest of fractal-tasks-core."""
    manifest = json.loads((DATA / f"fractal_tasks_core_{version}.json").read_text())
    schemas = manifest["args_schema_version"]
    tasks = [{**task, "args_schema_version": schemas} for task in manifest["task_list"]]
    add_task_group(
        fractal._store,
        tasks,
        package="fractal-tasks-core",
        version=version,
        folder=f"/core-{version}",
        **more,
    )


@pytest.fixture
def fractal(fractal: Fractal) -> Fractal:
    add_core(fractal, "2.0.2")
    add_core(fractal, "2.1.0")
    return fractal


def test_nothing_changes_until_all_fits(fractal: Fractal) -> None:
    workflow = fractal.workflows.create("w", steps=[PROJECT, IMPORT])
    with pytest.raises(InvalidArguments) as caught:
        workflow.update_task(1, version="2.1.0")
    assert str(caught.value).splitlines()[:2] == [
        "Step 1 of the workflow 'w' does not fit 'Import OME-Zarr' of fractal-tasks-core 2.1.0, "
        "and nothing was changed:",
        "  args_non_parallel.update_omero_metadata: found True (a boolean); allowed: no such name "
        "here; it belongs in `advanced_options.update_omero_metadata`",
    ]
    assert len(caught.value.problems) == len(FLAT) - 1
    assert list(fractal.workflows.get("w").steps) == [PROJECT, IMPORT]

    assert workflow.update_task(1, version="2.1.0", args=MENDED) is workflow
    step = {**IMPORT, "version": "2.1.0", "args": MENDED}
    assert list(workflow.steps) == list(fractal.workflows.get("w").steps) == [PROJECT, step]
    # and back again
    workflow.update_task("Import OME-Zarr", version="2.0.2", args=FLAT)
    assert list(workflow.steps) == [PROJECT, IMPORT]


def test_which_steps_have_a_newer_version(
    fractal: Fractal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    unknown = {"task": "Nothing", "version": "1"}
    workflow = fractal.workflows.create("w", steps=[PROJECT, IMPORT, unknown, {"task": "Toy Copy"}])
    (update,) = workflow.updates()
    assert (update.position, update.before, update.version) == (1, "2.0.2", "2.1.0")
    assert not update.fits
    assert "5 things to change first" in repr(workflow.updates())
    assert "advanced_options.grid_roi_table.grid_y_shape" in update._text()
    assert "advanced_options.grid_roi_table.grid_y_shape" in update._repr_html_()
    planned = workflow.plan_update(1, args=MENDED)
    assert planned.fits
    assert planned.step["args"] == MENDED
    workflow.update_task(1, args=MENDED)
    assert list(workflow.updates()) == []
    assert "No newer version" in repr(workflow.updates())


def test_only_versions_that_can_be_run_count(fractal: Fractal) -> None:
    fractal.resources.add({**fractal.resources.list()[0].document, "name": "Other"})
    fractal.profiles.add({"name": "Elsewhere", "resource_type": "local"}, resource="Other")
    workflow = fractal.workflows.create("w", steps=[IMPORT])
    assert len(workflow.updates(profile="Local profile")) == 1
    assert list(workflow.updates(profile="Elsewhere")) == []


def test_a_step_without_a_version(fractal: Fractal) -> None:
    steps: list[dict[str, Any]] = [
        {"task": "Import OME-Zarr", "args": MENDED},
        {"task": "Toy Copy"},
    ]
    workflow = fractal.workflows.create("w", steps=steps)
    # two versions are collected, and it does not say which
    (update,) = workflow.updates()
    assert (update.before, update.version, update.fits) == (None, "2.1.0", True)
    workflow.update_task(0)
    assert workflow.steps[0]["version"] == "2.1.0"


def test_what_is_not_there_is_told(fractal: Fractal) -> None:
    workflow = fractal.workflows.create("w", steps=[PROJECT, IMPORT, IMPORT])
    with pytest.raises(NotFound, match=r"collected version of .* '2\.2'.*2\.1\.0"):
        workflow.update_task(1, version="2.2")
    with pytest.raises(NotFound, match=r"task of fractal-tasks-core 2\.0\.2 is called 'Project Im"):
        workflow.update_task(0, version="2.0.2")
    with pytest.raises(NotFound, match="no step 3; it has 3 steps, 0 to 2"):
        workflow.update_task(3)
    with pytest.raises(NotFound, match="Project Image"):
        workflow.update_task("Project Imag")
    with pytest.raises(Ambiguous, match="1, 2"):
        workflow.update_task("Import OME-Zarr")
    with pytest.raises(InvalidDocument, match=r"type_filters\.is_3D"):
        workflow.update_task(1, type_filters={"is_3D": "yes"})  # type: ignore[dict-item]


def test_versions_that_are_deactivated_do_not_count(fractal: Fractal) -> None:
    workflow = fractal.workflows.create("w", steps=[IMPORT])
    new = fractal.task_groups.get("fractal-tasks-core", version="2.1.0")
    fractal._store.task_groups.deactivate(new.id)
    assert list(workflow.updates()) == []
    with pytest.raises(NotAllowed, match=r"2\.1\.0 is deactivated.*reactivate\(\)"):
        workflow.update_task(0, version="2.1.0", args=MENDED)
    assert fractal.tasks.get("Import OME-Zarr", version="2.0.2").versions == ("2.0.2",)


def test_values_become_json(fractal: Fractal) -> None:
    workflow = fractal.workflows.create("w", steps=[IMPORT])
    workflow.update_task(0, args={"zarr_name": Path("a.zarr")})
    assert workflow.steps[0]["args"] == {"zarr_name": "a.zarr"}


def test_what_others_change_meanwhile_is_not_lost(fractal: Fractal) -> None:
    workflow = fractal.workflows.create("w", steps=[PROJECT, IMPORT])
    elsewhere = fractal.workflows.get("w")
    elsewhere.update_task(0, version="2.1.0", args={"overwrite": True})
    workflow.update_task(1, version="2.1.0", args=MENDED)
    changed, updated = workflow.steps
    assert changed["args"] == {"overwrite": True}
    assert updated["args"] == MENDED

    with pytest.raises(NotAllowed, match="Somebody else has changed step 1"):
        elsewhere.update_task(1, version="2.1.0", args={"zarr_name": "mine"})
    assert list(fractal.workflows.get("w").steps) == list(workflow.steps)


def test_a_workflow_that_is_gone(fractal: Fractal) -> None:
    fractal.workflows.create("w", steps=[IMPORT])
    record = fractal._store.workflows.get("w")
    fractal.workflows.remove("w")
    with pytest.raises(NotFound, match="removed in the meantime"):
        update_step(fractal._store, record, 0, version="2.1.0", new=NewValues(args=MENDED))


def test_searching(fractal: Fractal) -> None:
    found = fractal.tasks.list(search="image PROJECT")
    assert found[0].name == "Project Image"
    assert repr(found).splitlines()[2].split()[:3] == ["Project", "Image", "2.1.0"]
    assert [task.version for task in fractal.tasks.list(search="import ome-zarr")] == [
        "2.1.0",
        "2.0.2",
    ]
    assert [task.name for task in fractal.tasks.list(category="Segmentation")] == [
        "Threshold Segmentation"
    ]
    nothing = fractal.tasks.list(search="nonsense")
    assert list(nothing) == []
    assert "No task fits" in repr(nothing)
    assert "No task fits" in nothing._repr_html_()


def test_a_task_tells_its_versions(fractal: Fractal) -> None:
    task = fractal.tasks.get("Import OME-Zarr", version="2.0.2")
    assert task.versions == ("2.1.0", "2.0.2")
    assert "2.1.0, 2.0.2 (this one)" in task._text()
    assert fractal.tasks.get("Project Image").versions == ("2.1.0",)

"""Steps and other versions of their tasks, with the real manifests of fractal-tasks-core."""

from __future__ import annotations

from typing import Any

import pytest

from fractal_jupyter.engine.updating import (
    Change,
    NewValues,
    step_problems,
    task_changes,
    updated_step,
    version_order,
)
from fractal_jupyter.models.manifest import TaskEntry
from tests.engine.test_arguments import FLAT, core_tasks

OLD = core_tasks("2.0.2")["Import OME-Zarr"]
NEW = core_tasks("2.1.0")["Import OME-Zarr"]
HCS = core_tasks("2.1.0")["Project Image (HCS Plate)"]
STEP = {"task": "Import OME-Zarr", "version": "2.0.2", "args": FLAT}
MENDED = {"zarr_name": "plate.zarr", "advanced_options": {"overwrite": True}}


def told(step: dict[str, Any], entry: TaskEntry, **more: Any) -> dict[str, str]:
    """What is wrong with a step, by path."""
    return {problem.path: problem.allowed for problem in step_problems(step, entry, **more)}


def parallel(
    properties: dict[str, Any] | None = None, *, required: tuple[str, ...] = (), **fields: Any
) -> TaskEntry:
    schema = {
        "type": "object",
        "properties": {"zarr_url": {"type": "string"}, **(properties or {})},
        "required": ["zarr_url", *required],
        "additionalProperties": False,
    }
    whole = {
        "name": "Task",
        "type": "parallel",
        "executable_parallel": "task.py",
        "args_schema_parallel": schema,
        "args_schema_version": "pydantic_v2",
        **fields,
    }
    return TaskEntry.model_validate(whole)


def test_flat_arguments_of_import_ome_zarr_do_not_fit_any_more() -> None:
    assert told(STEP, OLD) == {}
    problems = told(STEP, NEW)
    assert list(problems) == [f"args_non_parallel.{name}" for name in FLAT if name != "zarr_name"]
    place = "advanced_options.grid_roi_table.grid_y_shape"
    assert problems["args_non_parallel.grid_y_shape"].endswith(f"it belongs in `{place}`")


def test_with_new_arguments_it_does() -> None:
    new = NewValues(args=MENDED)
    step = updated_step(STEP, NEW, version="2.1.0", new=new)
    assert step == {"task": "Import OME-Zarr", "version": "2.1.0", "args": MENDED}
    assert told(step, NEW) == {}
    # of a task with one part, all ways to give arguments are one
    outright = updated_step(STEP, NEW, version="2.1.0", new=NewValues(args_non_parallel=MENDED))
    assert outright == {
        "task": "Import OME-Zarr",
        "version": "2.1.0",
        "args_non_parallel": MENDED,
    }


def test_what_is_missing_and_what_is_unknown_is_all_told() -> None:
    before = parallel({"level": {"type": "integer"}})
    after = parallel(
        {"levels": {"type": "integer"}, "label": {"type": "string"}}, required=("label",)
    )
    step = {"task": "Task", "args": {"level": 3}, "args_parallel": {"label": 2}}
    assert set(told(step, before)) == {"args_parallel.label"}
    assert told(step, after) == {
        "args_parallel.level": "no such name; did you mean `levels`?",
        "args_parallel.label": "a string",
    }
    assert told({"task": "Task"}, after) == {"args_parallel.label": "a string; required"}


def test_a_part_that_is_gone() -> None:
    step = {"task": "Task", "args_non_parallel": {"x": 1}}
    assert list(told(step, parallel())) == ["args_non_parallel"]


def test_parts_of_a_compound_task_are_replaced_one_by_one() -> None:
    step = {
        "task": HCS.name,
        "version": "1.0",
        "args": {"nonsense": 1},
        "args_non_parallel": {"overwrite": True},
        "meta": {"mem": 100},
    }
    new = NewValues(args={}, args_parallel={"overwrite": False})
    assert "args.nonsense" in told(step, HCS)
    assert updated_step(step, HCS, version="2.1.0", new=new) == {
        "task": HCS.name,
        "args_non_parallel": {"overwrite": True},
        "meta": {"mem": 100},
        "version": "2.1.0",
        "args_parallel": {"overwrite": False},
    }


def test_type_filters_that_contradict_the_task() -> None:
    flat, deep = parallel(input_types={"is_3D": False}), parallel(input_types={"is_3D": True})
    step = {"task": "Task", "type_filters": {"is_3D": False, "other": True}}
    assert told(step, flat) == {}
    assert told(step, deep) == {"type_filters.is_3D": "true; the task takes no other images"}
    filtered = updated_step(step, deep, version="2", new=NewValues(type_filters={"is_3D": True}))
    assert filtered["type_filters"] == {"is_3D": True}
    assert told(filtered, deep) == {}


def test_a_task_that_has_become_a_converter_takes_no_filters() -> None:
    step = {"task": "Import OME-Zarr", "args": MENDED, "type_filters": {"is_3D": True}}
    assert list(told(step, NEW, before=parallel())) == ["type_filters"]
    # one that has always been one was never given images
    assert told(step, NEW, before=OLD) == {}


def test_what_a_task_does_differently() -> None:
    before = parallel(
        {"level": {"default": 1}, "method": {"default": "mip"}, "same": {"default": 0}},
        input_types={"is_3D": True},
    )
    after = parallel(
        {"level": {"default": 2}, "method": {"default": "mean"}, "same": {"default": 0}},
        output_types={"is_3D": False},
    )
    # what the step says itself stays as it is
    assert task_changes({"task": "Task", "args": {"level": 1}}, before, after) == [
        Change("input_types", {"is_3D": True}, {}),
        Change("output_types", {}, {"is_3D": False}),
        Change("default of args_parallel.method", "mip", "mean"),
    ]
    assert task_changes({"task": "Task"}, before, before) == []


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2.0.2", "2.1.0"), ("2.9", "2.10"), ("2.0rc1", "2.0"), ("own", "0.1"), (None, "0.1")],
)
def test_versions_are_ordered(older: str | None, newer: str) -> None:
    assert version_order(older) < version_order(newer)

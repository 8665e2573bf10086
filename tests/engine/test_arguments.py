from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from fractal_jupyter.engine.arguments import route_arguments, validate_arguments
from fractal_jupyter.errors import InvalidArguments
from fractal_jupyter.models.manifest import TaskEntry, parse_manifest

DATA = Path(__file__).parent / "data"


@functools.cache
def core_tasks(version: str) -> dict[str, TaskEntry]:
    """Tasks of fractal-tasks-core, from a recorded excerpt of its manifest, by name."""
    text = (DATA / f"fractal_tasks_core_{version}.json").read_text()
    manifest = parse_manifest(text, source=f"fractal-tasks-core {version}")
    return {task.name: task for task in manifest.task_list}


CORE = core_tasks("2.1.0")
HCS = CORE["Project Image (HCS Plate)"]
REGISTRATION = CORE["Calculate Registration (image-based)"]

FLAT = {
    "zarr_name": "plate.zarr",
    "update_omero_metadata": True,
    "add_image_roi_table": True,
    "add_grid_roi_table": False,
    "grid_y_shape": 2,
    "overwrite": True,
}


def check(task: TaskEntry, **given: Any) -> None:
    validate_arguments(task, *route_arguments(task, **given))


def refusal(task: TaskEntry, **given: Any) -> list[str]:
    """Return what is refused, a line each, without the first line."""
    with pytest.raises(InvalidArguments) as caught:
        check(task, **given)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{task.name!r} cannot be run with these arguments:"
    return [line.strip() for line in lines]


def task(
    non_parallel: dict[str, Any] | None = None, parallel: dict[str, Any] | None = None
) -> TaskEntry:
    """A compound task with properties by name, or without a schema where there are none."""

    def schema(properties: dict[str, Any] | None) -> dict[str, Any] | None:
        if properties is None:
            return None
        return {"type": "object", "properties": properties, "additionalProperties": False}

    return TaskEntry(
        name="T",
        type="compound",
        executable_non_parallel="n.py",
        executable_parallel="p.py",
        args_schema_non_parallel=schema(non_parallel),
        args_schema_parallel=schema(parallel),
    )


# which part gets what


def test_the_only_part_gets_all() -> None:
    assert route_arguments(CORE["Project Image"], args={"a": 1}, args_parallel={"b": 2}) == (
        {},
        {"a": 1, "b": 2},
    )
    assert route_arguments(
        CORE["Import OME-Zarr"], args={"a": 1}, args_non_parallel={"a": 2, "b": 3}
    ) == ({"a": 2, "b": 3}, {})
    assert route_arguments(CORE["Project Image"]) == ({}, {})


def test_arguments_of_a_compound_task_go_where_their_name_is() -> None:
    args = {"reference_acquisition": 0, "wavelength_id": "A01_C01"}
    assert route_arguments(REGISTRATION, args=args) == (
        {"reference_acquisition": 0},
        {"wavelength_id": "A01_C01"},
    )


def test_a_name_in_both_parts_goes_to_both_and_what_is_said_outright_wins() -> None:
    both = task({"overwrite": {}}, {"overwrite": {}, "level": {}})
    assert route_arguments(both, args={"overwrite": 1}) == ({"overwrite": 1}, {"overwrite": 1})
    assert route_arguments(both, args={"overwrite": 1}, args_parallel={"overwrite": 2}) == (
        {"overwrite": 1},
        {"overwrite": 2},
    )


def test_a_name_in_neither_part_is_refused_with_the_nearest() -> None:
    lines = refusal(REGISTRATION, args={"wave_length_id": "A", "zarr_urls": [], "other": 1})
    assert lines[0] == (
        "args.wave_length_id: found 'A' (a string); allowed: no such name in either part of the "
        "task; did you mean `wavelength_id`?"
    )
    assert lines[1].startswith(
        "args.zarr_urls: found [] (a list); allowed: nothing; Fractal itself"
    )
    assert "there are reference_acquisition, input_roi_table" in lines[2] or (
        "there are reference_acquisition, " in lines[2]
    )
    assert "init_args" not in lines[2]


def test_without_schemas_the_part_must_be_said() -> None:
    none = task(None, {"level": {}})
    assert route_arguments(none, args={"level": 1}, args_non_parallel={"x": 2}) == (
        {"x": 2},
        {"level": 1},
    )
    assert refusal(none, args={"x": 2}) == [
        "args.x: found 2 (an integer); allowed: `args_non_parallel` or `args_parallel`, "
        "since the task has no schema to tell by"
    ]


def test_a_part_that_the_task_has_not() -> None:
    assert refusal(CORE["Project Image"], args_non_parallel={"x": 1}) == [
        "args_non_parallel: found {'x': 1} (an object); allowed: nothing; "
        "this task has `args_parallel`"
    ]
    assert refusal(CORE["Import OME-Zarr"], args_parallel={"x": 1}) == [
        "args_parallel: found {'x': 1} (an object); allowed: nothing; "
        "this task has `args_non_parallel`"
    ]
    check(CORE["Project Image"], args_non_parallel={})
    with pytest.raises(InvalidArguments, match="args_non_parallel: found"):
        validate_arguments(CORE["Project Image"], {"x": 1}, {})


def test_arguments_become_plain_json() -> None:
    args = {"path": PurePosixPath("/a"), "sizes": (1, (2,)), "deep": {"x": [None, 0.5]}}
    routed = route_arguments(CORE["Project Image"], args=args)[1]
    assert routed == {"path": "/a", "sizes": [1, [2]], "deep": {"x": [None, 0.5]}}
    assert routed["deep"] is not args["deep"]


def test_numbers_of_numpy_are_numbers() -> None:
    args = {"n": np.int64(3), "x": np.float32(0.5), "flag": np.bool_(True), "row": np.arange(3)}
    routed = route_arguments(CORE["Project Image"], args=args)[1]
    assert routed == {"n": 3, "x": 0.5, "flag": True, "row": [0, 1, 2]}
    assert type(routed["flag"]) is bool


def test_what_has_no_json_form_is_refused_with_its_path() -> None:
    lines = refusal(
        CORE["Project Image"],
        args={"a": {"b": [0, {1, 2}]}, "c": float("nan")},
        args_parallel={"d": {1: 2}},
    )
    assert lines[0].startswith("args.a.b[1]: found {1, 2} (of Python type set); allowed: ")
    assert lines[1].startswith("args.c: found nan (a number); allowed: ")
    assert lines[2].startswith("args_parallel.d: found {1: 2} (an object); allowed: ")
    assert refusal(CORE["Project Image"], args=["mip"])[0].startswith("args: found ['mip']")


# what schemas of real tasks allow


@pytest.mark.parametrize(
    ("version", "name", "args"),
    [
        ("2.1.0", "Import OME-Zarr", {"zarr_name": "a.zarr"}),
        (
            "2.1.0",
            "Import OME-Zarr",
            {
                "zarr_name": "a.zarr",
                "advanced_options": {"grid_roi_table": {"grid_y_shape": 3}, "table_backend": "csv"},
            },
        ),
        ("2.0.2", "Import OME-Zarr", FLAT),
        ("2.1.0", "Project Image", {}),
        ("2.1.0", "Project Image", {"method": "Mean intensity projection", "overwrite": True}),
        ("2.1.0", "Project Image (HCS Plate)", {"overwrite": False}),
        (
            "2.1.0",
            "Threshold Segmentation",
            {
                "channel": {"identifier": "DAPI", "mode": "label"},
                "segmentation_method": {"method": "Simple Threshold", "threshold": 3},
                "iterator_configuration": {"masking": {"mode": "No Masking"}, "roi_table": None},
                "pre_post_process": {
                    "pre_process": [
                        {"type": "Gaussian Blur Filter", "sigma_xy": 0.5, "sigma_z": None},
                        {"type": "Median Filter"},
                    ]
                },
            },
        ),
        (
            "1.5.4",
            "Cellpose Segmentation",
            {"level": 0, "channel": {"label": "DAPI"}, "channel2": {"wavelength_id": None}},
        ),
        # pydantic_v1 leaves out that an optional argument may be null, even if that is the default
        (
            "1.0.2",
            "Cellpose Segmentation",
            {
                "level": 0,
                "channel": {"label": "DAPI"},
                "anisotropy": None,
                "channel2": None,
                "normalize": {"type": "default", "lower_percentile": None},
            },
        ),
    ],
)
def test_what_real_tasks_take(version: str, name: str, args: dict[str, Any]) -> None:
    check(core_tasks(version)[name], args=args)


@pytest.mark.parametrize("version", ["2.1.0", "2.0.2", "1.5.4", "1.0.2"])
def test_the_defaults_of_real_tasks_are_allowed(version: str) -> None:
    reserved = {"zarr_url", "zarr_urls", "zarr_dir", "init_args"}
    for entry in core_tasks(version).values():
        defaults: dict[str, Any] = {}
        missing = set()
        for part in ("args_non_parallel", "args_parallel"):
            schema = getattr(entry, part.replace("args", "args_schema")) or {}
            fields = schema.get("properties", {})
            defaults[part] = {n: f["default"] for n, f in fields.items() if "default" in f}
            missing |= {f"{part}.{name}" for name in schema.get("required", ())} - {
                f"{part}.{name}" for name in reserved
            }
        if not missing:
            check(entry, **defaults)
            continue
        lines = refusal(entry, **defaults)
        assert {line.split(":")[0] for line in lines} == missing
        assert all("found nothing" in line for line in lines)


def test_flat_arguments_of_an_older_import_are_refused_in_words_that_help() -> None:
    lines = refusal(CORE["Import OME-Zarr"], args=FLAT)
    assert [line.partition("; allowed: ")[2] for line in lines[:-1]] == [
        "no such name here; it belongs in `advanced_options.update_omero_metadata`",
        "no such name here; it belongs in `advanced_options.add_image_roi_table`",
        "no such name; did you mean `advanced_options.grid_roi_table`?",
        "no such name here; it belongs in `advanced_options.grid_roi_table.grid_y_shape`",
        "no such name here; it belongs in `advanced_options.overwrite`",
    ]
    assert lines[0].startswith("args_non_parallel.update_omero_metadata: found True (a boolean)")
    assert "between versions" in lines[-1]


def test_newer_arguments_are_refused_by_the_older_import() -> None:
    lines = refusal(
        core_tasks("2.0.2")["Import OME-Zarr"],
        args={"zarr_name": "a.zarr", "advanced_options": {"overwrite": True}},
    )
    assert "no such name; there are zarr_name, update_omero_metadata, " in lines[0]
    assert "between versions" in lines[1]


def test_all_that_is_wrong_is_listed_at_once_with_paths() -> None:
    lines = refusal(
        CORE["Threshold Segmentation"],
        args={
            "channel": {"identifier": 3, "mode": "lable"},
            "segmentation_method": {"method": "otsu"},
            "create_masking_roi_table": {"table_name": "x"},
            "iterator_configuration": {"masking": {"mode": "Masking"}},
            "pre_post_process": {
                "pre_process": [{"type": "Median Filter", "size_xy": 0}, {"type": "Sharpen"}, 5]
            },
            "level_path": 3,
            "zarr_url": "/z/a",
        },
    )
    got = dict(line.split(": ", 1) for line in lines)
    part = "args_parallel"
    assert got == {
        f"{part}.zarr_url": "found '/z/a' (a string); allowed: nothing; "
        "Fractal itself gives this to the task, from the dataset",
        f"{part}.channel.identifier": "found 3 (an integer); allowed: a string",
        f"{part}.channel.mode": "found 'lable' (a string); "
        "allowed: one of 'label', 'wavelength_id', 'index'",
        f"{part}.segmentation_method.method": "found 'otsu' (a string); "
        "allowed: one of 'Otsu', 'Simple Threshold'",
        f"{part}.create_masking_roi_table.mode": "found nothing; "
        "allowed: one of 'Create Masking ROI Table', 'Skip Creating Masking ROI Table'",
        f"{part}.iterator_configuration.masking.identifier": "found nothing; "
        "allowed: a string; required",
        f"{part}.pre_post_process.pre_process[0].size_xy": "found 0 (an integer); "
        "allowed: an integer greater than 0",
        f"{part}.pre_post_process.pre_process[1].type": "found 'Sharpen' (a string); allowed: one "
        "of 'Gaussian Blur Filter', 'Histogram Equalization', 'Median Filter'",
        f"{part}.pre_post_process.pre_process[2]": got[f"{part}.pre_post_process.pre_process[2]"],
        f"{part}.level_path": "found 3 (an integer); allowed: a string or null",
    }
    assert got[f"{part}.pre_post_process.pre_process[2]"].startswith(
        "found 5 (an integer); allowed: an object with `type`"
    )


def test_both_parts_of_a_compound_task_are_checked() -> None:
    lines = refusal(
        REGISTRATION,
        args_non_parallel={"reference_acquisition": "first"},
        args_parallel={"wavelength_id": 3, "init_args": {}},
    )
    assert [line.split(":")[0] for line in lines] == [
        "args_non_parallel.reference_acquisition",
        "args_parallel.init_args",
        "args_parallel.wavelength_id",
    ]


def test_reserved_names_are_refused_and_not_required() -> None:
    free = TaskEntry(name="F", type="parallel", executable_parallel="f.py")
    for name in ("zarr_url", "zarr_urls", "zarr_dir", "init_args"):
        assert "Fractal itself" in refusal(free, args={name: "/x"})[0]
        assert "Fractal itself" in refusal(HCS, args_parallel={name: "/x"})[0]
    check(HCS)
    check(free, args={"anything": [1, {"goes": None}]})

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fractal_jupyter.engine.planning import (
    RESERVED,
    UnitPlan,
    plan_compute,
    plan_non_parallel,
    plan_parallel,
)
from fractal_jupyter.errors import InvalidArguments
from fractal_jupyter.models.images import Image, ParallelizationItem
from fractal_jupyter.models.manifest import TaskType

IMAGES = [Image("/z/b"), Image("/z/a")]
ARGS: dict[str, Any] = {"level": 0, "channels": [{"label": "DAPI"}]}


def test_a_parallel_task_runs_once_per_image() -> None:
    assert plan_parallel(IMAGES, ARGS) == [
        UnitPlan("/z/b", {"zarr_url": "/z/b", **ARGS}),
        UnitPlan("/z/a", {"zarr_url": "/z/a", **ARGS}),
    ]
    assert plan_parallel([], ARGS) == []


@pytest.mark.parametrize("task_type", ["non_parallel", "compound"])
def test_a_non_parallel_part_runs_once_with_all_images(task_type: TaskType) -> None:
    assert plan_non_parallel(IMAGES, ARGS, zarr_dir="/z/", task_type=task_type) == [
        UnitPlan(None, {"zarr_dir": "/z", "zarr_urls": ["/z/b", "/z/a"], **ARGS})
    ]


@pytest.mark.parametrize("task_type", ["converter_non_parallel", "converter_compound"])
def test_converters_are_not_told_of_images(task_type: TaskType) -> None:
    assert plan_non_parallel(IMAGES, ARGS, zarr_dir="/z", task_type=task_type) == [
        UnitPlan(None, {"zarr_dir": "/z", **ARGS})
    ]


def test_a_compute_part_runs_once_per_element() -> None:
    items = [
        ParallelizationItem("/z/new", {"a": 1}),
        ParallelizationItem("/z/new", {"a": 2}),
        ParallelizationItem("/z/other"),
    ]
    assert plan_compute(items, {"level": 0}) == [
        UnitPlan("/z/new", {"zarr_url": "/z/new", "init_args": {"a": 1}, "level": 0}),
        UnitPlan("/z/new", {"zarr_url": "/z/new", "init_args": {"a": 2}, "level": 0}),
        UnitPlan("/z/other", {"zarr_url": "/z/other", "init_args": {}, "level": 0}),
    ]


PLANNERS: list[Callable[[dict[str, Any]], list[UnitPlan]]] = [
    lambda args: plan_parallel(IMAGES, args),
    lambda args: plan_compute([ParallelizationItem("/z/a", {})], args),
    lambda args: plan_non_parallel(IMAGES, args, zarr_dir="/z", task_type="compound"),
]


@pytest.mark.parametrize("planner", PLANNERS)
def test_reserved_names_are_refused(planner: Callable[[dict[str, Any]], list[UnitPlan]]) -> None:
    for name in RESERVED:
        with pytest.raises(InvalidArguments, match=rf"parallel\.{name}: Fractal itself"):
            planner({name: "/evil"})
    with pytest.raises(InvalidArguments, match=r"\.init_args, args_\w+\.zarr_dir: .* these"):
        planner({"zarr_dir": "/evil", "init_args": {}, "level": 0})


@pytest.mark.parametrize("planner", PLANNERS)
def test_values_are_shared_and_plain(planner: Callable[[dict[str, Any]], list[UnitPlan]]) -> None:
    plans = planner(ARGS)
    assert all(plan.args["channels"] is ARGS["channels"] for plan in plans)
    assert json.loads(json.dumps([plan.args for plan in plans])) == [plan.args for plan in plans]

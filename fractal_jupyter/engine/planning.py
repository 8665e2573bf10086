"""What the units of a step are given, for each type of task.

All units of a step share the objects of the arguments: a hundred thousand of them cost a small
dictionary each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fractal_jupyter.errors import InvalidArguments
from fractal_jupyter.models.bulk import collector_paused
from fractal_jupyter.models.images import Image, ParallelizationItem, normalize_url
from fractal_jupyter.models.manifest import TaskType

RESERVED: Final = frozenset({"zarr_url", "zarr_urls", "zarr_dir", "init_args"})
"""Arguments that only Fractal gives to a task."""

_GET_IMAGES: Final[frozenset[TaskType]] = frozenset({"non_parallel", "compound"})


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """One process to be run.

    Attributes:
        zarr_url: The image that it works on; None for a non-parallel unit.
        args: All that it is given; values are shared with other units and must not be changed.
    """

    zarr_url: str | None
    args: dict[str, Any]


@collector_paused()
def plan_parallel(images: Iterable[Image], args: Mapping[str, Any]) -> list[UnitPlan]:
    """Return one unit per image, for a parallel task.

    Args:
        images: The images of the step, in the order of the units.
        args: The user's parallel arguments.

    Raises:
        InvalidArguments: An argument has a reserved name.
    """
    refuse_reserved(args, part="args_parallel")
    return [UnitPlan(image.zarr_url, {"zarr_url": image.zarr_url, **args}) for image in images]


def plan_non_parallel(
    images: Iterable[Image], args: Mapping[str, Any], *, zarr_dir: str, task_type: TaskType
) -> list[UnitPlan]:
    """Return the one unit of a non-parallel task, or of the first part of a compound one.

    Args:
        images: The images of the step; converters are not told of them.
        args: The user's non-parallel arguments.
        zarr_dir: Folder for new images.
        task_type: Any but `parallel`.

    Raises:
        InvalidArguments: An argument has a reserved name.
    """
    refuse_reserved(args, part="args_non_parallel")
    own: dict[str, Any] = {"zarr_dir": normalize_url(zarr_dir)}
    if task_type in _GET_IMAGES:
        own["zarr_urls"] = [image.zarr_url for image in images]
    return [UnitPlan(None, {**own, **args})]


@collector_paused()
def plan_compute(items: Iterable[ParallelizationItem], args: Mapping[str, Any]) -> list[UnitPlan]:
    """Return one unit per element of the parallelization list, for a compound task.

    Args:
        items: What the first part asked for, in the order of the units.
        args: The user's parallel arguments.

    Raises:
        InvalidArguments: An argument has a reserved name.
    """
    refuse_reserved(args, part="args_parallel")
    return [
        UnitPlan(item.zarr_url, {"zarr_url": item.zarr_url, "init_args": item.init_args, **args})
        for item in items
    ]


def refuse_reserved(args: Mapping[str, Any], *, part: str) -> None:
    """Refuse arguments of the user that only Fractal gives.

    Args:
        args: The user's arguments.
        part: What they are called: `args_parallel`, `args_non_parallel` or `args`.

    Raises:
        InvalidArguments: Names them.
    """
    if reserved := sorted(RESERVED.intersection(args)):
        names = ", ".join(f"{part}.{name}" for name in reserved)
        raise InvalidArguments(
            f"{names}: Fractal itself gives {'these' if len(reserved) > 1 else 'this'} to the "
            "task, from the dataset and its image list; leave it out of the arguments."
        )

"""How the outputs of units change the image list (rules 4 to 8 of the task contract).

Outputs count in the order of the units and, within a unit, in the order in which it wrote them,
whatever the order in which the units finished: the same outputs always give the same image list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from fractal_jupyter.errors import ImageListError
from fractal_jupyter.models.bulk import collector_paused
from fractal_jupyter.models.images import (
    Image,
    ImageUpdate,
    Scalar,
    TaskOutput,
    is_below,
    normalize_url,
)
from fractal_jupyter.models.manifest import TaskType
from fractal_jupyter.models.problems import MISSING, describe


@dataclass(frozen=True, slots=True)
class UnitOutput:
    """What a unit that succeeded wrote.

    Attributes:
        unit: Index of the unit in its step.
        zarr_url: The image that the unit worked on; None for a non-parallel one.
        output: Its task output. The first part of a compound task has none: its units are given
            here only if they are the whole step, because it asked for no others.
    """

    unit: int
    zarr_url: str | None
    output: TaskOutput


@dataclass(frozen=True, slots=True)
class Merge:
    """What becomes of the image list.

    Attributes:
        added: New images, in the order in which they are appended.
        changed: Known images with what they are now; those that stay as they are, are left out.
        removed: URLs of images that leave the list; the files stay.
        typed_inputs: Inputs that count as processed because no unit said anything about any image
            (rule 7); those whose types this changes are among `changed`.
    """

    added: tuple[Image, ...] = ()
    changed: tuple[Image, ...] = ()
    removed: tuple[str, ...] = ()
    typed_inputs: tuple[str, ...] = ()


@collector_paused()
def merge(
    images: Mapping[str, Image],
    outputs: Iterable[UnitOutput],
    *,
    zarr_dir: str,
    output_types: Mapping[str, bool],
    inputs: Sequence[str],
    task_type: TaskType,
    earlier: Iterable[UnitOutput] = (),
) -> Merge:
    """Work out how the units of a step change the image list; linear in all that it is given.

    Args:
        images: The image list, by URL; is not changed.
        outputs: Outputs of the units that succeeded, in any order.
        zarr_dir: Folder that new images must lie below.
        output_types: The task's; they win over what its units say.
        inputs: URLs of the images that the step was started on.
        task_type: Of a parallel task, only inputs whose unit succeeded can count as processed.
        earlier: Outputs of the same step that are part of `images` already (before a retry): an
            identical one counts once, a different one is a conflict.

    Returns:
        The changes; nothing when no unit succeeded.

    Raises:
        ImageListError: A new image lies elsewhere, a removed one is unknown, or units contradict
            each other. Nothing is changed then.
    """
    ordered = sorted(outputs, key=attrgetter("unit"))
    merged_before = sorted(earlier, key=attrgetter("unit"))
    if all(unit.output.is_empty for unit in chain(ordered, merged_before)):
        return _nothing_said(images, ordered, output_types, inputs=inputs, task_type=task_type)
    claims: dict[str, _Claim] = {}
    for _ in _new_claims(merged_before, claims):
        pass
    return _apply(images, _new_claims(ordered, claims), normalize_url(zarr_dir), output_types)


class _Claim(NamedTuple):
    """What a unit says of a URL: an update, or (None) that it leaves the list."""

    url: str
    update: ImageUpdate | None
    unit: UnitOutput


def _new_claims(units: Iterable[UnitOutput], claims: dict[str, _Claim]) -> Iterator[_Claim]:
    """Yield each claim the first time it is made, and remember it."""
    for unit in units:
        for update in unit.output.image_list_updates:
            claim = _Claim(update.zarr_url, update, unit)
            known = claims.setdefault(update.zarr_url, claim)
            if known is claim:
                yield claim
            elif known.update != update:
                raise _conflict(known, claim)
        for url in unit.output.image_list_removals:
            claim = _Claim(url, None, unit)
            known = claims.setdefault(url, claim)
            if known is claim:
                yield claim
            elif known.update is not None:
                raise _conflict(known, claim)


def _apply(
    images: Mapping[str, Image],
    claims: Iterable[_Claim],
    zarr_dir: str,
    output_types: Mapping[str, bool],
) -> Merge:
    """Return what the claims make of the images, each in the order of the claims."""
    # An origin may itself have been made or changed by a claim before.
    touched: dict[str, Image] = {}
    added, changed, removed = [], [], []
    for url, update, unit in claims:
        known = images.get(url)
        if update is None:
            if known is None:
                raise _unknown(unit, url)
            removed.append(url)
            continue
        if known is None and not is_below(url, zarr_dir):
            raise _elsewhere(unit, url, zarr_dir)
        if known is not None and update.origin in (None, url):
            base, origin = known, known.origin
        else:
            origin = update.origin
            base = touched.get(origin or "") or images.get(origin or "", _NO_ORIGIN)
        image = touched[url] = _overlaid(base, origin, update, output_types)
        if known is None:
            added.append(image)
        elif image != known:
            changed.append(image)
    return Merge(added=tuple(added), changed=tuple(changed), removed=tuple(removed))


_NO_ORIGIN = Image("")


def _overlaid(
    base: Image, origin: str | None, update: ImageUpdate, output_types: Mapping[str, bool]
) -> Image:
    """Return what an image inherits, the update's values over it, the task's types over both."""
    attributes: Mapping[str, Scalar] = base.attributes
    if update.attributes:
        overlaid = {**base.attributes, **update.attributes}
        attributes = {name: value for name, value in overlaid.items() if value is not None}
    types = {**base.types, **update.types, **output_types}
    return Image(update.zarr_url, origin, attributes, types)


def _nothing_said(
    images: Mapping[str, Image],
    units: Sequence[UnitOutput],
    output_types: Mapping[str, bool],
    *,
    inputs: Sequence[str],
    task_type: TaskType,
) -> Merge:
    """Give the inputs the task's types, since units succeeded and none named an image."""
    if not units:
        return Merge()
    processed = [url for url in inputs if url in images]
    if task_type == "parallel":
        succeeded = {unit.zarr_url for unit in units}
        processed = [url for url in processed if url in succeeded]
    changed = []
    for image in (images[url] for url in processed):
        types = {**image.types, **output_types}
        if types != image.types:
            changed.append(Image(image.zarr_url, image.origin, image.attributes, types))
    return Merge(changed=tuple(changed), typed_inputs=tuple(processed))


def _elsewhere(unit: UnitOutput, url: str, zarr_dir: str) -> ImageListError:
    return ImageListError(
        f"{_who(unit)} reports the new image '{url}', which is not below the "
        f"dataset's zarr_dir '{zarr_dir}'. The task must write new images there, or the "
        "dataset must have another zarr_dir."
    )


def _unknown(unit: UnitOutput, url: str) -> ImageListError:
    return ImageListError(
        f"{_who(unit)} removes the image '{url}', which is not in the image "
        "list of the dataset. The task may only remove images that the dataset has."
    )


def _conflict(first: _Claim, second: _Claim) -> ImageListError:
    same = first.unit.unit == second.unit.unit
    who = f"{_who(first.unit)} reports" if same else f"{_both(first.unit, second.unit)} report"
    if first.update is None or second.update is None:
        what = f"both an update and the removal of the image '{first.url}'"
    else:
        differences = "; ".join(_differences(first.update, second.update))
        what = f"different updates of the image '{first.url}': {differences}"
    return ImageListError(
        f"{who} {what}. A task may say one thing only about an image; "
        "none of the step's changes to the image list was made."
    )


def _differences(first: ImageUpdate, second: ImageUpdate) -> Iterator[str]:
    if first.origin != second.origin:
        yield f"origin {describe(first.origin)} and {describe(second.origin)}"
    pairs: tuple[tuple[str, Mapping[str, object], Mapping[str, object]], ...] = (
        ("attributes", first.attributes, second.attributes),
        ("types", first.types, second.types),
    )
    for kind, one, other in pairs:
        for name in {**one, **other}:
            values = one.get(name, MISSING), other.get(name, MISSING)
            if values[0] != values[1]:
                yield f"{kind}.{name} {describe(values[0])} and {describe(values[1])}"


def _who(unit: UnitOutput) -> str:
    image = "" if unit.zarr_url is None else f" (image '{unit.zarr_url}')"
    return f"Unit {unit.unit}{image}"


def _both(first: UnitOutput, second: UnitOutput) -> str:
    return f"{_who(first)} and unit{_who(second).removeprefix('Unit')}"

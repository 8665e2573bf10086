"""Which images a step works on (rules 1 to 3 of the task contract)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from fractal_jupyter.errors import ImageListError, InvalidDocument
from fractal_jupyter.models.images import Image, Scalar
from fractal_jupyter.models.manifest import CONVERTERS, TaskType
from fractal_jupyter.models.problems import Problem, child, listing, nearest

_NAMED = 5


def parse_type_filters(value: object) -> dict[str, bool]:
    """Check the type filters of a job or of a step.

    Args:
        value: `{"is_3D": True}`.

    Returns:
        The filters, names without blanks around them.

    Raises:
        InvalidDocument: Something else was given; lists each wrong value.
    """
    problems: list[Problem] = []
    filters = _named(value, "type_filters", problems)
    for name, flag in filters.items():
        if not isinstance(flag, bool):
            problems.append(Problem(child("type_filters", name), flag, "true or false"))
    _refuse(problems)
    return {name: flag for name, flag in filters.items() if isinstance(flag, bool)}


def parse_attribute_filters(value: object) -> dict[str, list[Scalar]]:
    """Check the attribute filters of a job.

    Args:
        value: `{"well": ["B03", "B05"]}`; for each attribute the values that pass.

    Returns:
        The filters, names without blanks around them.

    Raises:
        InvalidDocument: Something else was given; lists each wrong value.
    """
    problems: list[Problem] = []
    filters: dict[str, list[Scalar]] = {}
    for name, values in _named(value, "attribute_filters", problems).items():
        path = child("attribute_filters", name)
        if not isinstance(values, list | tuple) or not values:
            problems.append(Problem(path, values, 'a list of values, such as ["B03"]'))
            continue
        filters[name] = list(values)
        problems.extend(
            Problem(child(path, index), item, "a string, a number, true or false")
            for index, item in enumerate(values)
            if not isinstance(item, str | int | float)
        )
    _refuse(problems)
    return filters


def step_type_filter(
    *,
    running: Mapping[str, bool],
    input_types: Mapping[str, bool],
    step_filters: Mapping[str, bool],
) -> dict[str, bool]:
    """Return the type filter of a step.

    Args:
        running: What the job's type filters and the `output_types` of the steps before add up to.
        input_types: What the task asks of its images.
        step_filters: What the workflow says of this step; it does not outlive the step.

    Returns:
        The running filter, overlaid by the two others.

    Raises:
        ImageListError: The task and the step ask for opposite values of a type.
    """
    for name, wanted in step_filters.items():
        if input_types.get(name, wanted) != wanted:
            raise ImageListError(
                f"The step's type filter {_type(name, wanted)} contradicts the task, which takes "
                f"images with {_type(name, not wanted)} only. Remove the filter from the step, "
                "or choose another task."
            )
    return {**running, **input_types, **step_filters}


def next_running_filter(
    running: Mapping[str, bool], *, output_types: Mapping[str, bool]
) -> dict[str, bool]:
    """Return the running type filter after a step; only `output_types` ever change it."""
    return {**running, **output_types}


def select(
    images: Iterable[Image],
    *,
    type_filter: Mapping[str, bool],
    attribute_filters: Mapping[str, Sequence[Scalar]],
) -> list[Image]:
    """Return the images that pass all filters, in their order.

    Args:
        images: The image list.
        type_filter: Value that each type must have; a type that an image lacks counts as false.
        attribute_filters: Values that each attribute may have; one that an image lacks has none
            of them.
    """
    selected = list(images)
    for name, flag in type_filter.items():
        selected = [image for image in selected if image.types.get(name, False) == flag]
    for name, values in attribute_filters.items():
        allowed = frozenset(values)
        selected = [image for image in selected if _has_value(image, name, allowed)]
    return selected


def select_inputs(
    images: Collection[Image],
    *,
    task_name: str,
    task_type: TaskType,
    type_filter: Mapping[str, bool],
    attribute_filters: Mapping[str, Sequence[Scalar]],
) -> list[Image]:
    """Return the images that a step works on.

    Args:
        images: The image list.
        task_name: For the message.
        task_type: Converters get no images, whatever the filters.
        type_filter: See `select`.
        attribute_filters: See `select`.

    Raises:
        ImageListError: The task needs images, and none passes.
    """
    if task_type in CONVERTERS:
        return []
    selected = select(images, type_filter=type_filter, attribute_filters=attribute_filters)
    if not selected:
        raise no_images_error(
            images,
            task_name=task_name,
            type_filter=type_filter,
            attribute_filters=attribute_filters,
        )
    return selected


def no_images_error(
    images: Collection[Image],
    *,
    task_name: str,
    type_filter: Mapping[str, bool],
    attribute_filters: Mapping[str, Sequence[Scalar]],
) -> ImageListError:
    """Return the error that explains why no image passes.

    Args:
        images: The image list.
        task_name: The task that has nothing to work on.
        type_filter: See `select`.
        attribute_filters: See `select`.

    Returns:
        An error that names each filter, how many images it alone lets through, and what there
        is instead of a value that no image has.
    """
    if not images:
        return ImageListError(
            f"'{task_name}' has no images to work on, since the dataset has none. "
            "Add images to the dataset, scan its folder, or run a converter first."
        )
    lines = [
        *_explain_types(images, type_filter),
        *_explain_attributes(images, attribute_filters),
    ]
    if all(count for count, _ in lines):
        lines.append((0, "Each filter lets images through, but no image passes all of them."))
    text = "\n".join(f"  {line}" for _, line in lines)
    return ImageListError(
        f"'{task_name}' has no images to work on: "
        f"the filters let none of {_images(len(images))} through.\n{text}"
    )


def _explain_types(
    images: Collection[Image], type_filter: Mapping[str, bool]
) -> Iterator[tuple[int, str]]:
    known = {name for image in images for name in image.types}
    for name, flag in type_filter.items():
        count = sum(image.types.get(name, False) == flag for image in images)
        line = f"type {_type(name, flag)} lets {count:,} of {len(images):,} through"
        if not count and name not in known:
            line += f"; no image has the type {name!r}; {_instead(name, known, 'types')}"
        yield count, line


def _explain_attributes(
    images: Collection[Image], attribute_filters: Mapping[str, Sequence[Scalar]]
) -> Iterator[tuple[int, str]]:
    # a dictionary keeps the order in which the names appear
    known = {name: None for image in images for name in image.attributes}
    for name, values in attribute_filters.items():
        count = sum(_has_value(image, name, values) for image in images)
        line = f"attribute {name!r} in {_some(values)} lets {count:,} of {len(images):,} through"
        if not count and name not in known:
            line += f"; no image has the attribute; {_instead(name, known, 'attributes')}"
        elif not count:
            there = {image.attributes[name]: None for image in images if name in image.attributes}
            line += f"; {_instead(values[0] if values else '', there, 'values')}"
        yield count, line


def _has_value(image: Image, name: str, values: Collection[Scalar]) -> bool:
    return name in image.attributes and image.attributes[name] in values


def _instead(wanted: Scalar, known: Collection[Scalar], what: str) -> str:
    """Say what there is instead of something that there is not; the nearest first."""
    if not known:
        return f"there are no {what}"
    by_text = {str(value): value for value in known}
    meant = nearest(str(wanted), by_text)
    rest = f"{what} there are: {_some(sorted(known, key=str))}"
    return rest if meant is None else f"did you mean {by_text[meant]!r}? {rest}"


def _some(values: Sequence[object]) -> str:
    shown = ", ".join(repr(value) for value in values[:_NAMED])
    return shown if len(values) <= _NAMED else f"{shown} … ({len(values):,} in all)"


def _type(name: str, flag: bool) -> str:
    return f"{name}={flag}"


def _images(count: int) -> str:
    return "the one image" if count == 1 else f"the {count:,} images"


def _named(value: object, path: str, problems: list[Problem]) -> dict[str, object]:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, value, "an object"))
        return {}
    named: dict[str, object] = {}
    for name, item in value.items():
        if isinstance(name, str) and name.strip():
            named[name.strip()] = item
        else:
            problems.append(Problem(path, name, "names that are strings and not empty"))
    return named


def _refuse(problems: list[Problem]) -> None:
    if problems:
        message = f"These filters cannot be used:\n{listing(problems)}"
        raise InvalidDocument(message, problems=problems)

"""Images of a dataset, and what tasks write about them.

The rules are those of the Fractal task contract (fractal-server 2.24 to 2.26). Everything here is
made for image lists of 100,000 and more: frozen slotted dataclasses, and checks written by hand
that cost about two microseconds an image; paths of wrong values are only put together when there
is something wrong.
"""

from __future__ import annotations

import functools
import json
import math
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, TypeVar

from fractal_jupyter.errors import InvalidDocument, InvalidTaskOutput
from fractal_jupyter.models.bulk import collector_paused
from fractal_jupyter.models.problems import MISSING, Problem, child, listing, nearest

Scalar = str | int | float | bool

_S3: Final = "s3://"
_URL = "an absolute path (`/…`) or an S3 URL (`s3://bucket/…`), without `..`"
_SCALAR = "a string, a finite number, true or false"
_IMAGE_FIELDS: Final = ("zarr_url", "origin", "attributes", "types")
_OUTPUT_FIELDS: Final = ("image_list_updates", "image_list_removals")
_INIT_FIELDS: Final = ("parallelization_list",)
_ITEM_FIELDS: Final = ("zarr_url", "init_args")
_NO_ATTRIBUTES: Final[Mapping[str, Any]] = {}
_NOTHING: Final[dict[str, Any]] = {}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a dataset.

    Attributes:
        zarr_url: Path or S3 URL, normalised; unique in its dataset.
        origin: URL of the image that it was made from, if a task said so.
        attributes: What attribute filters look at, `{"well": "B03"}`.
        types: What type filters look at, `{"is_3D": True}`; a missing type counts as false.
    """

    zarr_url: str
    origin: str | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    types: Mapping[str, bool] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return the image as the JSON object that `parse_image` reads."""
        return {
            "zarr_url": self.zarr_url,
            "origin": self.origin,
            "attributes": dict(self.attributes),
            "types": dict(self.types),
        }


@dataclass(frozen=True, slots=True)
class ImageUpdate:
    """What a task says of one image, known or new.

    Attributes:
        zarr_url: The image.
        origin: The image that it inherits from, if any.
        attributes: Values to set; None removes the attribute.
        types: Types to set.
    """

    zarr_url: str
    origin: str | None = None
    attributes: Mapping[str, Scalar | None] = field(default_factory=dict)
    types: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """What a unit wants done to the image list."""

    image_list_updates: tuple[ImageUpdate, ...] = ()
    image_list_removals: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the unit neither updates nor removes an image."""
        return not self.image_list_updates and not self.image_list_removals


@dataclass(frozen=True, slots=True)
class ParallelizationItem:
    """One unit that the first part of a compound task asks for."""

    zarr_url: str
    init_args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InitOutput:
    """The units that the first part of a compound task asks for, each once, in its order."""

    parallelization_list: tuple[ParallelizationItem, ...] = ()


def normalize_url(url: str) -> str:
    """Return the one spelling of a zarr URL or of a zarr directory.

    Local paths lose doubled and trailing slashes and `.` components, S3 URLs trailing slashes
    only, since `a//b` is a key of its own there.

    Args:
        url: Absolute path, or `s3://bucket/key`.

    Returns:
        The normalised URL.

    Raises:
        ValueError: It starts with neither, goes up (`..`), ends with a blank, or cannot be a file
            name.
    """
    url = url.strip()
    if _is_plain(url):
        return url
    if "\0" in url or (".." in url and ".." in url.split("/")) or not _encodable(url):
        raise ValueError(_URL)
    if url.startswith("/"):
        # POSIX lets exactly two leading slashes mean something else; no file system here does
        normal = posixpath.normpath("/" + url.lstrip("/"))
    elif url.startswith(_S3) and url[len(_S3) :][:1] not in ("", "/"):
        normal = url.rstrip("/")
    else:
        raise ValueError(_URL)
    if normal != normal.rstrip():
        raise ValueError(f"{_URL} or a blank at its end")
    return normal


def _is_plain(url: str) -> bool:
    """Whether a URL is a path that is normalised already, as nearly all of them are."""
    return (
        url.startswith("/")
        and url.isascii()
        and not url.endswith("/")
        and "//" not in url
        and "/." not in url
        and "\0" not in url
    )


def is_below(url: str, folder: str) -> bool:
    """Say whether a URL lies below a folder, component by component.

    Args:
        url: Normalised URL.
        folder: Normalised URL; a folder is not below itself.
    """
    return url != folder and url.startswith(folder if folder == "/" else f"{folder}/")


def parse_image(document: object) -> Image:
    """Check the document of one image.

    Args:
        document: `{"zarr_url", "origin"?, "attributes"?, "types"?}`, or an `Image`.

    Returns:
        The image, its URLs normalised.

    Raises:
        InvalidDocument: A field is missing, unknown or wrong.
    """
    if isinstance(document, Image):
        return document
    try:
        return _image(document)
    except _Wrong as wrong:
        problem = wrong.problem("image")
        raise InvalidDocument(f"This is not the document of an image:\n  {problem}") from None


@collector_paused()
def parse_images(documents: Iterable[object]) -> list[Image]:
    """Check the documents of images, and that no URL comes twice.

    Args:
        documents: As `parse_image` takes them.

    Returns:
        The images in the order given.

    Raises:
        InvalidDocument: Lists the documents that are wrong, by their index.
    """
    problems: list[Problem] = []
    images = _each(documents, "images", _image_or_document, problems)
    if not problems:
        problems.extend(_repeated(images))
    if problems:
        message = f"The list of images is wrong:\n{listing(problems)}"
        raise InvalidDocument(message, problems=problems)
    return images


def parse_task_output(value: object) -> TaskOutput:
    """Check what a parallel, non-parallel or compute unit wrote.

    Args:
        value: The JSON value; None (no output) is an empty output.

    Returns:
        The output, its URLs normalised.

    Raises:
        InvalidTaskOutput: It is not what the task contract allows; names the path of each value.
    """
    if value is None:
        return TaskOutput()
    problems: list[Problem] = []
    fields = _fields(value, _OUTPUT_FIELDS, problems)
    updates = _list_field(fields, "image_list_updates", _update, problems)
    removals = _list_field(fields, "image_list_removals", _removal, problems)
    _refuse(problems)
    return TaskOutput(tuple(updates), tuple(removals))


@collector_paused()
def parse_init_output(value: object) -> InitOutput:
    """Check what the first part of a compound task wrote.

    Args:
        value: The JSON value; None (no output) is an empty list.

    Returns:
        The items, identical ones once, in the order in which they first appear.

    Raises:
        InvalidTaskOutput: It is not what the task contract allows; names the path of each value.
    """
    if value is None:
        return InitOutput()
    problems: list[Problem] = []
    fields = _fields(value, _INIT_FIELDS, problems)
    items = _list_field(fields, "parallelization_list", _item, problems)
    _refuse(problems)
    # by their JSON text, since 1, 1.0 and true are equal in Python only
    unique = {(item.zarr_url, json.dumps(item.init_args, sort_keys=True)): item for item in items}
    return InitOutput(tuple(unique.values()))


class _Wrong(Exception):
    """A wrong value somewhere inside an entry; `keys` lead from the entry to it."""

    def __init__(self, keys: tuple[str, ...], found: object, allowed: str) -> None:
        super().__init__()
        self.keys = keys
        self.found = found
        self.allowed = allowed

    def problem(self, entry: str) -> Problem:
        return Problem(functools.reduce(child, self.keys, entry), self.found, self.allowed)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidTaskOutput(
            f"The output is not what the Fractal task contract allows:\n{listing(problems)}"
        )


def _fields(value: object, allowed: tuple[str, ...], problems: list[Problem]) -> dict[str, Any]:
    """Return the known top-level fields of an output."""
    if not isinstance(value, dict):
        problems.append(Problem("output", value, f"an object with {_names(allowed)}, or null"))
        return {}
    problems.extend(
        Problem(child("", str(key)), value[key], _no_such_field(key, allowed))
        for key in value
        if key not in allowed
    )
    return value


def _list_field(
    fields: Mapping[str, Any],
    name: str,
    parse: Callable[[object], _T],
    problems: list[Problem],
) -> list[_T]:
    values = fields.get(name, ())
    if not isinstance(values, (list, tuple)):
        problems.append(Problem(name, values, "a list"))
        return []
    return _each(values, name, parse, problems)


def _each(
    values: Iterable[object], path: str, parse: Callable[[object], _T], problems: list[Problem]
) -> list[_T]:
    """Parse every value; what is wrong with one does not hide what is wrong with the next."""
    parsed: list[_T] = []
    for index, value in enumerate(values):
        try:
            parsed.append(parse(value))
        except _Wrong as wrong:
            problems.append(wrong.problem(child(path, index)))
    return parsed


def _repeated(images: list[Image]) -> Iterable[Problem]:
    first: dict[str, int] = {}
    for index, image in enumerate(images):
        other = first.setdefault(image.zarr_url, index)
        if other != index:
            yield Problem(
                f"images[{index}].zarr_url", image.zarr_url, f"each URL once; images[{other}] is it"
            )


def _image_or_document(value: object) -> Image:
    return value if isinstance(value, Image) else _image(value)


def _image(value: object) -> Image:
    mapping = _entry(value, _IMAGE_FIELDS)
    return Image(
        _url(mapping.get("zarr_url", MISSING), "zarr_url"),
        _origin(mapping.get("origin")),
        _attributes(mapping.get("attributes", _NO_ATTRIBUTES), none_allowed=False),
        _types(mapping.get("types", _NO_ATTRIBUTES)),
    )


def _update(value: object) -> ImageUpdate:
    mapping = _entry(value, _IMAGE_FIELDS)
    return ImageUpdate(
        _url(mapping.get("zarr_url", MISSING), "zarr_url"),
        _origin(mapping.get("origin")),
        _attributes(mapping.get("attributes", _NO_ATTRIBUTES), none_allowed=True),
        _types(mapping.get("types", _NO_ATTRIBUTES)),
    )


def _item(value: object) -> ParallelizationItem:
    mapping = _entry(value, _ITEM_FIELDS)
    init_args = mapping.get("init_args", _NO_ATTRIBUTES)
    if not isinstance(init_args, dict):
        raise _Wrong(("init_args",), init_args, "an object")
    return ParallelizationItem(_url(mapping.get("zarr_url", MISSING), "zarr_url"), init_args)


def _removal(value: object) -> str:
    return _url(value)


def _entry(value: object, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise _Wrong((), value, f"an object with {_names(allowed)}")
    for key in value:
        if key not in allowed:
            raise _Wrong((str(key),), value[key], _no_such_field(key, allowed))
    return value


def _url(value: object, *path: str) -> str:
    text = value.as_posix() if isinstance(value, PurePath) else value
    if not isinstance(text, str):
        raise _Wrong(path, value, _URL)
    try:
        return normalize_url(text)
    except ValueError as error:
        raise _Wrong(path, value, str(error)) from None


def _encodable(text: str) -> bool:
    """Say whether a text has a UTF-8 form; JSON can smuggle in halves of surrogate pairs."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _origin(value: object) -> str | None:
    return None if value is None else _url(value, "origin")


def _attributes(value: object, *, none_allowed: bool) -> dict[str, Any]:
    attributes = _named(value, "attributes")
    for name, scalar in attributes.items():
        kind = type(scalar)
        if kind is str or kind is int or kind is bool or (none_allowed and scalar is None):
            continue
        if kind is float and math.isfinite(scalar):
            continue
        allowed = f"{_SCALAR}, or null to remove it" if none_allowed else _SCALAR
        raise _Wrong(("attributes", name), scalar, allowed)
    return attributes


def _types(value: object) -> dict[str, bool]:
    types = _named(value, "types")
    for name, flag in types.items():
        if flag is not True and flag is not False:
            raise _Wrong(("types", name), flag, "true or false")
    return types


def _named(value: object, path: str) -> dict[str, Any]:
    """Return a copy whose names have no blanks around them and are not empty."""
    if type(value) is dict:
        if not value:
            return _NOTHING  # one for all: most updates say nothing of attributes and types
        for name in value:
            if type(name) is not str or not name or name.strip() != name:
                break
        else:
            return value.copy()
    if not isinstance(value, Mapping):
        raise _Wrong((path,), value, "an object")
    names: dict[str, Any] = {}
    for name, item in value.items():
        if not isinstance(name, str) or not (stripped := name.strip()):
            raise _Wrong((path,), name, "names that are strings and not empty")
        if stripped in names:
            raise _Wrong((path, stripped), item, "each name once")
        names[stripped] = item
    return names


def _names(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _no_such_field(key: object, allowed: tuple[str, ...]) -> str:
    meant = nearest(str(key), allowed)
    hint = f"; did you mean `{meant}`?" if meant else ""
    return f"no other field than {_names(allowed)}{hint}"

"""Images and datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fractal_jupyter.display.page import (
    Cell,
    Column,
    Look,
    Page,
    Row,
    Span,
    Table,
    cell,
    clipped,
)
from fractal_jupyter.display.words import below, counted, number, value_text
from fractal_jupyter.models.images import Image
from fractal_jupyter.store.records import DatasetRecord

SHOWN_AT_EACH_END = 10
MOST_ATTRIBUTES, MOST_TYPES = 8, 6


_NO_IMAGES = "No images yet: .scan() looks for some, .add_images([…]) adds some."


def images_page(
    images: Sequence[Image],
    *,
    total: int,
    dataset: str,
    zarr_dir: str,
    noun: str = "image",
    empty: str = _NO_IMAGES,
) -> Page:
    """The image list of a dataset.

    Args:
        images: All images; or, of a long list, the first half of them from its beginning and the
            rest from its end.
        total: How many images the list has.
        dataset: The name of the dataset.
        zarr_dir: The folder that the images are below.
        noun: What one of them is called.
        empty: What to say when there are none.
    """
    return Page(
        title=counted(total, noun),
        facts=(Span(f"dataset {dataset}"), Span(zarr_dir, "", "path")),
        blocks=(_images_table(images, total, zarr_dir, empty=empty),),
    )


def dataset_page(record: DatasetRecord, images: Sequence[Image], *, total: int) -> Page:
    """A dataset with the beginning and the end of its image list; see `images_page`."""
    facts = [Span(counted(total, "image")), Span(record.zarr_dir, "", "path")]
    if record.project_dir != record.zarr_dir:
        facts.append(Span(f"project {record.project_dir}", "", "path"))
    return Page(
        title=f"Dataset {record.name}",
        facts=tuple(facts),
        blocks=(_images_table(images, total, record.zarr_dir),),
    )


def datasets_page(rows: Sequence[tuple[DatasetRecord, int]]) -> Page:
    """Several datasets, each with the number of its images."""
    shown, left_out = clipped(rows, head=100, tail=20)
    return Page(
        title=counted(len(rows), "dataset"),
        blocks=(
            Table(
                columns=(
                    Column(title="Name", grows=True),
                    Column(title="Images", right=True),
                    Column(title="Folder of the images", grows=True),
                    Column(title="Project folder", grows=True),
                ),
                rows=tuple(
                    (
                        cell(record.name, look="strong"),
                        cell(number(count)),
                        cell(record.zarr_dir, look="path"),
                        cell(
                            record.project_dir if record.project_dir != record.zarr_dir else "",
                            look="path",
                            tone="soft",
                        ),
                    )
                    for record, count in shown
                ),
                gap_after=100,
                gap=f"{number(left_out)} more" if left_out else "",
                empty="No datasets yet: fractal.datasets.create(name, zarr_dir=…) makes one.",
            ),
        ),
    )


def _images_table(
    images: Sequence[Image], total: int, zarr_dir: str, *, empty: str = _NO_IMAGES
) -> Table:
    images, _ = clipped(images, head=SHOWN_AT_EACH_END, tail=SHOWN_AT_EACH_END)
    attributes = _names(image.attributes for image in images)
    types = _names(image.types for image in images)
    origins = any(image.origin and image.origin != image.zarr_url for image in images)
    left_out = total - len(images)
    hidden = max(0, len(attributes) - MOST_ATTRIBUTES) + max(0, len(types) - MOST_TYPES)
    attributes, types = attributes[:MOST_ATTRIBUTES], types[:MOST_TYPES]
    first = (len(images) + 1) // 2
    return Table(
        columns=(
            Column(title="", right=True),
            Column(title="Image", grows=True),
            *(Column(title=name) for name in (*attributes, *types)),
            *([Column(title=f"and {hidden} more")] if hidden else []),
            *([Column(title="Made from", grows=True)] if origins else []),
        ),
        rows=tuple(
            _image_row(
                image,
                number=k if k < first else k + left_out,
                attributes=attributes,
                types=types,
                hidden=bool(hidden),
                origins=origins,
                zarr_dir=zarr_dir,
            )
            for k, image in enumerate(images)
        ),
        gap_after=first,
        gap=f"{number(left_out)} more" if left_out > 0 else "",
        empty=empty,
    )


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of all mappings, in the order in which they appear."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _image_row(
    image: Image,
    *,
    number: int,
    attributes: Sequence[str],
    types: Sequence[str],
    hidden: bool,
    origins: bool,
    zarr_dir: str,
) -> Row:
    origin = image.origin if image.origin != image.zarr_url else None
    return (
        cell(number, tone="soft"),
        cell(below(image.zarr_url, zarr_dir), look="path"),
        *(cell(_value(image, name)) for name in attributes),
        *(_flag(image.types.get(name)) for name in types),
        *([cell()] if hidden else []),
        *([cell(below(origin or "", zarr_dir), look="path", tone="soft")] if origins else []),
    )


def _value(image: Image, name: str) -> str | None:
    value = image.attributes.get(name)
    return None if value is None else value_text(value, 60)


def _flag(value: bool | None) -> Cell:
    if value is None:
        return cell()
    return cell("✓", tone="good") if value else cell("–", tone="soft")


def image_page(image: Image) -> Page:
    """One image: where it is, and what is known of it."""
    return Page(
        title="Image",
        facts=(Span(image.zarr_url, "", "path"),),
        blocks=(
            Table(
                columns=(Column(), Column(grows=True)),
                rows=tuple(
                    (cell(name, tone="soft"), cell(text, look=look))
                    for name, text, look in _known(image)
                ),
                empty="It has no attributes and no types.",
            ),
        ),
    )


def _known(image: Image) -> Iterator[tuple[str, str, Look]]:
    for name, value in image.attributes.items():
        yield str(name), value_text(value), ""
    for name, flag in image.types.items():
        yield str(name), "yes" if flag else "no", ""
    if image.origin and image.origin != image.zarr_url:
        yield "made from", image.origin, "path"

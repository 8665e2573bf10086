"""Datasets and their images."""

from __future__ import annotations

from typing import Self

from fractal_jupyter.models.images import Image
from fractal_jupyter.server.documents.answer import Answer


class DatasetDocument(Answer):
    """A folder of images with its list."""

    id: int
    name: str
    zarr_dir: str
    project_dir: str
    created: float
    images: int


class ImageDocument(Answer):
    """One image of a dataset."""

    zarr_url: str
    origin: str | None
    attributes: dict[str, str | int | float | bool]
    types: dict[str, bool]

    @classmethod
    def of(cls, image: Image) -> Self:
        """Make it of an image."""
        return cls.model_construct(**image.to_document())


class CountDocument(Answer):
    """How many things were changed."""

    count: int

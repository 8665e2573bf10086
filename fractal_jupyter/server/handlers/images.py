"""Image lists of datasets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, Json

from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.engine.filters import parse_attribute_filters, parse_type_filters
from fractal_jupyter.models.images import normalize_url
from fractal_jupyter.server.actions import Outcome
from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.activities import ActivityDocument
from fractal_jupyter.server.documents.answer import Page
from fractal_jupyter.server.documents.datasets import CountDocument, ImageDocument
from fractal_jupyter.server.requests import Id, Paged
from fractal_jupyter.server.route import Body, Query, Request, Route
from fractal_jupyter.store.records import ActivityRecord

RESOURCE = "fractal:images"


class ImagesQuery(Paged):
    """Which images."""

    search: str = Field("", description="Only images with this in their `zarr_url`.")
    type_filters: Json[dict[str, bool]] = Field(
        {}, description='The types that they must have, as JSON: `{"is_3D": true}`.'
    )
    attribute_filters: Json[dict[str, list[str | int | float | bool]]] = Field(
        {}, description='Allowed values by attribute, as JSON: `{"well": ["B03"]}`.'
    )


class NewImages(Body):
    """Images: `{"zarr_url", "origin"?, "attributes"?, "types"?}` each."""

    images: list[dict[str, Any]]


class Removal(Body):
    """The `zarr_url`s of images to take off the list."""

    zarr_urls: list[Annotated[str, AfterValidator(normalize_url)]]


class Scan(Body):
    """On whose machine to look; null for this one, or that of the only profile."""

    profile_id: Id | None = None


def list_images(api: Api, request: Request[ImagesQuery, None]) -> Page[ImageDocument]:
    """List images of a dataset, in the order in which they were added."""
    query, dataset = request.query, api.store.datasets.by_id(request.ids["dataset"])
    images, total = api.store.datasets.image_page(
        dataset.id,
        search=query.search,
        type_filters=parse_type_filters(query.type_filters),
        attribute_filters=parse_attribute_filters(query.attribute_filters),
        offset=query.offset,
        limit=api.page(query.limit),
    )
    end = query.offset + len(images)
    return Page(
        items=[ImageDocument.of(image) for image in images],
        total=total,
        next=end if images and end < total else None,
    )


def add(api: Api, request: Request[Query, NewImages]) -> CountDocument:
    """Add images at the end of the list of a dataset: all of them, or none."""
    _dataset(api, request).add_images(request.body.images)
    return CountDocument(count=len(request.body.images))


def update(api: Api, request: Request[Query, NewImages]) -> CountDocument:
    """Replace origin, attributes and types of images that a dataset has."""
    _dataset(api, request).update_images(request.body.images)
    return CountDocument(count=len(request.body.images))


def remove(api: Api, request: Request[Query, Removal]) -> CountDocument:
    """Take images off the list of a dataset; their files stay."""
    return CountDocument(count=_dataset(api, request).remove_images(request.body.zarr_urls))


def scan(api: Api, request: Request[Query, Scan]) -> ActivityDocument:
    """Look for OME-Zarr images below the `zarr_dir` of a dataset, and add those that are new.

    The `result` of the activity is `{"found", "added"}`; its log says what could not be read.
    """
    dataset, key = _dataset(api, request), request.body.profile_id
    profile = None if key is None else api.store.profiles.by_id(key).name

    def run(activity: ActivityRecord) -> Outcome:
        new, found, troubles = dataset._scan(None, profile)
        lines = [*troubles, f"{found} found, {len(new)} added"]
        api.store.activities.append_log(activity.id, "".join(f"{line}\n" for line in lines))
        return Outcome(result={"found": found, "added": len(new)})

    return ActivityDocument.of(api.actions.start("scan", dataset.name, run))


def _dataset(api: Api, request: Request[Any, Any]) -> Dataset:
    return api.fractal.datasets.get(api.store.datasets.by_id(request.ids["dataset"]).name)


ROUTES = (
    Route(
        method="GET",
        path="/datasets/{dataset}/images",
        call=list_images,
        resource=RESOURCE,
        query=ImagesQuery,
        answer=Page[ImageDocument],
    ),
    Route(
        method="POST",
        path="/datasets/{dataset}/images",
        call=add,
        resource=RESOURCE,
        body=NewImages,
        answer=CountDocument,
        status=201,
    ),
    Route(
        method="PUT",
        path="/datasets/{dataset}/images",
        call=update,
        resource=RESOURCE,
        body=NewImages,
        answer=CountDocument,
    ),
    Route(
        method="POST",
        path="/datasets/{dataset}/images/remove",
        call=remove,
        resource=RESOURCE,
        body=Removal,
        answer=CountDocument,
    ),
    Route(
        method="POST",
        path="/datasets/{dataset}/scan",
        call=scan,
        resource=RESOURCE,
        body=Scan,
        answer=ActivityDocument,
        status=202,
    ),
)

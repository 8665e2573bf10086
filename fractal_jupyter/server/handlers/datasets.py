"""Datasets; their images have a module of their own."""

from __future__ import annotations

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.documents.answer import Items
from fractal_jupyter.server.documents.datasets import DatasetDocument
from fractal_jupyter.server.route import Body, Query, Request, Route
from fractal_jupyter.store.records import DatasetRecord

RESOURCE = "fractal:datasets"


class NewDataset(Body):
    """A dataset; `project_dir`, where tasks may keep caches, is `zarr_dir` if it is not given."""

    name: str
    zarr_dir: str
    project_dir: str | None = None


def list_datasets(api: Api, request: Request[Query, None]) -> Items[DatasetDocument]:
    """List all datasets, the oldest first."""
    return Items(items=[_document(api, record) for record in api.store.datasets.all()])


def add(api: Api, request: Request[Query, NewDataset]) -> DatasetDocument:
    """Make a dataset without images."""
    body = request.body
    made = api.fractal.datasets.create(
        body.name, zarr_dir=body.zarr_dir, project_dir=body.project_dir
    )
    return _document(api, api.store.datasets.get(made.name))


def get(api: Api, request: Request[Query, None]) -> DatasetDocument:
    """Look at a dataset."""
    return _document(api, api.store.datasets.by_id(request.ids["dataset"]))


def remove(api: Api, request: Request[Query, None]) -> None:
    """Forget a dataset that no job belongs to; its files stay."""
    api.store.datasets.remove(api.store.datasets.by_id(request.ids["dataset"]))


def _document(api: Api, record: DatasetRecord) -> DatasetDocument:
    return DatasetDocument(
        id=record.id,
        name=record.name,
        zarr_dir=record.zarr_dir,
        project_dir=record.project_dir,
        created=record.created,
        images=api.store.datasets.count_images(record.id),
    )


ROUTES = (
    Route(
        method="GET",
        path="/datasets",
        call=list_datasets,
        resource=RESOURCE,
        answer=Items[DatasetDocument],
    ),
    Route(
        method="POST",
        path="/datasets",
        call=add,
        resource=RESOURCE,
        body=NewDataset,
        answer=DatasetDocument,
        status=201,
    ),
    Route(
        method="GET",
        path="/datasets/{dataset}",
        call=get,
        resource=RESOURCE,
        answer=DatasetDocument,
    ),
    Route(method="DELETE", path="/datasets/{dataset}", call=remove, resource=RESOURCE, status=204),
)

"""Datasets and their image lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fractal_jupyter.errors import AlreadyExists, InUse, NotFound
from fractal_jupyter.models.images import Image, Scalar
from fractal_jupyter.store.database import Database, decode
from fractal_jupyter.store.documents import NamedRows
from fractal_jupyter.store.many import Repeating, insert_many
from fractal_jupyter.store.records import DatasetRecord
from fractal_jupyter.store.tables import datasets, images, jobs

# SQLite allows 32,766 values in one statement.
CHUNK = 5_000
# So many values are looked for faster as text than in JSON.
FEW = 4


class Datasets(NamedRows[DatasetRecord]):
    """Datasets by name, and their images."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, datasets, DatasetRecord, "dataset")

    def add(self, name: str, *, zarr_dir: str, project_dir: str) -> DatasetRecord:
        """Add a dataset without images; raises `AlreadyExists`."""
        return self._insert(name, zarr_dir=zarr_dir, project_dir=project_dir)

    def remove(self, record: DatasetRecord) -> None:
        """Forget a dataset and its image list (nothing on disk is touched); raises `InUse`."""
        with self._database.write() as connection:
            used = connection.execute(
                sa.select(jobs.c.id).where(jobs.c.dataset_id == record.id)
            ).scalars()
            numbers = ", ".join(map(str, used))
            if numbers:
                raise InUse(
                    f"The dataset {record.name!r} belongs to the jobs {numbers}; "
                    "remove these first."
                )
            connection.execute(sa.delete(datasets).where(datasets.c.id == record.id))

    def count_images(self, dataset_id: int) -> int:
        """How many images the dataset has."""
        with self._database.read() as connection:
            return connection.execute(
                sa.select(sa.func.count()).where(images.c.dataset_id == dataset_id)
            ).scalar_one()

    def images(self, dataset_id: int, *, offset: int = 0, limit: int | None = None) -> list[Image]:
        """Images in the order in which they were added."""
        with self._database.read() as connection:
            return read_images(connection, dataset_id, offset=offset, limit=limit)

    def image_page(
        self,
        dataset_id: int,
        *,
        search: str = "",
        type_filters: Mapping[str, bool] | None = None,
        attribute_filters: Mapping[str, Sequence[Scalar]] | None = None,
        offset: int = 0,
        limit: int,
    ) -> tuple[list[Image], int]:
        """Some images that filters let pass, and how many there are of these.

        Args:
            dataset_id: The dataset.
            search: Only images with this in their `zarr_url`.
            type_filters: What types they must have, `{"is_3D": True}`.
            attribute_filters: Allowed values by attribute, `{"well": ["B03"]}`.
            offset: How many to pass over.
            limit: At most so many.
        """
        which = [images.c.dataset_id == dataset_id]
        if search:
            which.append(images.c.zarr_url.contains(search, autoescape=True))
        for name, flag in (type_filters or {}).items():
            which.append(sa.func.coalesce(images.c.types[name].as_boolean(), False) == flag)
        for name, values in (attribute_filters or {}).items():
            texts = [text for value in values for text in _as_json(value)]
            if len(texts) <= FEW:
                # A look at the whole text is quick, and spares most rows from being taken apart.
                whole = sa.cast(images.c.attributes, sa.Text)
                which.append(sa.or_(*(whole.contains(text, autoescape=True) for text in texts)))
            which.append(sa.cast(images.c.attributes[name], sa.Text).in_(texts))
        # Of what is passed over, and counted, only the ids are read; and filters look once.
        count = sa.func.count()
        ids = sa.select(images.c.id, count.over()).where(*which).order_by(images.c.id)
        if len(which) == 1:
            ids = sa.select(images.c.id, sa.literal(None)).where(*which).order_by(images.c.id)
        with self._database.read() as connection:
            found = connection.execute(ids.offset(offset).limit(limit)).all()
            total = found[0][1] if found else None
            if total is None:
                total = connection.execute(sa.select(count).where(*which)).scalar_one()
            page = _IMAGE_COLUMNS.where(images.c.id.in_([row[0] for row in found]))
            return [Image(*row) for row in connection.execute(page)], total

    def find_images(self, dataset_id: int, zarr_urls: Sequence[str]) -> dict[str, Image]:
        """Those of the given images that the dataset has, by `zarr_url`."""
        found: dict[str, Image] = {}
        with self._database.read() as connection:
            for chunk in chunks(zarr_urls):
                rows = connection.execute(
                    _IMAGE_COLUMNS.where(
                        images.c.dataset_id == dataset_id, images.c.zarr_url.in_(chunk)
                    )
                )
                found.update((row[0], Image(*row)) for row in rows)
        return found

    def add_images(self, dataset_id: int, new: Sequence[Image]) -> None:
        """Append images; raises `AlreadyExists` and adds none when one is known already."""
        with self._database.write() as connection:
            known = list(_known_urls(connection, dataset_id, [image.zarr_url for image in new]))
            if known:
                more = f" and {len(known) - 3} more" if len(known) > 3 else ""
                raise AlreadyExists(
                    f"The dataset has {', '.join(known[:3])}{more} already; no image was added. "
                    "Leave them out, or change them with update_images."
                )
            insert_images(connection, dataset_id, new)

    def update_images(self, dataset_id: int, changed: Sequence[Image]) -> None:
        """Replace origin, attributes and types of known images; raises `NotFound`."""
        with self._database.write() as connection:
            urls = [image.zarr_url for image in changed]
            known = set(_known_urls(connection, dataset_id, urls))
            for url in urls:
                if url not in known:
                    raise NotFound(f"The dataset has no image {url}.")
            write_images(connection, dataset_id, changed)

    def remove_images(self, dataset_id: int, zarr_urls: Sequence[str]) -> int:
        """Take images off the list (nothing on disk is touched); return how many there were."""
        with self._database.write() as connection:
            return delete_images(connection, dataset_id, zarr_urls)


_IMAGE_COLUMNS = sa.select(
    images.c.zarr_url, images.c.origin, images.c.attributes, images.c.types
).order_by(images.c.id)
# The same, JSON as text.
_IMAGE_TEXTS = sa.select(
    images.c.zarr_url,
    images.c.origin,
    sa.cast(images.c.attributes, sa.Text),
    sa.cast(images.c.types, sa.Text),
).order_by(images.c.id)
_INSERTED = ("dataset_id", "zarr_url", "origin", "attributes", "types")


def _as_json(value: Scalar) -> tuple[str, ...]:
    """How a database may write a value; SQLite has no true but 1."""
    text = json.dumps(value, ensure_ascii=False)
    return (text, str(int(value))) if isinstance(value, bool) else (text,)


def chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Cut `values` into pieces that fit into one statement."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def _known_urls(
    connection: sa.Connection, dataset_id: int, zarr_urls: Sequence[str]
) -> Iterator[str]:
    """Those of the given images that the dataset has."""
    for chunk in chunks(zarr_urls):
        yield from connection.execute(
            sa.select(images.c.zarr_url).where(
                images.c.dataset_id == dataset_id, images.c.zarr_url.in_(chunk)
            )
        ).scalars()


def image_values(image: Image) -> dict[str, Any]:
    """The columns of an image."""
    return {
        "zarr_url": image.zarr_url,
        "origin": image.origin,
        "attributes": dict(image.attributes),
        "types": dict(image.types),
    }


def read_images(
    connection: sa.Connection, dataset_id: int, *, offset: int = 0, limit: int | None = None
) -> list[Image]:
    """The images of a dataset, in order."""
    query = _IMAGE_TEXTS.where(images.c.dataset_id == dataset_id)
    if offset or limit is not None:
        query = query.offset(offset).limit(limit)
    attributes, types = Repeating(decode), Repeating(decode)
    return [
        Image(url, origin, attributes(of_attributes), types(of_types))
        for url, origin, of_attributes, of_types in connection.execute(query).all()
    ]


def insert_images(connection: sa.Connection, dataset_id: int, new: Sequence[Image]) -> None:
    """Append images that are not there yet."""
    if new:
        rows = [(dataset_id, i.zarr_url, i.origin, dict(i.attributes), dict(i.types)) for i in new]
        insert_many(connection, images, _INSERTED, rows)
        _revise(connection, dataset_id)


def write_images(connection: sa.Connection, dataset_id: int, changed: Sequence[Image]) -> None:
    """Replace images that are there."""
    if changed:
        connection.execute(
            sa.update(images).where(
                images.c.dataset_id == dataset_id, images.c.zarr_url == sa.bindparam("known_url")
            ),
            [{"known_url": i.zarr_url, **image_values(i)} for i in changed],
        )
        _revise(connection, dataset_id)


def delete_images(connection: sa.Connection, dataset_id: int, zarr_urls: Sequence[str]) -> int:
    """Take images off the list; return how many there were."""
    count = sum(
        connection.execute(
            sa.delete(images).where(images.c.dataset_id == dataset_id, images.c.zarr_url.in_(chunk))
        ).rowcount
        for chunk in chunks(zarr_urls)
    )
    if count:
        _revise(connection, dataset_id)
    return count


def _revise(connection: sa.Connection, dataset_id: int) -> None:
    connection.execute(
        sa.update(datasets)
        .where(datasets.c.id == dataset_id)
        .values(revision=datasets.c.revision + 1)
    )

"""Many rows at once, on every kind of database."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.models.images import Image, Scalar
from fractal_jupyter.store.many import Repeating, insert_many
from fractal_jupyter.store.store import Store
from fractal_jupyter.store.tables import images

COLUMNS = ("types", "zarr_url", "attributes", "dataset_id")  # in another order than the table's


def test_rows_are_what_they_would_be_one_by_one(store: Store) -> None:
    dataset = store.datasets.add("plate", zarr_dir="/data", project_dir="/data")
    odd: dict[str, Scalar] = {"quote": 'it\'s "%s" ? :name', "half": 0.5, "no": False, "n": 2**60}
    store.datasets.add_images(dataset.id, [Image("/data/a", None, odd, {"is_3D": True})])
    with store.database.write() as connection:
        insert_many(connection, images, COLUMNS, [({"is_3D": True}, "/data/b", odd, dataset.id)])
    first, second = store.datasets.images(dataset.id)
    assert first.attributes == second.attributes == odd
    assert first.types == second.types == {"is_3D": True}
    assert second.zarr_url == "/data/b"
    assert second.origin is None
    with store.database.read() as connection:
        texts = sa.select(sa.cast(images.c.attributes, sa.Text), sa.cast(images.c.types, sa.Text))
        assert len(set(connection.execute(texts).all())) == 1


def test_no_rows_are_no_statement(store: Store) -> None:
    with store.database.write() as connection:
        insert_many(connection, images, COLUMNS, [])


def test_a_row_that_is_refused_refuses_all(store: Store) -> None:
    dataset = store.datasets.add("plate", zarr_dir="/data", project_dir="/data")
    rows: list[tuple[Any, ...]] = [
        ({}, url, {}, dataset.id) for url in ("/data/a", "/data/b", "/data/a")
    ]
    with pytest.raises(sa.exc.IntegrityError), store.database.write() as connection:
        insert_many(connection, images, COLUMNS, rows)
    assert store.datasets.images(dataset.id) == []


@given(st.lists(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())))
def test_who_changes_one_object_changes_no_other(objects: list[dict[str, object]]) -> None:
    read = Repeating(json.loads)
    texts = [json.dumps(thing) for thing in objects for _ in range(2)]
    found = [read(text) for text in texts]
    assert found == [json.loads(text) for text in texts]
    for thing in found[::2]:
        thing["changed"] = 1
    assert found[1::2] == objects

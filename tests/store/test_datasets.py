import pytest

from fractal_jupyter.errors import AlreadyExists, NotFound
from fractal_jupyter.models.images import Image, Scalar
from fractal_jupyter.store.store import Store


def urls(count: int, start: int = 0) -> list[Image]:
    return [Image(f"/data/{i}.zarr", None, {"n": i}, {"is_3D": True}) for i in range(start, count)]


def test_images_keep_their_order_and_their_values(store: Store) -> None:
    key = store.datasets.add("plate", zarr_dir="/data", project_dir="/data").id
    store.datasets.add_images(key, urls(12_000))
    assert store.datasets.count_images(key) == 12_000
    assert store.datasets.images(key) == urls(12_000)
    assert store.datasets.images(key, offset=11_998, limit=5) == urls(12_000)[11_998:]


def test_no_image_is_added_when_one_is_known(store: Store) -> None:
    key = store.datasets.add("plate", zarr_dir="/data", project_dir="/data").id
    store.datasets.add_images(key, urls(3))
    with pytest.raises(AlreadyExists, match=r"/data/2\.zarr already; no image was added"):
        store.datasets.add_images(key, urls(6, start=2))
    assert store.datasets.count_images(key) == 3


def test_images_are_replaced_and_removed_by_url(store: Store) -> None:
    key = store.datasets.add("plate", zarr_dir="/data", project_dir="/data").id
    store.datasets.add_images(key, urls(3))
    store.datasets.update_images(key, [Image("/data/1.zarr", "/data/0.zarr", {}, {})])
    assert store.datasets.find_images(key, ["/data/1.zarr", "/nowhere"]) == {
        "/data/1.zarr": Image("/data/1.zarr", "/data/0.zarr", {}, {})
    }
    with pytest.raises(NotFound):
        store.datasets.update_images(key, [Image("/nowhere", None, {}, {})])
    assert store.datasets.remove_images(key, ["/data/0.zarr", "/nowhere"]) == 1
    assert [image.zarr_url for image in store.datasets.images(key)] == [
        "/data/1.zarr",
        "/data/2.zarr",
    ]


def test_names_are_unique_and_near_ones_are_suggested(store: Store) -> None:
    store.datasets.add("plate-7", zarr_dir="/data", project_dir="/data")
    with pytest.raises(AlreadyExists):
        store.datasets.add("plate-7", zarr_dir="/data", project_dir="/data")
    with pytest.raises(NotFound, match="Did you mean 'plate-7'"):
        store.datasets.get("plate7")


def test_filters_find_values_of_any_kind(store: Store) -> None:
    key = store.datasets.add("plate", zarr_dir="/data", project_dir="/data").id
    values: list[Scalar] = ["B03", 'a "quoted" one', "Zürich %_", 7, 7.5, True, False]
    store.datasets.add_images(
        key,
        [
            Image(f"/data/{number}_%.zarr", None, {"value": value}, {"is_3D": number % 2 == 0})
            for number, value in enumerate(values)
        ],
    )
    for number, value in enumerate(values):
        page, total = store.datasets.image_page(key, attribute_filters={"value": [value]}, limit=9)
        assert [image.attributes["value"] for image in page] == [value], value
        assert total == 1
        page, _ = store.datasets.image_page(key, search=f"/{number}_%", limit=9)
        assert [image.zarr_url for image in page] == [f"/data/{number}_%.zarr"]
    page, total = store.datasets.image_page(key, type_filters={"is_3D": True}, offset=1, limit=2)
    assert [image.attributes["value"] for image in page] == ["Zürich %_", 7.5]
    assert total == 4
    _, total = store.datasets.image_page(key, attribute_filters={"value": values}, limit=1)
    assert total == len(values)

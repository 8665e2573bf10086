from pathlib import Path

import pytest
import sqlalchemy as sa

from fractal_jupyter import Fractal
from fractal_jupyter.errors import AlreadyExists, FileMissing, InUse, InvalidDocument
from tests.toy import make_dataset


def test_images_are_a_sequence(fractal: Fractal) -> None:
    images = make_dataset(fractal, 30).images
    assert len(images) == 30
    assert images[3].zarr_url == images[-27].zarr_url == "/data/plate-3.zarr"
    assert [image.zarr_url for image in images[28:]] == [
        "/data/plate-28.zarr",
        "/data/plate-29.zarr",
    ]
    assert [image.zarr_url for image in images][5] == "/data/plate-5.zarr"
    with pytest.raises(IndexError, match="30 images"):
        images[30]


def test_images_outside_the_zarr_dir_are_refused(fractal: Fractal) -> None:
    dataset = fractal.datasets.create("d", zarr_dir="/data/out/")
    assert dataset.zarr_dir == "/data/out"
    with pytest.raises(InvalidDocument, match="/data/out2/a"):
        dataset.add_images([{"zarr_url": "/data/out/a"}, {"zarr_url": "/data/out2/a"}])
    assert len(dataset.images) == 0


def test_images_are_added_once(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    with pytest.raises(AlreadyExists):
        dataset.add_images([{"zarr_url": "/data/plate-1.zarr"}])
    with pytest.raises(InvalidDocument, match="attributes"):
        dataset.add_images([{"zarr_url": "/data/x.zarr", "attributes": {"a": [1]}}])


def test_a_dataset_needs_an_absolute_folder(fractal: Fractal) -> None:
    with pytest.raises(InvalidDocument, match="zarr_dir"):
        fractal.datasets.create("d", zarr_dir="here/and/there")


def test_a_folder_that_cannot_be_scanned_is_told(fractal: Fractal, tmp_path: Path) -> None:
    dataset = fractal.datasets.create("d", zarr_dir=tmp_path / "not there")
    with pytest.raises(FileMissing, match=r"Cannot scan /.*not there: No such file"):
        dataset.scan()
    (tmp_path / "file").touch()
    with pytest.raises(FileMissing, match="Not a directory"):
        dataset.scan(tmp_path / "file")


def test_a_dataset_with_jobs_stays(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 1)
    job = fractal.submit("Toy Parallel", dataset).wait(60)
    with pytest.raises(InUse, match=str(job.id)):
        fractal.datasets.remove("plate")
    fractal.jobs.remove(job.id)
    fractal.datasets.remove("plate")
    assert len(fractal.datasets.list()) == 0


def test_a_long_list_is_shown_by_its_ends(fractal: Fractal) -> None:
    dataset = fractal.datasets.create("plate", zarr_dir="/data")
    database = fractal._store.database
    with database.write() as connection:
        connection.execute(
            sa.text(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) "
                "INSERT INTO images (dataset_id, zarr_url, attributes, types) "
                "SELECT :key, printf('/data/%06d.zarr', i), '{}', '{}' FROM n"
            ),
            {"key": dataset._record.id},
        )
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    html = dataset.images._repr_html_()
    assert "100,000 images" in html
    assert ["000004.zarr" in html, "000005.zarr" in html] == [True, False]
    assert ["099994.zarr" in html, "099995.zarr" in html] == [False, True]
    assert len(html) < 100_000
    selects = [statement for statement in asked if statement.startswith("SELECT")]
    assert len(selects) == 3
    assert all("count(" in statement or "LIMIT" in statement for statement in selects)

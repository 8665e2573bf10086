"""The demonstration's images, read back with the library that Fractal tasks read them with."""

from __future__ import annotations

from pathlib import Path

import ngio
import numpy as np
import pytest

from fractal_jupyter.demo.data import make_images, make_plate, new_folder
from fractal_jupyter.worker.scan import scan


def test_images_are_valid_and_found(tmp_path: Path) -> None:
    urls = make_images(tmp_path / "new", n=2)

    assert [Path(url).name for url in urls] == ["cells_01.zarr", "cells_02.zarr"]
    for url in urls:
        container = ngio.open_ome_zarr_container(url, mode="r")
        assert container.is_3d
        assert container.channel_labels == ["nuclei", "cytoplasm"]
        assert container.levels == 2
        image = container.get_image()
        assert image.shape == (2, 8, 256, 256)
        assert image.pixel_size.x == image.pixel_size.y == 0.65
        assert image.get_as_numpy().std() > 10
    found = scan(str(tmp_path))
    assert [image["zarr_url"] for image in found["images"]] == urls
    assert found["warnings"] == []


def test_images_are_reproducible_and_differ(tmp_path: Path) -> None:
    def pixels(folder: str, seed: int) -> list[np.ndarray]:
        urls = make_images(tmp_path / folder, n=2, seed=seed)
        return [ngio.open_image(url).get_as_numpy() for url in urls]

    first, same, other = pixels("a", 1), pixels("a", 1), pixels("b", 2)

    assert np.array_equal(first, same)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_plate_is_valid_and_found(tmp_path: Path) -> None:
    urls = make_plate(tmp_path)

    plate = ngio.open_ome_zarr_plate(tmp_path / "plate.zarr", mode="r")
    assert plate.rows == ["B", "C"]
    assert plate.columns == ["02", "03", "04"]
    assert len(plate.wells_paths()) == 6
    found = scan(str(tmp_path))
    assert [image["zarr_url"] for image in found["images"]] == urls
    assert len(urls) == 12
    assert found["images"][3] == {
        "zarr_url": f"{tmp_path}/plate.zarr/B/03/1",
        "attributes": {
            "plate": "plate.zarr",
            "well": "B03",
            "row": "B",
            "column": "03",
            "acquisition": 0,
        },
        "types": {"is_3D": True},
    }


def test_dose_shows_in_the_plate(tmp_path: Path) -> None:
    def bright_share(url: str) -> float:
        return float((ngio.open_image(url).get_as_numpy()[1].max(axis=0) > 700).mean())

    urls = make_plate(tmp_path)
    shares = {
        column: np.mean([bright_share(url) for url in urls if f"/{column}/" in url])
        for column in ("02", "04")
    }

    assert shares["02"] < shares["04"]


def test_each_run_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    by_default = new_folder()
    monkeypatch.setenv("FRACTAL_DEMO_FOLDER", str(tmp_path / "elsewhere"))
    elsewhere = new_folder()

    assert by_default.parent == tmp_path / "home" / "fractal-demo"
    assert elsewhere.parent == tmp_path / "elsewhere"
    for folder in (by_default, elsewhere):
        assert list(folder.iterdir()) == []

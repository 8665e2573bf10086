"""The contact sheet: what is on it, seen from its pixels."""

from __future__ import annotations

from pathlib import Path

import ngio
import numpy as np
import pytest
from matplotlib import colors, image
from numpy.typing import NDArray
from scipy import ndimage

from fractal_jupyter.demo.cells import synthesize
from fractal_jupyter.demo.contact_sheet import OUTLINE, PAPER, contact_sheet, outlines


@pytest.fixture(scope="module")
def projections(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three projected images with a label image `nuclei`, the last one without any object."""
    folder = tmp_path_factory.mktemp("projections")
    urls = []
    for number in range(3):
        pixels = synthesize(np.random.default_rng(number), shape=(8, 96, 96)).max(axis=1)
        container = ngio.create_ome_zarr_from_array(
            store=folder / f"cells_{number}.zarr",
            array=pixels,
            axes_names=["c", "y", "x"],
            pixelsize=0.65,
            levels=1,
            channels_meta=["nuclei", "cytoplasm"],
            consolidation_mode="auto",
        )
        objects, _ = ndimage.label(pixels[0] > 500)
        container.derive_label("nuclei").set_array(
            objects.astype(np.uint32) if number < 2 else np.zeros_like(objects, np.uint32)
        )
        urls.append(str(folder / f"cells_{number}.zarr"))
    return urls


def count(picture: NDArray[np.float32], color: str, *, within: float = 0.06) -> int:
    """How many pixels have a color, more or less."""
    return int((np.abs(picture[..., :3] - colors.to_rgb(color)).max(axis=-1) < within).sum())


def test_outlines_are_drawn_where_objects_are(projections: list[str], tmp_path: Path) -> None:
    def outlined(urls: list[str]) -> int:
        return count(image.imread(contact_sheet(urls, tmp_path / "a.png", label="nuclei")), OUTLINE)

    assert outlined(projections[:1]) > 100
    assert outlined(projections[2:]) == 0
    assert outlined(projections) > outlined(projections[:1])


def test_sheet_is_light_all_around(projections: list[str], tmp_path: Path) -> None:
    picture = image.imread(contact_sheet(projections, tmp_path / "a.png", label="nuclei"))
    for border in (picture[:8], picture[-8:], picture[:, :8], picture[:, -8:]):
        assert count(border, PAPER) == border.shape[0] * border.shape[1]


def test_columns_shape_the_sheet(projections: list[str], tmp_path: Path) -> None:
    def shape(columns: int) -> tuple[int, ...]:
        path = contact_sheet(projections, tmp_path / "a.png", label="nuclei", columns=columns)
        return image.imread(path).shape[:2]

    (height_1, width_1), (height_2, width_2), (height_3, width_3) = map(shape, (1, 2, 9))
    assert height_1 > height_2 > height_3
    assert width_1 < width_2 < width_3


def test_folder_is_made(projections: list[str], tmp_path: Path) -> None:
    path = contact_sheet(projections, tmp_path / "new" / "sheet.png", label="nuclei")
    assert path == tmp_path / "new" / "sheet.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_touching_objects_have_outlines_of_their_own() -> None:
    labels = np.zeros((10, 10), np.uint32)
    labels[2:5, 2:5] = 1
    labels[2:5, 5:8] = 2
    labels[0, 0] = 7
    lines = outlines(labels)
    assert len(lines) == 3
    assert [tuple(line.min(axis=0)) for line in lines] == [(1.5, 1.5), (4.5, 1.5), (-0.5, -0.5)]


def test_no_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], tmp_path / "a.png", label="nuclei")

"""Write made-up images of cells as OME-Zarr: single images, and a plate."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from fractal_jupyter.demo.cells import PIXEL_SIZE, Z_SPACING, Culture, synthesize

FOLDER_VARIABLE = "FRACTAL_DEMO_FOLDER"
"""Environment variable: where `new_folder` makes folders."""

NUCLEI = "nuclei"
CYTOPLASM = "cytoplasm"

PLATE_ROWS = ("B", "C")
PLATE_COLUMNS = ("02", "03", "04")
PLATE_FIELDS = ("0", "1")


def new_folder() -> Path:
    """Make a folder for one run of a tutorial, named after the time, and return its path.

    It lies in `FRACTAL_DEMO_FOLDER`, by default `fractal-demo` in the home directory, and is of
    this run only: nothing is overwritten, and it can be removed when it is of no use any more.
    """
    base = os.environ.get(FOLDER_VARIABLE) or Path.home() / "fractal-demo"
    folder = Path(base).resolve() / time.strftime("%y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    return folder


def make_images(folder: str | Path, *, n: int = 24, seed: int = 0) -> list[str]:
    """Write single 3D images of cells, `cells_01.zarr` and so on.

    Args:
        folder: Where to write; made if needed. Images of these names are replaced.
        n: How many images.
        seed: The same seed gives the same images.

    Returns:
        The `zarr_url` of each image: 8 planes of 256 × 256 pixels, two channels (`nuclei` and
        `cytoplasm`), 16 bits, NGFF 0.4.
    """
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(n)))
    generators = np.random.default_rng(seed).spawn(n)
    return [
        write_image(target / f"cells_{number:0{digits}}.zarr", rng, Culture())
        for number, rng in enumerate(generators, start=1)
    ]


def make_plate(folder: str | Path, *, seed: int = 0) -> list[str]:
    """Write a plate, `plate.zarr`, of 2 × 3 wells with two fields each.

    The further to the right a well is, the fewer and larger its nuclei are, as if there were more
    of some drug in it.

    Args:
        folder: Where to write; made if needed. A plate of this name is replaced.
        seed: The same seed gives the same images.

    Returns:
        The `zarr_url` of each image: 8 planes of 192 × 192 pixels, otherwise as `make_images`.
    """
    import ngio

    target = Path(folder).resolve() / "plate.zarr"
    target.parent.mkdir(parents=True, exist_ok=True)
    fields = [
        (row, column, field)
        for row in PLATE_ROWS
        for column in PLATE_COLUMNS
        for field in PLATE_FIELDS
    ]
    ngio.create_empty_plate(
        store=target,
        name=target.name,
        images=[
            ngio.ImageInWellPath(row=row, column=column, path=field, acquisition_id=0)
            for row, column, field in fields
        ],
        overwrite=True,
    )
    urls = []
    for (row, column, field), rng in zip(
        fields, np.random.default_rng([seed, 1]).spawn(len(fields)), strict=True
    ):
        dose = PLATE_COLUMNS.index(column)
        culture = Culture(cells=30 - 7 * dose, radius=5.5 + 1.2 * dose, brightness=1 + 0.3 * dose)
        path = target / row / column / field
        urls.append(write_image(path, rng, culture, size=192))
    return urls


def write_image(path: Path, rng: np.random.Generator, culture: Culture, *, size: int = 256) -> str:
    """Make one image and write it as an OME-Zarr of two resolution levels; return its path."""
    import ngio

    ngio.create_ome_zarr_from_array(
        store=path,
        array=synthesize(rng, culture, shape=(8, size, size)),
        axes_names=["c", "z", "y", "x"],
        pixelsize=PIXEL_SIZE,
        z_spacing=Z_SPACING,
        levels=2,
        channels_meta=[
            ngio.Channel.default_init(NUCLEI, wavelength_id="A01_C01", color="00BFFF"),
            ngio.Channel.default_init(CYTOPLASM, wavelength_id="A02_C02", color="FFB000"),
        ],
        name=path.name,
        ngff_version="0.4",
        consolidation_mode="auto",
        overwrite=True,
    )
    return str(path)

"""Draw many images and what was segmented in them as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fractal_jupyter.demo.data import CYTOPLASM, NUCLEI

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plane = NDArray[np.float32]

# Light, with dark text, whatever the theme of the notebook: a picture of its own.
PAPER = "#fbfbf9"
INK = "#22262b"
FAINT_INK = "#6b727a"
# Nuclei are cold and the outlines warm, which every kind of colour vision tells apart.
NUCLEUS_TINT = (0.80, 0.92, 1.00)
CYTOPLASM_TINT = (0.06, 0.36, 0.48)
OUTLINE = "#ffb000"

# Sizes on the sheet, in inches: of an image, between images, for an image's name, around all of
# them, and for the heading.
TILE, GAP, NAME, MARGIN, HEADING = 1.9, 0.09, 0.24, 0.14, 0.62
DOTS_PER_INCH = 130
SCALE_BAR = 50
"""Length of the scale bar, in micrometres."""


@dataclass(frozen=True)
class Tile:
    """One image of the sheet.

    Attributes:
        name: What is written above it.
        nuclei: The channel of the nuclei, of shape (y, x).
        cytoplasm: The channel of the cytoplasm, of the same shape.
        labels: Number of the object that a pixel belongs to, 0 for none; of the same shape.
        pixel_size: Size of a pixel, in micrometres.
    """

    name: str
    nuclei: Plane
    cytoplasm: Plane
    labels: NDArray[np.uint32]
    pixel_size: float

    @property
    def objects(self) -> int:
        """How many objects were segmented."""
        return len(np.unique(self.labels[self.labels > 0]))


def contact_sheet(
    zarr_urls: Sequence[str], path: str | Path, *, label: str, columns: int = 6
) -> Path:
    """Draw projected images with the outlines of their segmentation, and write them as a PNG.

    All images share the same contrast, so that their brightness can be compared.

    Args:
        zarr_urls: 2D images with the channels of `fractal_jupyter.demo.data`; at least one.
        path: Where to write the PNG.
        label: Name of the label image with the segmented objects.
        columns: How many images stand side by side.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: There are no images.
    """
    from matplotlib.figure import Figure

    if not zarr_urls:
        raise ValueError("A contact sheet needs at least one image; the list is empty.")
    tiles = [read_tile(url, label) for url in zarr_urls]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    figure = Figure(
        figsize=(
            2 * MARGIN + columns * (TILE + GAP) - GAP,
            2 * MARGIN + HEADING + rows * (TILE + NAME),
        ),
        facecolor=PAPER,
    )
    write_heading(figure, tiles)
    limits = contrast(tiles)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left = MARGIN + column * (TILE + GAP)
        top = MARGIN + HEADING + row * (TILE + NAME) + NAME
        draw_tile(add_axes(figure, left=left, top=top), tile, limits)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    save(figure, target)
    return target


def read_tile(zarr_url: str, label: str) -> Tile:
    """Read the channels and the labels of a 2D image."""
    import ngio

    container = ngio.open_ome_zarr_container(zarr_url, mode="r")
    image = container.get_image()

    def plane(array: NDArray[Any]) -> NDArray[Any]:
        return array.reshape(array.shape[-2:])

    return Tile(
        name=Path(zarr_url).name.removesuffix(".zarr"),
        nuclei=plane(image.get_as_numpy(channel_selection=NUCLEI)).astype(np.float32),
        cytoplasm=plane(image.get_as_numpy(channel_selection=CYTOPLASM)).astype(np.float32),
        labels=plane(container.get_label(label).get_as_numpy()).astype(np.uint32),
        pixel_size=image.pixel_size.x,
    )


def contrast(tiles: Sequence[Tile]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the intensities shown as black and as white for each channel, over all images."""
    nuclei = np.concatenate([tile.nuclei.ravel() for tile in tiles])
    cytoplasm = np.concatenate([tile.cytoplasm.ravel() for tile in tiles])
    return (
        np.percentile(nuclei, [20, 99.6]),
        np.percentile(cytoplasm, [20, 99.6]),
    )


def draw_tile(
    axes: Axes, tile: Tile, limits: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> None:
    """Draw one image in false colours, the outlines of its objects over it, its name above."""
    from matplotlib.collections import LineCollection

    nuclei = scaled(tile.nuclei, limits[0])[..., np.newaxis] * NUCLEUS_TINT
    cytoplasm = scaled(tile.cytoplasm, limits[1])[..., np.newaxis] * CYTOPLASM_TINT
    # As light adds up on a screen: what is bright in one channel stays bright in both.
    axes.imshow(1 - (1 - nuclei) * (1 - cytoplasm), interpolation="bilinear")
    axes.add_collection(LineCollection(outlines(tile.labels), colors=OUTLINE, linewidths=0.9))
    axes.set_axis_off()
    axes.set_title(tile.name, fontsize=7, color=INK, loc="left", pad=3)
    axes.set_title(f"{tile.objects}", fontsize=7, color=FAINT_INK, loc="right", pad=3)


def scaled(plane: Plane, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map intensities to 0 (black) to 1 (white), the dark ones spread out a little."""
    black, white = limits
    return np.asarray(np.clip((plane - black) / (white - black), 0, 1) ** 0.8)


def outlines(labels: NDArray[np.uint32]) -> list[NDArray[np.float64]]:
    """Trace each object of a label image; lines of (x, y) in pixels."""
    from scipy import ndimage
    from skimage import measure

    lines: list[NDArray[np.float64]] = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = np.pad(labels[box] == number, 1).astype(float)
        corner = np.array([box[1].start - 1, box[0].start - 1])
        lines.extend(line[:, ::-1] + corner for line in measure.find_contours(mask, 0.5))
    return lines


def add_axes(figure: Figure, *, left: float, top: float) -> Axes:
    """Add the place of an image, given in inches from the left and from the top."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, 1 - (top + TILE) / height, TILE / width, TILE / height))


def write_heading(figure: Figure, tiles: Sequence[Tile]) -> None:
    """Say above the images what they show and, to the right, how large it is."""
    width, height = figure.get_size_inches()
    objects = sum(tile.objects for tile in tiles)
    figure.text(
        MARGIN / width,
        1 - (MARGIN + 0.22) / height,
        f"{objects:,} nuclei in {len(tiles)} images",
        fontsize=13,
        fontweight="bold",
        color=INK,
    )
    figure.text(
        MARGIN / width,
        1 - (MARGIN + 0.45) / height,
        "projected nuclei (pale) and cytoplasm (blue), outlines and number of segmented nuclei",
        fontsize=7.5,
        color=FAINT_INK,
    )
    scale_bar(figure, length=SCALE_BAR / tiles[0].pixel_size / tiles[0].labels.shape[1] * TILE)


def scale_bar(figure: Figure, *, length: float) -> None:
    """Draw a scale bar of a length in inches above the last image, with the size it stands for."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    right, y = width - MARGIN, 1 - (MARGIN + 0.48) / height
    ends = [(right - length) / width, right / width]
    figure.add_artist(Line2D(ends, [y, y], color=INK, linewidth=2, solid_capstyle="butt"))
    figure.text(
        sum(ends) / 2, y + 0.06 / height, f"{SCALE_BAR} µm", ha="center", fontsize=7.5, color=INK
    )


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of 255 colours, which nobody sees, at half the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(255, method=Image.Quantize.MEDIANCUT).save(path, "PNG", optimize=True)

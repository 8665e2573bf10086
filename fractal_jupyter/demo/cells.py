"""Synthesise fluorescence images of cells: nuclei of all sizes, and the cytoplasm around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.float32]

PIXEL_SIZE = 0.65
"""Size of a pixel in x and in y, in micrometres: a 20× objective."""
Z_SPACING = 1.5
"""Distance between two planes, in micrometres."""


@dataclass(frozen=True)
class Culture:
    """What a field of cells looks like.

    Attributes:
        cells: How many cells there are, on average.
        radius: Radius of a nucleus, in micrometres, on average.
        brightness: Brightness of the cytoplasm, relative to the usual.
    """

    cells: float = 26
    radius: float = 6.5
    brightness: float = 1.0


@dataclass(frozen=True)
class Cell:
    """One cell: where it is, in pixels, and what it looks like.

    Attributes:
        center: Position along z, y and x.
        radii: Radii of the nucleus along z and its two axes in the plane.
        angle: Direction of the first axis, in radians.
        dents: Amplitude and phase of the waves 2, 3, … along the outline.
        nucleus: Brightness of the nucleus.
        cytoplasm: Brightness of the cytoplasm.
    """

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    angle: float
    dents: tuple[tuple[float, float], ...]
    nucleus: float
    cytoplasm: float


def synthesize(
    rng: np.random.Generator,
    culture: Culture = Culture(),
    *,
    shape: tuple[int, int, int] = (8, 256, 256),
) -> NDArray[np.uint16]:
    """Make one image of two channels, nuclei and cytoplasm.

    Args:
        rng: Where chance comes from; the same state gives the same image.
        culture: What the cells look like.
        shape: Size along z, y and x, in pixels.

    Returns:
        The image, of shape (2, z, y, x), as a camera of 16 bits would give it: photon noise, an
        offset, and a background that is brighter to one side.
    """
    nuclei = np.zeros(shape, np.float32)
    cytoplasm = np.zeros(shape, np.float32)
    for cell in place_cells(rng, culture, shape):
        draw(cell, nuclei, cytoplasm)
    nuclei *= texture(rng, shape, size=2.0, strength=0.16)
    cytoplasm *= texture(rng, shape, size=1.3, strength=0.30)
    cytoplasm *= 1 - 0.65 * np.clip(nuclei, 0, 1)
    signal = np.stack([1500 * nuclei, 1000 * culture.brightness * cytoplasm])
    signal = ndimage.gaussian_filter(signal, (0, 0.7, 0.9, 0.9))
    signal += background(rng, shape)
    # A camera counts photons, and reads them out with an offset and noise of its own.
    photons = rng.poisson(signal * 0.6) / 0.6
    counts = photons + rng.normal(100, 6, signal.shape)
    return np.asarray(np.clip(counts, 0, 2**16 - 1), np.uint16)


def place_cells(
    rng: np.random.Generator, culture: Culture, shape: tuple[int, int, int]
) -> list[Cell]:
    """Scatter cells over a field, mostly apart; now and then two of them touch."""
    area = shape[1] * shape[2] / (256 * 256)
    wanted = max(1, round(rng.normal(culture.cells, 5) * area))
    cells: list[Cell] = []
    for _ in range(20 * wanted):
        if len(cells) == wanted:
            break
        cell = random_cell(rng, culture, shape)
        closeness = 0.85 if rng.random() < 0.15 else 1.6
        if all(distance(cell, other) > closeness for other in cells):
            cells.append(cell)
    return cells


def random_cell(rng: np.random.Generator, culture: Culture, shape: tuple[int, int, int]) -> Cell:
    """Draw the properties of one cell."""
    depth, height, width = shape
    radius = culture.radius / PIXEL_SIZE * rng.lognormal(0, 0.18)
    elongation = rng.uniform(1.0, 1.45)
    return Cell(
        center=(
            rng.normal(depth / 2, depth / 12),
            rng.uniform(0, height),
            rng.uniform(0, width),
        ),
        radii=(
            0.55 * radius * PIXEL_SIZE / Z_SPACING,
            radius * elongation**0.5,
            radius / elongation**0.5,
        ),
        angle=rng.uniform(0, np.pi),
        dents=tuple(
            (rng.normal(0, 0.12 / wave**1.5), rng.uniform(0, 2 * np.pi)) for wave in (2, 3, 4)
        ),
        nucleus=rng.lognormal(-0.3, 0.22),
        cytoplasm=rng.lognormal(-0.35, 0.3),
    )


def distance(cell: Cell, other: Cell) -> float:
    """Distance between two cells in the plane; about 1 where their nuclei touch."""
    apart = np.hypot(cell.center[1] - other.center[1], cell.center[2] - other.center[2])
    reach = (sum(cell.radii[1:]) + sum(other.radii[1:])) / 2
    return float(apart / reach)


def draw(cell: Cell, nuclei: Volume, cytoplasm: Volume) -> None:
    """Add a cell to both channels; where cells overlap, the brighter one shows."""
    reach = int(3.2 * max(cell.radii))
    center = [round(position) for position in cell.center]
    window = (
        slice(None),
        slice(max(0, center[1] - reach), max(0, center[1] + reach)),
        slice(max(0, center[2] - reach), max(0, center[2] + reach)),
    )
    z, y, x = np.mgrid[
        0 : nuclei.shape[0],
        window[1].start : min(window[1].stop, nuclei.shape[1]),
        window[2].start : min(window[2].stop, nuclei.shape[2]),
    ].astype(np.float32)
    z, y, x = z - cell.center[0], y - cell.center[1], x - cell.center[2]
    along = (x * np.cos(cell.angle) + y * np.sin(cell.angle)) / cell.radii[1]
    across = (y * np.cos(cell.angle) - x * np.sin(cell.angle)) / cell.radii[2]
    direction = np.arctan2(across, along)
    outline = 1 + sum(
        amplitude * np.cos(wave * direction + phase)
        for wave, (amplitude, phase) in enumerate(cell.dents, start=2)
    )
    flat = np.hypot(along, across) / outline
    radius = np.hypot(flat, z / cell.radii[0])
    nucleus = cell.nucleus * edge(radius, width=0.06)
    # The cytoplasm reaches further, bulges more where the nucleus does, and thins out.
    spread = np.hypot(flat / (1.9 + 5 * (outline - 1)), z / (1.3 * cell.radii[0]))
    around = cell.cytoplasm * edge(spread, width=0.10) * (1.25 - 0.6 * np.clip(spread, 0, 1))
    np.maximum(nuclei[window], nucleus, out=nuclei[window])
    np.maximum(cytoplasm[window], around, out=cytoplasm[window])


def edge(radius: Volume, *, width: float) -> Volume:
    """Fall from 1 inside of radius 1 to 0 outside of it."""
    return np.asarray(1 / (1 + np.exp(np.clip((radius - 1) / width, -30, 30))), np.float32)


def texture(
    rng: np.random.Generator, shape: tuple[int, int, int], *, size: float, strength: float
) -> Volume:
    """Make a smooth random field around 1, with grains of the given size in pixels."""
    grains = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), (size / 2, size, size))
    return np.asarray(np.clip(1 + strength * grains / grains.std(), 0, None), np.float32)


def background(rng: np.random.Generator, shape: tuple[int, int, int]) -> Volume:
    """Light from out of focus: brighter to one side of the field, of shape (1, 1, y, x)."""
    y, x = np.mgrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = 35 * (np.cos(angle) * x + np.sin(angle) * y)
    vignette = -20 * (x**2 + y**2)
    return np.asarray(90 + slope + vignette, np.float32)[np.newaxis, np.newaxis]

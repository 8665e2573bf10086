"""Synthetic images: what makes them look like cells, and that the same seed gives the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fractal_jupyter.demo.cells import (
    PIXEL_SIZE,
    Culture,
    background,
    distance,
    place_cells,
    synthesize,
)

SHAPE = (8, 128, 128)


def image(seed: int = 0, culture: Culture | None = None) -> np.ndarray:
    return synthesize(np.random.default_rng(seed), culture or Culture(), shape=SHAPE)


def test_image_is_reproducible_and_chance_matters() -> None:
    assert np.array_equal(image(1), image(1))
    assert not np.array_equal(image(1), image(2))


def test_image_has_two_channels_within_the_range_of_a_camera() -> None:
    pixels = image()
    assert pixels.shape == (2, *SHAPE)
    assert pixels.dtype == np.uint16
    assert 80 < np.percentile(pixels, 1) < 300
    assert 700 < pixels.max() < 20_000


def test_nuclei_stand_out_and_lie_in_the_cytoplasm() -> None:
    nuclei, cytoplasm = image().max(axis=1).astype(float)
    mask = nuclei > 500
    labels, number = ndimage.label(mask)
    assert number >= 3
    areas = ndimage.sum_labels(mask, labels, range(1, number + 1)) * PIXEL_SIZE**2
    assert 40 < np.median(areas) < 400
    ring = ndimage.binary_dilation(mask, iterations=4) & ~mask
    assert cytoplasm[ring].mean() > 1.3 * np.percentile(cytoplasm, 10)


def test_cells_are_brightest_in_the_middle_planes() -> None:
    nuclei = image()[0]
    brightness = nuclei.reshape(SHAPE[0], -1).mean(axis=1)
    assert brightness.argmax() in (3, 4, 5)
    assert brightness[0] < brightness.max()


def test_culture_sets_number_and_size() -> None:
    def covered(culture: Culture) -> float:
        return float((image(3, culture)[0].max(axis=0) > 500).mean())

    assert covered(Culture(cells=10, radius=4)) < covered(Culture(cells=10, radius=8))
    assert covered(Culture(cells=6)) < covered(Culture(cells=30))


def test_a_few_cells_touch_and_most_do_not() -> None:
    touching = 0
    apart = 0
    for seed in range(10):
        cells = place_cells(np.random.default_rng(seed), Culture(), (8, 256, 256))
        nearest = [min(distance(cell, other) for other in cells if other != cell) for cell in cells]
        assert min(nearest) > 0.8
        touching += sum(value < 1 for value in nearest)
        apart += sum(value > 1.2 for value in nearest)
    assert 0 < touching < apart


@pytest.mark.parametrize("seed", range(3))
def test_background_is_a_gradient(seed: int) -> None:
    light = background(np.random.default_rng(seed), SHAPE)[0, 0]
    assert light.min() > 0
    assert light.max() - light.min() > 40

"""Pixels to floats: as the formula has it, channel by channel, however many blocks the examples make."""

import numpy as np
import pytest

from weedout_core.errors import DataError
from weedout_core.lab.data import standardise
from weedout_core.lab.data.standardise import standard_levels, standardised


@pytest.fixture
def pixels() -> np.ndarray:
    """50 images of 2 × 3 pixels whose three channels differ in mean and deviation."""
    noise = np.random.default_rng(0).integers(0, 100, (50, 2, 3, 3))
    return (noise * [0.2, 1, 2] + [100, 10, 50]).astype(np.uint8)


def test_each_channel_has_its_own_mean_and_deviation(pixels: np.ndarray) -> None:
    chosen = np.arange(0, 40, 2)
    values = standardised(pixels, np.arange(50), standard_levels(pixels, chosen))
    measured = pixels[chosen].astype(np.float64)
    expected = (pixels - measured.mean(axis=(0, 1, 2))) / measured.std(axis=(0, 1, 2))
    assert values.dtype == np.float32
    # Rounding to float32 is the only difference: half an ulp of a value, and of float64 next to nothing.
    assert np.allclose(values, expected, rtol=2**-24, atol=1e-12)


def test_examples_come_in_the_order_asked_for(pixels: np.ndarray) -> None:
    levels = standard_levels(pixels, np.arange(50))
    values = standardised(pixels, np.arange(50), levels)
    chosen = np.array([7, 3, 3, 49])
    assert np.array_equal(standardised(pixels, chosen, levels), values[chosen])


def test_blocks_change_nothing(pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    every = np.arange(50)
    levels = standard_levels(pixels, every)
    values = standardised(pixels, every, levels)
    monkeypatch.setattr(standardise, "_BLOCK", 7)
    assert np.array_equal(standard_levels(pixels, every), levels)
    assert np.array_equal(standardised(pixels, every, levels), values)


def test_a_channel_without_contrast_is_refused(pixels: np.ndarray) -> None:
    pixels[..., 1] = 7
    with pytest.raises(DataError, match="all pixels of a channel are equal"):
        standard_levels(pixels, np.arange(50))

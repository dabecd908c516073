"""Pixels to floats: every channel with mean 0 and deviation 1 on the examples that it was measured on.

A pixel value has 256 levels, so that a table of levels for each channel does it, a block of examples at a time: bytes
become floats once, with no intermediate array of their size. The sums are integers: every machine gets the same floats.
"""

from collections.abc import Iterator

import numpy as np

from weedout_core.errors import DataError

_LEVELS = np.arange(256)
_BLOCK = 2048  # examples at once


def standard_levels(pixels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """What the pixel values 0 … 255 become in each channel.

    Args:
        pixels: uint8 ``(examples, height, width, channels)``.
        chosen: the examples to measure the mean and the deviation on, indices.
    Returns:
        float32 ``(channels, 256)``. The scale to [0, 1] cancels when the values are standardised.
    """
    counts = np.zeros((pixels.shape[-1], len(_LEVELS)), np.int64)
    for _, block in _blocks(pixels, chosen):
        for channel, count in enumerate(counts):
            count += np.bincount(block[..., channel].ravel(), minlength=len(_LEVELS))
    return np.stack([_standardised(count) for count in counts])


def standardised(pixels: np.ndarray, chosen: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The chosen examples, float32 ``(chosen, height, width, channels)``."""
    values = np.empty((len(chosen), *pixels.shape[1:]), np.float32)
    for place, block in _blocks(pixels, chosen):
        for channel, level in enumerate(levels):
            values[place, ..., channel] = level[block[..., channel]]
    return values


def _blocks(pixels: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(chosen), _BLOCK):
        place = slice(start, start + _BLOCK)
        yield place, pixels[chosen[place]]


def _standardised(count: np.ndarray) -> np.ndarray:
    """The levels of one channel, from how often each occurs."""
    # Python's integers: the products below exceed 64 bits.
    size, total, squares = (int((count * _LEVELS**power).sum()) for power in range(3))
    mean = total / size
    variance = (squares * size - total**2) / size**2
    if variance == 0:
        raise DataError("the training images must differ from each other; every pixel of a channel has one value.")
    return ((_LEVELS - mean) / np.sqrt(variance)).astype(np.float32)

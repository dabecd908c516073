"""Pixels to floats: each channel gets mean 0 and standard deviation 1, measured on chosen examples.

A pixel value has only 256 levels, so a table of 256 floats for each channel suffices. It is applied to a block of
examples at a time, without an intermediate array of all pixels. Sums are integers, so every machine gets equal floats.
"""

from collections.abc import Iterator

import numpy as np

from weedout_core.errors import DataError

_LEVELS = np.arange(256)
_BLOCK = 2048  # examples that are converted at once


def standard_levels(pixels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The floats that the pixel values 0 … 255 become in each channel.

    Args:
        pixels: uint8 ``(examples, height, width, channels)``.
        chosen: indices of the examples on which the mean and the deviation are measured.
    Returns:
        float32 ``(channels, 256)``. Scaling pixels to [0, 1] first would give the same values.
    Raises:
        DataError: all pixels of a channel have the same value.
    """
    counts = np.zeros((pixels.shape[-1], len(_LEVELS)), np.int64)
    for _, block in _blocks(pixels, chosen):
        for channel, count in enumerate(counts):
            count += np.bincount(block[..., channel].ravel(), minlength=len(_LEVELS))
    return np.stack([_standardised(count) for count in counts])


def standardised(pixels: np.ndarray, chosen: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The chosen examples by the table ``levels``: float32 ``(chosen, height, width, channels)``."""
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
    """The table of one channel, from the number of pixels that have each value."""
    # Python's integers, because the products below exceed 64 bits.
    size, total, squares = (int((count * _LEVELS**power).sum()) for power in range(3))
    mean = total / size
    variance = (squares * size - total**2) / size**2
    if variance == 0:
        raise DataError("the training images must differ from each other; all pixels of a channel are equal.")
    return ((_LEVELS - mean) / np.sqrt(variance)).astype(np.float32)

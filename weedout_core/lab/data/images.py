"""Labelled images as files hold them: one byte a pixel value, one label an image."""

from typing import NamedTuple

import numpy as np


class Images(NamedTuple):
    """Pixels uint8 ``(examples, height, width, channels)``; labels, integers ``(examples,)``."""

    pixels: np.ndarray
    labels: np.ndarray

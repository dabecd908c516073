"""Labelled images as files hold them: one byte a pixel value, one label an image."""

from collections.abc import Mapping
from hashlib import md5
from types import MappingProxyType
from typing import NamedTuple

import numpy as np


class Images(NamedTuple):
    """The images of some files.

    Attributes:
        pixels: uint8 ``(examples, height, width, channels)``.
        labels: integers ``(examples,)``.
        files: the MD5 of each file that they were read from, unpacked, by its usual name.
    """

    pixels: np.ndarray
    labels: np.ndarray
    files: Mapping[str, str] = MappingProxyType({})


def checksum(*parts: bytes) -> str:
    """The MD5 of a file, part after part, in hexadecimal: what datasets are published with."""
    hashed = md5(usedforsecurity=False)
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()

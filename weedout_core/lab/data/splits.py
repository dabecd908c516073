"""Splits that are the same in every run: stratified by class, drawn from the project's own stream.

The key is a constant, so that a split depends on neither the run's seed nor a library's version.
"""

import zlib

import numpy as np

from weedout_core import key
from weedout_core.random import permutation


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """A random order of which every contiguous part is stratified by class: int64 ``(examples,)`` indices.

    Each class is shuffled. Then the classes are merged by the relative position of each example within its class.
    """
    shuffled = permutation(key(zlib.crc32(b"splits")), len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place[shuffled], kind="stable")].astype(np.int64)

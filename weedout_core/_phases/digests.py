"""Fingerprints of arrays, which tell whether arrays are equal bit by bit."""

from collections.abc import Mapping

import numpy as np


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over arrays by name, in any order, with their dtypes and shapes: 64 hexadecimal digits."""
    import hashlib  # here: nothing else of the core needs it

    hashed = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        hashed.update(f"{name} {array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()

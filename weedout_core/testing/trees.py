"""Trees of arrays, to the device and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from weedout_core._contract.record import Backend


def on_device(backend: Backend, tree: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A tree of arrays on the backend's device, in another order than the layers: arrays are found by their paths."""
    return {path: backend.asarray(tree[path]) for path in reversed(list(tree))}


def on_host(backend: Backend, tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A tree of arrays from the backend's device, as NumPy arrays."""
    return {path: backend.to_numpy(value) for path, value in tree.items()}

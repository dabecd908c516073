"""Trees of arrays, {path: array}: changed an array at a time, and those of several networks side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from weedout_core._contract.calls import Array, Parameters
from weedout_core._guard.guarded import guarded


@guarded
def map_tree(change: Callable[[Any], Any], tree: Parameters) -> dict[str, Any]:
    """Apply ``change`` to each array of a tree {path: array}, and return a new tree."""
    return {path: change(value) for path, value in tree.items()}


def stack(backend: Any, trees: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Networks of one shape side by side: [{path: array}] → {path: array with a leading axis}, on the device."""

    def hosted(array: Any) -> Any:
        return cast(Any, array) if isinstance(array, np.ndarray) else backend.to_numpy(array)

    return {path: backend.asarray(np.stack([hosted(tree[path]) for tree in trees])) for path in trees[0]}

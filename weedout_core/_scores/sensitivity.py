"""SNIP: nodes are rated by how much the loss changes with them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers, map_tree
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive
from weedout_core._guard.splits import Split
from weedout_core._masks.plan import Masks
from weedout_core._networks.examples import Examples, checked_examples
from weedout_core._networks.network import Network, initial_statistics, mask_space
from weedout_core._networks.trees import checked_parameters
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_scores
from weedout_core._random.stream import permutation
from weedout_core._scores.incoming import HostedParameters, check_parent
from weedout_core.errors import BackendError

Gradient = Callable[[Masks, np.ndarray, np.ndarray | None], dict[str, np.ndarray]]

_TOGETHER = 256  # examples of one gradient, at most


@guarded
def snip(
    net: Network,
    params: HostedParameters,
    data: Split,
    *,
    backend: str | Backend,
    key: Key,
    per_class: Positive = 10,
) -> dict[str, np.ndarray]:
    """|∂L/∂m| at m = 1: by how much the loss changes with the factor m that multiplies a node.

    SNIP (Lee, Ajanthan, Torr, "SNIP: single-shot network pruning based on connection sensitivity", ICLR 2019, equation
    6), for nodes. L is the cross-entropy, summed over a few training examples of each class; batch normalisation takes
    its initial running statistics. The paper divides by the sum of all scores, which changes no order.

    Args:
        net: the network.
        params: its initial weights.
        data: the training split, as for ``wc.train``.
        backend: what computes; it must have a gradient of masks.
        key: decides which examples are taken.
        per_class: examples of each class, ≥ 1; all of a class that has fewer.
    Returns:
        {site: float64 ``shape``}, ≥ 0; NaN where the gradient is not finite.
    Raises:
        ConfigError, DataError, BackendError: an argument does not fit, or the backend has no gradient of masks.
    """
    gradient = mask_gradient(net, params, load_backend(backend))
    x, y = _few_of_each(checked_examples(net, data), key, per_class)
    full = {site: np.ones(shape, np.bool_) for site, shape in mask_space(net).items()}
    total = {site: np.zeros(mask.shape) for site, mask in full.items()}
    for some in np.array_split(np.arange(len(y)), -(-len(y) // _TOGETHER)):
        found = gradient(full, x[some], y[some])
        total = {site: value + found[site] for site, value in total.items()}
    return {site: np.abs(value) for site, value in total.items()}


def mask_gradient(net: Network, params: Any, backend: Backend) -> Gradient:
    """The backend's gradient of masks at these weights and initial statistics, in NumPy: (masks, x, y) → {site: ∂L/∂m}.

    Raises:
        ConfigError, BackendError: network or weights do not fit, or the backend has no gradient of masks.
    """
    check_parent(net)
    check_layers(backend, net)
    checked_parameters(net, params)
    of_backend, place = backend.mask_gradient, backend.asarray
    if of_backend is None:
        raise BackendError(
            f"the {backend.name} backend has no gradient of masks, which this score needs. Take another backend, or "
            "wc.scores.magnitude, which needs none."
        )
    there = map_tree(place, params), map_tree(place, initial_statistics(net))

    def gradient(masks: Masks, x: np.ndarray, y: np.ndarray | None) -> dict[str, np.ndarray]:
        labels = None if y is None else place(y)
        return map_tree(backend.to_numpy, of_backend(net, *there, map_tree(place, masks), place(x), labels))

    return gradient


def _few_of_each(data: Examples, key: Key, per_class: int) -> Examples:
    """The first examples of each class in a random order, in that order."""
    order = permutation(of_scores(key), len(data.y))
    labels = data.y[order]
    taken = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    few = order[np.sort(np.concatenate(taken))]
    return Examples(data.x[few], data.y[few])

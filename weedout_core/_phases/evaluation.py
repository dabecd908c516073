"""What networks have learnt, measured on a split. Paper, Algorithm 1, line 13."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weedout_core._algorithm.fitness import negative_cross_entropy, predictions
from weedout_core._contract.calls import Parameters
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers
from weedout_core._masks.plan import Masks
from weedout_core._networks.examples import Examples, checked_examples
from weedout_core._networks.network import (
    Network,
    checked_network_masks,
    checked_parameters,
    checked_statistics,
    initial_statistics,
)
from weedout_core._phases.together import sparse_networks
from weedout_core._random.annotations import Key
from weedout_core._random.stream import checked_key
from weedout_core.errors import ConfigError


class Evaluation(NamedTuple):
    """How a network does on a split.

    Attributes:
        accuracy: in [0, 1].
        loss: mean cross-entropy, nats.
        predictions: the class predicted for each example, int32 ``(examples,)``.
    """

    accuracy: float
    loss: float
    predictions: np.ndarray


def evaluate(
    net: Network,
    params: Parameters,
    mask: Masks | None,
    data: Any,
    *,
    backend: str | Backend,
    statistics: Parameters | None = None,
) -> Evaluation:
    """Measure one network on a split (paper, Algorithm 1, line 13).

    Args:
        net: the parent, or a compacted network.
        params: its weights.
        mask: {site: bool ``shape``}, and of a compacted network the indices of its Gather layers, {name: int
            ``(count,)``}; None measures the parent.
        data: the split ``(x, y)``.
        backend: a name or a Backend.
        statistics: what training changed besides the weights (``trained.statistics``); None: as before training.
    """
    masks = None if mask is None else [mask]
    moving = None if statistics is None else [statistics]
    return evaluate_together(net, [params], masks, data, backend=backend, statistics=moving)[0]


def evaluate_together(
    net: Network,
    params: Sequence[Parameters],
    masks: Sequence[Masks] | None,
    data: Any,
    *,
    backend: str | Backend,
    statistics: Sequence[Parameters] | None = None,
) -> list[Evaluation]:
    """Measure R networks of one parent on one split. Args: as :func:`evaluate`, with one entry for each network."""
    examples = checked_examples(net, data)
    statistics = [initial_statistics(net)] * len(params) if statistics is None else statistics
    check_networks(net, params, masks, None, statistics)
    backend = load_backend(backend)
    check_layers(backend, net)
    sparse = sparse_networks(net, masks, len(params), backend)
    small, moving = (sparse.smaller(backend, trees) for trees in (params, statistics))
    logits = backend.predict(sparse.net, small, moving, sparse.masks, backend.asarray(examples.x))
    logits = backend.to_numpy(logits).astype(np.float64)
    return [_evaluation(one, examples) for one in logits]


def _evaluation(logits: np.ndarray, examples: Examples) -> Evaluation:
    predicted = predictions(logits)
    right = int(np.count_nonzero(predicted == examples.y))
    loss = -float(negative_cross_entropy(logits, examples.y))
    return Evaluation(right / len(predicted), loss, predicted)


def check_networks(
    net: Network,
    params: Sequence[Parameters],
    masks: Sequence[Masks] | None,
    keys: Sequence[Key] | None,
    statistics: Sequence[Parameters] | None = None,
) -> None:
    """Raise an error unless params, masks, keys and statistics of R networks fit the network and each other."""
    for other in (masks, keys, statistics):
        if other is not None and len(other) != len(params):
            raise ConfigError(
                f"params, masks, keys and statistics must have one entry a network; got {len(params)} and {len(other)}."
            )
    for moving in statistics or ():
        checked_statistics(net, moving)
    for key in keys or ():
        checked_key(key)
    for tree in params:
        checked_parameters(net, tree)
    for mask in [None] if masks is None else masks:
        checked_network_masks(net, mask, leading=0)

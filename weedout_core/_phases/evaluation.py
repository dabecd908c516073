"""What networks have learnt, measured on a split. Paper, Algorithm 1, line 13."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.fitness import negative_cross_entropy, predictions
from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers
from weedout_core._guard.by_content import by_content
from weedout_core._guard.guarded import guarded
from weedout_core._guard.hosted import frozen
from weedout_core._guard.splits import Split
from weedout_core._networks.examples import Examples, checked_examples
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.together import common_parent, sparse_networks


@by_content
class Evaluation(NamedTuple):
    """How well a network does on a split.

    Attributes:
        accuracy: in [0, 1]; NaN where ``not_finite`` is above 0.
        loss: mean cross-entropy, nats; NaN where ``accuracy`` is.
        predictions: the class predicted for each example, int32 ``(examples,)``. An example counted in ``not_finite``
            has the number of classes, which is no class.
        not_finite: how many examples have a logit that is NaN or infinite. If a weight or running statistic that the
            mask keeps is NaN or infinite, all examples count, although logits may be finite (1/√∞ is 0).
    """

    accuracy: float
    loss: float
    predictions: np.ndarray
    not_finite: int


@guarded
def evaluate(network: Subnetwork, data: Split, *, backend: str | Backend) -> Evaluation:
    """Measure one network on a split (paper, Algorithm 1, line 13).

    Args:
        network: from a training, a search or :class:`Subnetwork`.
        data: the split ``(x, y)``: x ``(examples, *input_shape)``, y integers ``(examples,)`` in [0, classes); or
            what gives such pairs of examples or of batches, one after another, such as a DataLoader.
        backend: a name or a Backend.
    Raises:
        ConfigError, DataError, BackendError: an argument does not fit; raised before any work starts.
    """
    return evaluate_together([network], data, backend=backend)[0]


@guarded
@fenced_phase
def evaluate_together(networks: Sequence[Subnetwork], data: Split, *, backend: str | Backend) -> list[Evaluation]:
    """Measure R networks of one parent on one split. Arguments and errors are those of :func:`evaluate`."""
    net = common_parent(networks)
    examples = checked_examples(net, data)
    backend = load_backend(backend)
    check_layers(backend, net)
    sparse = sparse_networks(networks, backend)
    params = sparse.smaller(backend, [network.params for network in networks])
    statistics = sparse.smaller(backend, [network.moving for network in networks])
    logits = backend.predict(sparse.net, params, statistics, sparse.masks, backend.asarray(examples.x))
    logits = backend.to_numpy(logits).astype(np.float64)
    finite = sparse.finite(backend, {**params, **statistics}, logits)
    return [_evaluation(*one, examples) for one in zip(logits, finite, strict=True)]


def _evaluation(logits: np.ndarray, finite: np.ndarray, examples: Examples) -> Evaluation:
    predicted: np.ndarray = predictions(logits)
    predicted[~finite] = logits.shape[-1]
    predicted = frozen(predicted)
    if not finite.all():
        return Evaluation(math.nan, math.nan, predicted, int(np.count_nonzero(~finite)))
    right = int(np.count_nonzero(predicted == examples.y))
    return Evaluation(right / len(predicted), -float(negative_cross_entropy(logits, examples.y)), predicted, 0)

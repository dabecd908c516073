"""Fitness: how good an untrained sparse network is on a batch. Higher is fitter. Paper, Algorithm 1, line 7.

Section 2 and Algorithm 1 take the negative cost. The paper does not name the cost; here it is the cross-entropy, the
usual one of classification. Section 3 takes the accuracy. Both are computed from the *logits*, the outputs of the last
layer, one for each class. Where a logit is NaN or infinite, or a label is not the number of a class, a network has no
fitness: it is NaN, and the network is never selected.

The cross-entropy is also the loss of training (line 12), so its gradient stands here too.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32

from weedout_core import Network
from weedout_core.backend import own_failure, shown
from weedout_core.errors import ConfigError
from weedout_numpy.batches import Split
from weedout_numpy.masks import Masks
from weedout_numpy.network import Parameters, forward

Logits = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, " examples"]


def fitness_of(
    net: Network,
    params: Parameters,
    mask: Masks,
    batch: Split,
    fitness: str | Callable[[Logits, Labels], Any],
    statistics: Parameters | None = None,
) -> float:
    """The fitness of line 7: run the masked network on a batch, without any training, and measure.

    It is −Cost(n, batch), the negative cross-entropy, or in the reading of section 3 the accuracy.

    Args:
        net, params, mask: the network n: its layers, its weights, and the nodes it keeps.
        batch: the examples.
        fitness: "negative_cross_entropy", "accuracy", or a function of the user's, of logits and labels.
        statistics: of batch normalisation; None for those of the batch itself (see ``batch_norm``).
    """
    x, y = batch
    # An overflow is a result to report, not an error to stop at: the fitness is NaN, and the network is never selected.
    with np.errstate(over="ignore", invalid="ignore"):
        logits, _ = forward(net.layers, params, mask, x, statistics)
        return FITNESS[fitness](logits, y) if isinstance(fitness, str) else measured(fitness, logits, y)


def log_softmax(logits: Logits) -> Logits:
    """The log-probability of each class: ``log p_c = z_c − log Σ_j exp(z_j)``, in nats.

    The largest logit is subtracted from all first. That changes no probability, and keeps exp from overflowing.
    """
    z = logits - logits.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """The cost of a batch of B examples: ``−(1/B) Σ_b log p(label_b)``, in nats, at least 0."""
    return -float(log_softmax(logits)[np.arange(len(labels)), labels].mean())


def cross_entropy_gradient(logits: Logits, labels: Labels) -> Logits:
    """∂ cross-entropy / ∂ logits = (p − one-hot(label)) / B; NaN where there is no fitness, as for the loss itself."""
    if not has_fitness(logits, labels):
        return np.full(logits.shape, math.nan)
    gradient = np.exp(log_softmax(logits))
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient / len(labels)


def predictions(logits: Float[np.ndarray, "*batch examples classes"]) -> Int32[np.ndarray, "*batch examples"]:
    """The class with the largest logit, the lowest of equals.

    A row with a NaN has no class. It gets the number of classes, which is no label.
    """
    predicted: np.ndarray = logits.argmax(axis=-1)
    return np.where(np.isnan(logits).any(axis=-1), logits.shape[-1], predicted).astype(np.int32)


def count_correct(logits: Logits, labels: Labels) -> int:
    """How many examples are classified correctly."""
    return int(np.count_nonzero(predictions(logits) == labels))


def has_fitness(logits: Logits, labels: Labels) -> bool:
    """Whether every logit is finite, and every label one of the classes 0 … C − 1."""
    return bool(np.isfinite(logits).all() and (labels >= 0).all() and (labels < logits.shape[1]).all())


def negative_cross_entropy(logits: Logits, labels: Labels) -> float:
    """−Cost (Algorithm 1, line 7): the mean log-probability of the true class, in nats, at most 0."""
    return -cross_entropy(logits, labels) if has_fitness(logits, labels) else math.nan


def accuracy(logits: Logits, labels: Labels) -> float:
    """The fraction of examples predicted right (section 3), in [0, 1]."""
    return count_correct(logits, labels) / len(labels) if has_fitness(logits, labels) else math.nan


def measured(fitness: Callable[[Logits, Labels], Any], logits: Logits, labels: Labels) -> float:
    """What a function of the user's measures. It has no say where there is no fitness: that is NaN, as above.

    Raises:
        ConfigError: the function failed, or does not return a float.
    """
    name = f"the fitness {fitness.__module__}:{getattr(fitness, '__qualname__', type(fitness).__qualname__)}"
    try:
        value: Any = fitness(logits.copy(), labels.copy())
    except (Exception, SystemExit) as error:
        raise own_failure(name, error) from error
    if getattr(getattr(value, "dtype", None), "kind", "") != "f" or value.shape != ():
        raise ConfigError(
            f"{name} must return floats, one for each candidate, in an array: of logits (examples, classes) one, such "
            f"as np.mean gives it; got {shown(value)}."
        )
    return float(value) if has_fitness(logits, labels) else math.nan


FITNESS: Mapping[str, Callable[[Logits, Labels], float]] = MappingProxyType(
    {"negative_cross_entropy": negative_cross_entropy, "accuracy": accuracy}
)

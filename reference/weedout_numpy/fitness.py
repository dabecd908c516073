"""Fitness: how good an untrained sparse network is on a batch. Higher is fitter. Paper, Algorithm 1, line 7.

Section 2 and Algorithm 1 take the negative cost, here −cross-entropy; section 3 takes the accuracy. A network with a
logit that is NaN or infinite has neither: its fitness is NaN, and it is never selected. Nor has one a fitness on labels
that are no classes.

The cross-entropy is also the loss of the learning phase, so its gradient stands here too.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int, Int32

Logits = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, " examples"]


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
    """∂ cross-entropy / ∂ logits = (p − one-hot(label)) / B."""
    gradient = np.exp(log_softmax(logits))
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient / len(labels)


def predictions(logits: Float[np.ndarray, "*batch examples classes"]) -> Int32[np.ndarray, "*batch examples"]:
    """The class with the largest logit, the lowest of equals. A row with a NaN has none: the number of classes."""
    predicted: np.ndarray = logits.argmax(axis=-1)
    return np.where(np.isnan(logits).any(axis=-1), logits.shape[-1], predicted).astype(np.int32)


def count_correct(logits: Logits, labels: Labels) -> int:
    """How many examples are predicted right."""
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


FITNESS: Mapping[str, Callable[[Logits, Labels], float]] = MappingProxyType(
    {"negative_cross_entropy": negative_cross_entropy, "accuracy": accuracy}
)

"""Fitness: how good an untrained sparse network is on a batch. Higher is fitter.

Paper, section 2: "we consider fitness to be the negative cost on a batch of examples sampled from a
validation holdout set"; section 3 ranks by validation accuracy instead. Both are here.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from array_api_compat import array_namespace
from array_api_compat import device as device_of  # pyright: ignore[reportUnknownVariableType]


def negative_cross_entropy(logits: Any, labels: Any, axis: int = -1) -> Any:
    """The mean log-probability of the true class, in nats, at most 0.

    Args:
        logits: float ``(*batch, examples, classes)``, or ``(*batch, classes, examples)``.
        labels: integer ``(examples,)``, or ``(*batch, examples)`` where they differ, in [0, classes).
        axis: that of the classes, −1 or −2.
    Returns:
        float ``(*batch,)``; NaN, and so is its gradient, where a logit is not finite or a label is no class.
    """
    xp = array_namespace(logits, labels)
    usable = xp.where(xp.isfinite(logits), logits, xp.zeros_like(logits))
    shifted = usable - xp.max(usable, axis=axis, keepdims=True)
    log_normaliser = xp.log(xp.sum(xp.exp(shifted), axis=axis))
    true = xp.expand_dims(labels, axis=axis) == _classes(logits, axis, labels.dtype)
    chosen = xp.sum(xp.where(true, shifted, xp.zeros_like(shifted)), axis=axis)
    return _nan_unless_sound(xp.mean(chosen - log_normaliser, axis=-1), logits, labels, axis)


def accuracy(logits: Any, labels: Any, axis: int = -1) -> Any:
    """The fraction of examples whose largest logit is the true class, in [0, 1]. Ties go to the lowest class.

    Args:
        logits, labels, axis: as for :func:`negative_cross_entropy`.
    Returns:
        float ``(*batch,)``; NaN where a logit is not finite or a label is no class.
    """
    xp = array_namespace(logits, labels)
    correct = xp.mean(xp.astype(predictions(logits, axis) == labels, logits.dtype), axis=-1)
    return _nan_unless_sound(correct, logits, labels, axis)


def predictions(logits: Any, axis: int = -1) -> Any:
    """The lowest class with the largest logit: float ``(*batch, classes)`` → int32 ``(*batch,)``; ``axis`` as above.

    Written out because ``argmax`` of ties and NaN differs between libraries. A row of NaN gives ``classes``.
    """
    xp = array_namespace(logits)
    classes = _classes(logits, axis, xp.int32)
    best = logits == xp.max(logits, axis=axis, keepdims=True)
    return xp.min(xp.where(best, classes, xp.full_like(classes, logits.shape[axis])), axis=axis)


def _nan_unless_sound(value: Any, logits: Any, labels: Any, axis: int) -> Any:
    """A value ``(*batch,)``, or NaN where a logit is not finite or a label is no class.

    NaN is multiplied in, not selected: the gradient of what is not selected is 0, and training would go on as if there
    had been no such step.
    """
    xp = array_namespace(value)
    classes = xp.all((labels >= 0) & (labels < logits.shape[axis]), axis=-1)
    sound = xp.all(xp.isfinite(logits), axis=(-2, -1)) & classes
    return value * xp.where(sound, xp.ones_like(value), xp.full_like(value, xp.nan))


def _classes(logits: Any, axis: int, dtype: Any) -> Any:
    """0 … classes−1 along the axis of the classes."""
    classes = array_namespace(logits).arange(logits.shape[axis], dtype=dtype, device=device_of(logits))
    return classes if axis == -1 else classes[:, None]


#: The fitness functions by name, each ``(logits, labels, axis=-1) -> fitness``.
FITNESS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"negative_cross_entropy": negative_cross_entropy, "accuracy": accuracy}
)

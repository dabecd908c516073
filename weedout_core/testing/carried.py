"""A bound on the error of a float32 forward pass, carried from layer to layer beside the activations, in float64.

``precision`` defines u and γₙ. Each layer takes activations h with a bound e on their error, and gives its output with
a bound: the error that e causes in the output, plus the roundings that the layer adds.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
)
from weedout_core.testing.precision import UNIT_ROUNDOFF, gamma

Tree = Mapping[str, np.ndarray]


class Carried(NamedTuple):
    """Values and a bound on the error of each: two float64 arrays of the same shape."""

    value: np.ndarray
    error: np.ndarray


def exact(value: np.ndarray) -> Carried:
    """Values without an error, such as inputs."""
    value = np.asarray(value, dtype=np.float64)
    return Carried(value, np.zeros_like(value))


class Pass(NamedTuple):
    """The inputs of a forward pass besides the activations.

    Attributes:
        params: {path: ``shape``}.
        off: a bound on the error of each weight, {path: float ``shape``}; {} for weights without an error.
        masks: the masks of one candidate, and the indices of its Gather layers; or None.
        statistics: those for batch normalisation, {path: Carried}; None takes those of each group of the batch.
        groups: the number of groups of the batch.
        found: filled with the mean over the groups of each batch statistic, {path: Carried}.
        operands: the unit roundoff of the operands and results of products in bfloat16; 0 for float32.
    """

    params: Tree
    off: Tree
    masks: Tree | None
    statistics: Mapping[str, Carried] | None
    groups: int
    found: dict[str, Carried]
    operands: float = 0.0


def carry(layers: Sequence[Layer], through: Pass, h: Carried) -> Carried:
    """Run layers on activations ``(examples, *shape)``, and carry the bound on their error along."""
    for layer in layers:
        match layer:
            case Dense():
                h = _products(through, layer, h.value, h.error)
            case Conv(_, _, window, stride):
                h = _products(through, layer, *(_patches(part, window, stride) for part in h))
            case BatchNorm():
                h = _batch_norm(layer, through, h)
            case Relu():
                h = Carried(np.maximum(h.value, 0), h.error)
            case Flatten():
                h = Carried(*(part.reshape(len(part), -1) for part in h))
            case MaxPool(window):
                h = Carried(*(_windows(part, window).max(axis=(2, 4)) for part in h))
            case GlobalAveragePool():
                h = _mean(h, (1, 2))
            case Mask():
                h = _masked(layer, through, h)
            case Gather(name):
                h = Carried(*(part[..., (through.masks or {})[name]] for part in h))
            case Scale(factor):
                scaled = factor * h.value  # the factor is rounded, and so is the product
                h = Carried(scaled, factor * h.error * (1 + gamma(2)) + gamma(2) * np.abs(scaled))
            case Residual(main, shortcut):
                one, two = carry(main, through, h), carry(shortcut, through, h)
                total = one.value + two.value
                h = Carried(total, one.error + two.error + UNIT_ROUNDOFF * np.abs(total))
    return h


def _products(through: Pass, layer: Dense | Conv, h: np.ndarray, error: np.ndarray) -> Carried:
    """A dense or convolutional layer: an error e becomes e·|W|, and weights off by δ add (|h| + e)·δ.

    Sums of n products add γₙ of the products' magnitudes. Operands rounded with unit roundoff v add (1 + v)² − 1 of
    these magnitudes, and a rounded sum adds another v.
    """
    kernel = _kernel(through, layer, through.params)
    bias = through.params.get(f"{layer.name}/bias", np.zeros(kernel.shape[-1])).astype(np.float64)
    inputs = np.abs(h) + error
    moved = 0.0
    if through.off:
        moved = inputs @ _kernel(through, layer, through.off) + through.off.get(f"{layer.name}/bias", 0.0)
    magnitude, v = inputs @ np.abs(kernel) + moved, through.operands
    rounded = gamma(len(kernel) + 1) * (magnitude + np.abs(bias)) + ((1 + v) ** 3 - 1) * magnitude
    return Carried(h @ kernel + bias, error @ np.abs(kernel) + moved + rounded)


def _kernel(through: Pass, layer: Dense | Conv, tree: Mapping[str, np.ndarray]) -> np.ndarray:
    """A layer's weights, or what they are off by, and 0 where a mask of their own removes them: ``(inputs, units)``."""
    path = f"{layer.name}/kernel"
    masks = through.masks if layer.connections and through.masks is not None else {}
    kept = np.where(masks.get(path, True), tree[path], 0)
    return kept.reshape(-1, kept.shape[-1]).astype(np.float64)


def _patches(h: np.ndarray, window: int, stride: int) -> np.ndarray:
    """The inputs of each output of a convolution: ``(examples, height, width, window² · channels)``."""
    margin = (window - 1) // 2
    padded = np.pad(h, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(1, 2))
    seen = np.moveaxis(seen[:, ::stride, ::stride], 3, -1)  # (examples, height, width, window, window, channels)
    return seen.reshape(*seen.shape[:3], -1)


def _windows(h: np.ndarray, window: int) -> np.ndarray:
    examples, height, width, channels = h.shape
    return h.reshape(examples, height // window, window, width // window, window, channels)


def _mean(h: Carried, axes: tuple[int, ...]) -> Carried:
    """A mean of n values: the mean of their errors, plus γ of n + 1 terms for a sum and a division."""
    terms = int(np.prod([h.value.shape[axis] for axis in axes]))
    rounded = gamma(terms + 1) * (np.abs(h.value) + h.error)
    return Carried(h.value.mean(axis=axes), (h.error + rounded).mean(axis=axes))


def _masked(layer: Mask, through: Pass, h: Carried) -> Carried:
    """A mask enlarges no error; rescaling multiplies the error and adds two roundings."""
    if through.masks is None:
        return h
    mask = through.masks[layer.site]
    fraction = mask.mean() if layer.rescale else 1
    value, error = (np.where(mask, part, 0) / fraction for part in h)  # what is removed may be infinite
    return Carried(value, error + (gamma(2) * np.abs(value) if layer.rescale else 0))


def _batch_norm(layer: BatchNorm, through: Pass, h: Carried) -> Carried:
    paths = f"{layer.name}/mean", f"{layer.name}/variance"
    if through.statistics is not None:
        return _normalised(layer, through, h, *(through.statistics[path] for path in paths))
    parts = [Carried(*pair) for pair in zip(*(np.split(part, through.groups) for part in h), strict=True)]
    moments = [_moments(part, layer.epsilon) for part in parts]
    for index, path in enumerate(paths):
        found = [of_group[index] for of_group in moments]
        mean = sum(item.value for item in found) / len(found)
        error = sum(item.error for item in found) / len(found) + gamma(len(found)) * np.abs(mean)
        through.found[path] = Carried(np.asarray(mean), np.asarray(error))
    normed = [_normalised(layer, through, part, *both) for part, both in zip(parts, moments, strict=True)]
    return Carried(*(np.concatenate(parts) for parts in zip(*normed, strict=True)))


def _moments(h: Carried, epsilon: float) -> tuple[Carried, Carried]:
    """Mean and variance of each channel over a group.

    The standard deviation is the root mean square of h − mean, so its error is at most the root mean square of the
    errors of these differences. The sum of n squares rounds by γₙ of mean² + variance, the worst of the usual formulas.
    """
    axes = tuple(range(h.value.ndim - 1))
    terms = h.value.size // h.value.shape[-1]
    mean = _mean(h, axes)
    variance = np.square(h.value - mean.value).mean(axis=axes)
    deviation = np.sqrt(variance + epsilon)
    moved = np.sqrt(np.square(h.error + mean.error).mean(axis=axes))
    off = moved * (2 * deviation + moved) + gamma(terms + 6) * (np.square(mean.value) + variance + np.square(moved))
    return mean, Carried(variance, off)


def _normalised(layer: BatchNorm, through: Pass, h: Carried, mean: Carried, variance: Carried) -> Carried:
    """γ·(h − mean)/√(variance + ε) + β: at most ten roundings, in any order, and the errors of all inputs."""
    scale, shift = (through.params[f"{layer.name}/{name}"].astype(np.float64) for name in ("scale", "bias"))
    smallest = variance.value - variance.error + layer.epsilon
    if (smallest <= 0).any():
        raise ValueError(f"{layer.name}: there is no bound for a variance as small as {variance.value.min():.3g}.")
    inverse = 1 / np.sqrt(variance.value + layer.epsilon)
    relative = 1 / np.sqrt(smallest) / inverse - 1  # of the inverse deviation, for the error of the variance
    centred = h.value - mean.value
    normed = centred * inverse
    off_centred = h.error + mean.error
    off_normed = off_centred * inverse * (1 + relative) + np.abs(normed) * relative
    magnitude = (np.abs(h.value) + h.error + np.abs(mean.value) + mean.error) * inverse * (1 + relative) * np.abs(scale)
    error = np.abs(scale) * off_normed + gamma(10) * (magnitude + np.abs(shift))
    if through.off:
        error = error + (np.abs(normed) + off_normed) * through.off[f"{layer.name}/scale"]
        error = error + through.off[f"{layer.name}/bias"]
    return Carried(normed * scale + shift, error)

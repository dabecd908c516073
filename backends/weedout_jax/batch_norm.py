"""Batch normalisation, over groups of a batch or with given statistics."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weedout_core.nn import BatchNorm

Source = int | Mapping[str, Any]


def batch_norm(
    layer: BatchNorm, params: Mapping[str, Any], h: jax.Array, source: Source
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """``y = γ·(x − mean) / √(variance + epsilon) + β`` on images, or flat activations with the nodes first.

    Args:
        source: the source of the statistics: either the number of groups into which the examples are cut, in order,
            each with its own statistics (1: the whole batch); or given statistics, {path: ``(channels,)``}.
    Returns:
        the activations, and the mean over the groups of the batch statistics, {path: ``(channels,)``}; {} if statistics
        are given.
    """
    if h.ndim == 2:
        y, taken = batch_norm(layer, params, h.T[:, None], source)
        return y[:, 0].T, taken
    scale, bias = params[f"{layer.name}/scale"], params[f"{layer.name}/bias"]
    if not isinstance(source, int):
        mean, variance = source[f"{layer.name}/mean"], source[f"{layer.name}/variance"]
        return _normalised(h - mean, _sound(variance, mean), scale, bias, layer.epsilon), {}
    grouped = h.reshape(source, -1, *h.shape[1:])
    axes = tuple(range(1, grouped.ndim - 1))
    mean = jnp.mean(grouped, axes, keepdims=True)
    centred = grouped - mean
    variance = jnp.mean(lax.square(centred), axes, keepdims=True)
    y = _normalised(centred, _sound(variance, mean), scale, bias, layer.epsilon)
    taken = {"mean": mean, "variance": variance}
    return y.reshape(h.shape), {
        f"{layer.name}/{name}": jnp.mean(value.reshape(source, -1), axis=0) for name, value in taken.items()
    }


def _sound(variance: jax.Array, mean: jax.Array) -> jax.Array:
    """The variance, but NaN if it or the mean is not finite or it is negative: 1/√∞ = 0 or a ReLU would hide that."""
    return jnp.where((variance >= 0) & jnp.isfinite(variance) & jnp.isfinite(mean), variance, jnp.nan)


def _normalised(centred: jax.Array, variance: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> Any:
    return centred * (scale / jnp.sqrt(variance + epsilon)) + bias


def running(layer: BatchNorm, before: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The running statistics of a layer after a step, from those before it and those of the batch."""
    return {
        path: layer.momentum * before[path] + (1 - layer.momentum) * taken[path]
        for path in (f"{layer.name}/mean", f"{layer.name}/variance")
    }

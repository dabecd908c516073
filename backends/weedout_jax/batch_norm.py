"""Batch normalisation, over groups of a batch or with given statistics."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weedout_core.nn import BatchNorm

Norm = int | Mapping[str, Any]


def batch_norm(
    layer: BatchNorm, params: Mapping[str, Any], h: jax.Array, norm: Norm
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """``y = γ·(x − mean) / √(variance + epsilon) + β`` on images, or flat activations with the nodes first.

    Args:
        norm: how many groups the examples are cut into, in order, each with its own statistics (1: the whole batch);
            or the statistics, {path: ``(channels,)``}.
    Returns:
        the activations, and the mean over the groups of what was taken from the batch, {path: ``(channels,)``};
        nothing where statistics are given.
    """
    if h.ndim == 2:
        y, taken = batch_norm(layer, params, h.T[:, None], norm)
        return y[:, 0].T, taken
    scale, bias = params[f"{layer.name}/scale"], params[f"{layer.name}/bias"]
    if not isinstance(norm, int):
        mean, variance = norm[f"{layer.name}/mean"], norm[f"{layer.name}/variance"]
        return _normalised(h - mean, variance, scale, bias, layer.epsilon), {}
    grouped = h.reshape(norm, -1, *h.shape[1:])
    axes = tuple(range(1, grouped.ndim - 1))
    mean = jnp.mean(grouped, axes, keepdims=True)
    centred = grouped - mean
    variance = jnp.mean(lax.square(centred), axes, keepdims=True)
    y = _normalised(centred, variance, scale, bias, layer.epsilon)
    taken = {"mean": mean, "variance": variance}
    return y.reshape(h.shape), {
        f"{layer.name}/{name}": jnp.mean(value.reshape(norm, -1), axis=0) for name, value in taken.items()
    }


def _normalised(centred: jax.Array, variance: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> Any:
    return centred * (scale / jnp.sqrt(variance + epsilon)) + bias


def running(layer: BatchNorm, before: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The running statistics of a layer after a step, from those before it and what the batch showed."""
    return {
        path: layer.momentum * before[path] + (1 - layer.momentum) * taken[path]
        for path in (f"{layer.name}/mean", f"{layer.name}/variance")
    }

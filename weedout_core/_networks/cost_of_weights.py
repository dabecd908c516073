"""What a layer costs whose weights are masked one by one: the weights that are kept, and the products with them."""

from collections.abc import Iterator

import numpy as np

from weedout_core._networks.layers import Conv, Dense


def of_weights(layer: Dense | Conv, mask: np.ndarray, alive: np.ndarray, needed: np.ndarray) -> tuple[int, int]:
    """The kept weights and multiply-adds that lead from nodes that are alive to nodes that are needed.

    Args:
        mask: bool, of the shape of the layer's kernel.
        alive: bool ``shape``, which nodes of the input are not masked away.
        needed: bool ``shape``, which nodes of the output have a way to the logits.
    """
    kept = mask & _any_pixel(alive)[:, None] & _any_pixel(needed)
    weights = int(np.count_nonzero(kept))
    if isinstance(layer, Dense):
        return weights, weights
    found = (np.sum(met, where=kept[tap], dtype=np.float64) for tap, met in _met(layer, alive, needed))
    return weights, sum(map(int, found))


def leading(mask: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """The nodes or channels of the input from which a kept weight leads to an output that is needed: bool ``(n,)``."""
    return np.asarray((mask & _any_pixel(needed)).any(axis=(*range(mask.ndim - 2), mask.ndim - 1)))


def _met(layer: Conv, alive: np.ndarray, needed: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """For each place in the window, how often a weight from a channel to a feature meets an input that is alive.

    The padding of a channel is computed with the channel: it counts where any of the channel's nodes is alive. Yields
    float32 ``(channels, features)``, which holds these integers exactly, but not their sums.
    """
    margin, (height, width, features) = (layer.kernel_size - 1) // 2, needed.shape
    border = ((margin, margin), (margin, margin), (0, 0))
    padded = np.pad(alive, border) | (np.pad(np.zeros_like(alive), border, constant_values=True) & _any_pixel(alive))
    outputs = needed.reshape(-1, features).astype(np.float32)
    for p, q in np.ndindex(layer.kernel_size, layer.kernel_size):
        rows = slice(p, p + layer.stride * (height - 1) + 1, layer.stride)
        columns = slice(q, q + layer.stride * (width - 1) + 1, layer.stride)
        inputs = padded[rows, columns].reshape(-1, alive.shape[-1]).astype(np.float32)
        yield (p, q), inputs.T @ outputs


def _any_pixel(nodes: np.ndarray) -> np.ndarray:
    """Which channels have at least one of these nodes: bool ``(..., channels)`` to ``(channels,)``."""
    return np.asarray(nodes.reshape(-1, nodes.shape[-1]).any(axis=0))

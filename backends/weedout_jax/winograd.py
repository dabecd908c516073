"""Convolutions of 3 × 3 windows in 2.25 times fewer multiplications: Winograd's minimal filtering, F(2×2, 3×3).

Two neighbouring outputs of three weights, ``y0 = x0·w0 + x1·w1 + x2·w2`` and ``y1 = x1·w0 + x2·w1 + x3·w2``, take six
products. Four are enough if the factors are sums of inputs and sums of weights (Winograd 1980; for images Lavin and
Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, section 4):

    m = (Bᵀ·x) ⊙ (G·w),  y = Aᵀ·m

Applied down and across, a tile of 4 × 4 inputs gives 2 × 2 outputs in 16 products instead of 36. Over all tiles and
channels each of the 16 is a product of matrices, which a CPU computes at its full speed. The additional sums lose about
as much to rounding as the sums over channels.

The kernel's gradient is the transposed algorithm: y is linear in ``G·w``, so its gradient is ``(Bᵀ·x) ⊙ (A·∂L/∂y)``
summed over the tiles, and the gradient of the weights is ``Gᵀ`` of that.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Grid = list[list[jax.Array]]  # one array for each place of a tile


def transformed(kernel: jax.Array) -> Grid:
    """``G·w``, down and across: kernel ``(3, 3, channels, features)`` as 4 × 4 matrices ``(channels, features)``."""
    return _both_ways(_g, [list(row) for row in kernel.astype(jnp.float32)])


def convolve(x: jax.Array, kernel: Grid, precision: str | None) -> jax.Array:
    """A convolution of images ``(n, height, width, channels)``, padded by one zero on each side, with stride 1.

    Args:
        kernel: the transformed kernel, from ``transformed``.
    Returns:
        ``(n, height, width, features)``, of the dtype of x; computed in float32.
    """
    n, height, width, _ = x.shape
    products = [
        [jnp.dot(tile, weights, precision=precision) for tile, weights in zip(*rows, strict=True)]
        for rows in zip(_transformed_tiles(x), kernel, strict=True)
    ]
    tiles = n, -(-height // 2), -(-width // 2), -1
    (a, b), (c, d) = _both_ways(_a_transposed, [[one.reshape(tiles) for one in row] for row in products])
    y = jnp.stack([jnp.stack([a, b], axis=3), jnp.stack([c, d], axis=3)], axis=2)  # (n, down, 2, across, 2, features)
    return y.reshape(n, 2 * tiles[1], 2 * tiles[2], -1)[:, :height, :width].astype(x.dtype)


def transformed_kernel_gradient(x: jax.Array, gradient: jax.Array, precision: str | None) -> jax.Array:
    """``∂L/∂(G·w)`` for these images, float32 ``(4, 4, channels, features)``, to be summed over all images.

    Args:
        gradient: ``∂L/∂y (n, height, width, features)``.
    """
    _, height, width, _ = gradient.shape
    even = jnp.pad(gradient.astype(jnp.float32), ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    of_tiles = _both_ways(_a, [[even[:, i::2, j::2] for j in range(2)] for i in range(2)])
    products = [
        [over_rows(tile, _flat(of_tile), precision) for tile, of_tile in zip(*rows, strict=True)]
        for rows in zip(_transformed_tiles(x), of_tiles, strict=True)
    ]
    return jnp.stack([jnp.stack(row) for row in products])


def kernel_gradient(of_transformed: jax.Array) -> jax.Array:
    """``∂L/∂w (3, 3, channels, features)`` from ``∂L/∂(G·w)``: ``Gᵀ`` of it, down and across."""
    grid = _both_ways(_g_transposed, [list(row) for row in of_transformed])
    return jnp.stack([jnp.stack(row) for row in grid])


def over_rows(x: jax.Array, y: jax.Array, precision: str | None) -> jax.Array:
    """``xᵀ·y``, a sum over the rows of both: float32 ``(channels, features)``."""
    rows = (((0,), (0,)), ((), ()))
    return lax.dot_general(x, y, rows, precision=precision, preferred_element_type=jnp.float32)


def _transformed_tiles(x: jax.Array) -> Grid:
    """``Bᵀ·x``, down and across: at each place of all tiles a matrix ``(tiles, channels)``."""
    _, height, width, _ = x.shape
    down, across = -(-height // 2), -(-width // 2)
    margins = ((0, 0), (1, 2 * down + 1 - height), (1, 2 * across + 1 - width), (0, 0))
    padded = jnp.pad(x.astype(jnp.float32), margins)
    tiles = [[padded[:, i : i + 2 * down : 2, j : j + 2 * across : 2] for j in range(4)] for i in range(4)]
    return [[_flat(tile) for tile in row] for row in _both_ways(_b_transposed, tiles)]


def _flat(tiles: jax.Array) -> jax.Array:
    return tiles.reshape(-1, tiles.shape[-1])


def _both_ways(transform: Callable[..., list[Any]], grid: Sequence[Sequence[jax.Array]]) -> Grid:
    """Transform each column of a grid, and then each row of the result."""
    columns = [transform(*column) for column in zip(*grid, strict=True)]
    return [transform(*row) for row in zip(*columns, strict=True)]


def _b_transposed(x0: Any, x1: Any, x2: Any, x3: Any) -> list[Any]:
    return [x0 - x2, x1 + x2, x2 - x1, x1 - x3]


def _g(w0: Any, w1: Any, w2: Any) -> list[Any]:
    return [w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2]


def _g_transposed(m0: Any, m1: Any, m2: Any, m3: Any) -> list[Any]:
    return [m0 + (m1 + m2) / 2, (m1 - m2) / 2, (m1 + m2) / 2 + m3]


def _a_transposed(m0: Any, m1: Any, m2: Any, m3: Any) -> list[Any]:
    return [m0 + m1 + m2, m1 - m2 - m3]


def _a(y0: Any, y1: Any) -> list[Any]:
    return [y0, y0 + y1, y0 - y1, -y1]

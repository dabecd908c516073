"""What single layers compute, on images ``(examples, height, width, channels)`` and flat activations, nodes first.

Flat activations are ``(nodes, examples)``: there a node is a row, of which compaction takes some by copying memory,
and the products are up to 1.6 times as fast on a CPU.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_IMAGES = 4  # whose windows a kernel's gradient works on at once
_ROWS = 2**22  # bytes of windows' rows that a convolution works on at once: they stay in the cache of a CPU
_ALL_ROWS = 2**24  # up to which they stay there anyhow


class Arithmetic(NamedTuple):
    """How products are computed. Hashable.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        precision: "highest" or "default".
        compute: the type of the operands, "float32" or "bfloat16".
    """

    platform: str
    precision: str
    compute: str = "float32"


def dense(h: jax.Array, kernel: jax.Array, bias: jax.Array, how: Arithmetic) -> jax.Array:
    """``Wᵀ·h + b``: W ``(inputs, units)``, h ``(inputs, examples)``."""
    both_rows = (((0,), (0,)), ((), ()))
    operands = kernel.astype(how.compute), h.astype(how.compute)
    return lax.dot_general(*operands, both_rows, precision=how.precision).astype(h.dtype) + bias[:, None]


def convolve(h: jax.Array, kernel: jax.Array, stride: int, how: Arithmetic) -> jax.Array:
    """W ``(window, window, channels, features)``, over images with ``(window − 1) / 2`` zeros on each side."""
    product: Any = _convolve_on_cpu if how.platform == "cpu" else _convolve
    return product(h.astype(how.compute), kernel.astype(how.compute), stride, how.precision).astype(h.dtype)


def _convolve(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    # Not "SAME", which pads an even image less on the left than on the right where the stride is 2.
    margin = (len(kernel) // 2, len(kernel) // 2)
    return lax.conv_general_dilated(
        h, kernel, (stride, stride), (margin, margin), dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=precision
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve_on_cpu(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    """A convolution along rows, whose gradient is one along rows and products of matrices.

    In a loop, such as that over the steps of an epoch, XLA's own gradient of a convolution takes a CPU twenty times
    as long as outside of one, and far longer than a product.
    """
    return _convolve_rows(h, kernel, stride, precision)


def _convolve_rows(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    """A convolution along the rows of an image alone, in which the window's rows are channels.

    With 26 channels XLA's convolution of images takes a CPU twice as long, and one of its cores. A few images at a
    time: with 64 channels a whole batch at once takes 1.7 times as long.
    """
    images, *_, channels = h.shape
    each = len(kernel) * channels * h.itemsize * math.prod(h.shape[1:3])
    some = max(n for n in range(1, images + 1) if images % n == 0 and (n == 1 or n * each <= _ROWS))
    if images * each <= _ALL_ROWS or some == images:
        return _convolve_rows_at_once(h, kernel, stride, precision)
    parts = h.reshape(-1, some, *h.shape[1:])
    y = lax.map(lambda part: _convolve_rows_at_once(part, kernel, stride, precision), parts)
    return y.reshape(images, *y.shape[2:])


def _convolve_rows_at_once(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    window, _, channels, features = kernel.shape
    images, height, width, _ = h.shape
    margin = (window // 2, window // 2)
    padded = jnp.pad(h, ((0, 0), margin, (0, 0), (0, 0)))
    rows = jnp.concatenate([padded[:, row : row + height : stride] for row in range(window)], axis=-1)
    flat_kernel = jnp.swapaxes(kernel, 0, 1).reshape(window, window * channels, features)
    y = lax.conv_general_dilated(
        rows.reshape(-1, width, window * channels), flat_kernel, (stride,), (margin,),
        dimension_numbers=("NWC", "WIO", "NWC"), precision=precision,
    )  # fmt: skip
    return y.reshape(images, -(-height // stride), -(-width // stride), features)


def _on_cpu_forward(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> Any:
    return _convolve_rows(h, kernel, stride, precision), (h, kernel)


def _on_cpu_backward(stride: int, precision: str, saved: Any, gradient: jax.Array) -> Any:
    h, kernel = saved
    if stride > 1:
        return _backward_of_patches(h, kernel, gradient, partial(_convolve_patches, stride=stride, precision=precision))
    # ∂L/∂x is a convolution of ∂L/∂y with the window turned over, from features to channels.
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return _convolve_rows(gradient, turned, 1, precision), _kernel_gradient(h, gradient, len(kernel), precision)


def _kernel_gradient(h: jax.Array, gradient: jax.Array, window: int, precision: str) -> jax.Array:
    """``∂L/∂W[p, q] = Σ x[i + p, j + q]ᵀ ∂L/∂y[i, j]``, stride 1: a product for each column q of the window.

    A few images at a time, whose windows stay in the cache.
    """
    _, height, width, channels = h.shape
    images, features, margin = math.gcd(len(h), _IMAGES), gradient.shape[-1], (window // 2, window // 2)
    both = (((0,), (0,)), ((), ()))

    def add(sums: jax.Array, some: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, of_y = some
        padded = jnp.pad(x, ((0, 0), margin, margin, (0, 0)))
        rows = jnp.concatenate([padded[:, row : row + height] for row in range(window)], axis=-1)
        shifted = [rows[:, :, column : column + width].reshape(-1, window * channels) for column in range(window)]
        flat = of_y.reshape(-1, features)
        products = [
            lax.dot_general(x, flat, both, precision=precision, preferred_element_type=jnp.float32) for x in shifted
        ]
        return sums + jnp.stack(products), None

    parts = h.reshape(-1, images, *h.shape[1:]), gradient.reshape(-1, images, *gradient.shape[1:])
    sums, _ = lax.scan(add, jnp.zeros((window, window * channels, features), jnp.float32), parts)
    return jnp.swapaxes(sums.reshape(window, window, channels, features), 0, 1).astype(h.dtype)


def _backward_of_patches(
    h: jax.Array, kernel: jax.Array, gradient: jax.Array, convolve: Callable[..., jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The gradients of a convolution by patches, a few images at a time."""
    images = math.gcd(len(h), _IMAGES)

    def add(sums: jax.Array, some: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, of_y = some
        of_x, of_kernel = jax.vjp(convolve, x, kernel)[1](of_y)
        return sums + of_kernel.astype(sums.dtype), of_x

    parts = h.reshape(-1, images, *h.shape[1:]), gradient.reshape(-1, images, *gradient.shape[1:])
    sums, of_h = lax.scan(add, jnp.zeros(kernel.shape, jnp.float32), parts)
    return of_h.reshape(h.shape), sums.astype(kernel.dtype)


_convolve_on_cpu.defvjp(_on_cpu_forward, _on_cpu_backward)


def _convolve_patches(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    """The window of each output as one row of a matrix."""
    window, _, channels, features = kernel.shape
    _, height, width, _ = h.shape
    margin = (window // 2, window // 2)
    padded = jnp.pad(h, ((0, 0), margin, margin, (0, 0)))
    shifted = [
        padded[:, row : row + height : stride, column : column + width : stride]
        for row in range(window)
        for column in range(window)
    ]
    rows = jnp.concatenate(shifted, axis=-1)
    return jnp.dot(rows, kernel.reshape(window * window * channels, features), precision=precision)


def max_pool(h: jax.Array, window: int) -> jax.Array:
    """The largest value of each channel in windows side by side."""
    size = (1, window, window, 1)
    return lax.reduce_window(h, np.array(-np.inf, h.dtype), lax.max, size, size, "VALID")


def masked(h: jax.Array, mask: jax.Array, rescale: bool) -> jax.Array:
    """A mask of every node, or of the channels. A removed node is absent: zero is selected, not multiplied in."""
    kept = jnp.where(mask if h.ndim > 2 else mask[:, None], h, 0)
    return kept * (mask.size / jnp.maximum(jnp.sum(mask, dtype=h.dtype), 1)) if rescale else kept


def gather_nodes(h: jax.Array, indices: jax.Array) -> jax.Array:
    """The nodes or channels with these indices, int32 ``(count,)``."""
    return jnp.take(h, indices, axis=_nodes(h), mode="clip")  # else each index would be checked


def slice_nodes(h: jax.Array, start: int, count: int) -> jax.Array:
    """Nodes or channels side by side."""
    return lax.slice_in_dim(h, start, start + count, axis=_nodes(h))


def _nodes(h: jax.Array) -> int:
    """The axis of nodes or channels."""
    return 0 if h.ndim == 2 else h.ndim - 1

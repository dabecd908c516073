"""What single layers compute, on images ``(examples, height, width, channels)`` and flat activations, nodes first.

Flat activations are ``(nodes, examples)``: there a node is a row, of which compaction takes some by copying memory,
and the products are up to 1.6 times as fast on a CPU.
"""

from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from weedout_core.backend import Precision
from weedout_jax import cpu_convolution


class Arithmetic(NamedTuple):
    """How products are computed. Hashable.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        precision: "highest"; None leaves it to the caller's ``default_matmul_precision``.
        compute: the type of the operands, "float32", "bfloat16" or "float64".
    """

    platform: str
    precision: str | None
    compute: str = "float32"


def products_of(precision: Precision) -> str | None:
    """The precision of products as ``Arithmetic`` has it: "default" is the caller's."""
    return None if precision == "default" else precision


def dense(h: jax.Array, kernel: jax.Array, bias: jax.Array, how: Arithmetic) -> jax.Array:
    """``Wᵀ·h + b``: W ``(inputs, units)``, h ``(inputs, examples)``."""
    both_rows = (((0,), (0,)), ((), ()))
    operands = kernel.astype(how.compute), h.astype(how.compute)
    return lax.dot_general(*operands, both_rows, precision=how.precision).astype(h.dtype) + bias[:, None]


def convolve(h: jax.Array, kernel: jax.Array, stride: int, how: Arithmetic) -> jax.Array:
    """W ``(window, window, channels, features)``, over images with ``(window − 1) / 2`` zeros on each side."""
    product: Any = cpu_convolution.convolve if how.platform == "cpu" else _convolve
    return product(h.astype(how.compute), kernel.astype(how.compute), stride, how.precision).astype(h.dtype)


def _convolve(h: jax.Array, kernel: jax.Array, stride: int, precision: str | None) -> jax.Array:
    # Not "SAME", which pads an even image less on the left than on the right where the stride is 2.
    margin = (len(kernel) // 2, len(kernel) // 2)
    return lax.conv_general_dilated(
        h, kernel, (stride, stride), (margin, margin), dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=precision
    )


def max_pool(h: jax.Array, window: int) -> jax.Array:
    """The largest value of each channel in windows side by side, or NaN where there is one.

    Selected place by place: XLA's maximum over a window or an axis drops NaN on a CPU. The gradient is that of the
    first of equals.
    """
    images, height, width, channels = h.shape
    places = h.reshape(images, height // window, window, width // window, window, channels)
    return reduce(_larger, (places[:, :, p, :, q] for p in range(window) for q in range(window)))


def _larger(one: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.where((other > one) | jnp.isnan(other), other, one)


def masked(h: jax.Array, mask: jax.Array, rescale: bool) -> jax.Array:
    """A mask of every node, or of the channels. A removed node is absent: zero is selected, not multiplied in.

    Factors in the mask's place, of a type of float, are multiplied in: their gradient is asked for.
    """
    of_nodes = mask if h.ndim > 2 else mask[:, None]
    kept = jnp.where(of_nodes, h, 0) if mask.dtype == jnp.bool_ else h * of_nodes
    return kept * (mask.size / jnp.maximum(jnp.sum(mask != 0, dtype=h.dtype), 1)) if rescale else kept


def gather_nodes(h: jax.Array, indices: jax.Array) -> jax.Array:
    """The nodes or channels with these indices, int32 ``(count,)``."""
    return _take(h, indices, 0) if h.ndim == 2 else _gather_channels(h, indices, h.shape[-1])


def _take(h: jax.Array, indices: jax.Array, axis: int) -> jax.Array:
    return jnp.take(h, indices, axis=axis, mode="clip")  # else each index would be checked


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _gather_channels(h: jax.Array, indices: jax.Array, channels: int) -> jax.Array:
    """Its gradient is a product with zeros and ones: XLA scatters single floats, one after the other."""
    del channels
    return _take(h, indices, -1)


def _gather_forward(h: jax.Array, indices: jax.Array, channels: int) -> tuple[jax.Array, jax.Array]:
    return _gather_channels(h, indices, channels), indices


def _gather_backward(channels: int, indices: jax.Array, gradient: jax.Array) -> tuple[jax.Array, None]:
    ones = (indices[:, None] == jnp.arange(channels)).astype(gradient.dtype)
    return jnp.dot(gradient, ones, precision="highest"), None


_gather_channels.defvjp(_gather_forward, _gather_backward)

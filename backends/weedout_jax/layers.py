"""What single layers compute, on activations ``(examples, *shape)`` with the channels last."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


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
    """``x·W + b``."""
    product = jnp.dot(h.astype(how.compute), kernel.astype(how.compute), precision=how.precision)
    return product.astype(h.dtype) + bias


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
    """A convolution whose gradient is that of a product of matrices.

    In a loop, such as that over the steps of an epoch, XLA's own gradient of a convolution takes a CPU twenty times
    as long as outside of one, and far longer than a product.
    """
    return _convolve(h, kernel, stride, precision)


def _on_cpu_forward(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> Any:
    return _convolve(h, kernel, stride, precision), (h, kernel)


def _on_cpu_backward(stride: int, precision: str, saved: Any, gradient: jax.Array) -> Any:
    return jax.vjp(partial(_convolve_patches, stride=stride, precision=precision), *saved)[1](gradient)


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
    """A mask ``shape`` or ``(channels,)``. A removed node is absent: zero is selected, not multiplied in."""
    kept = jnp.where(mask, h, 0)
    return kept * (mask.size / jnp.maximum(jnp.sum(mask, dtype=h.dtype), 1)) if rescale else kept

"""Convolutions on a CPU, where XLA's own are slow, and those of its gradient many times slower inside of a loop.

They are products of matrices, or convolutions along the rows of an image, of a few images at a time: what these need
stays in the cache.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weedout_jax import winograd

_CHANNELS = 32  # from which on fewer multiplications save more than the sums around them cost, as measured
_IMAGES = 2**22  # bytes that a convolution takes, or gives, at once
_GRADIENT = 2**20  # bytes that the gradient of a kernel takes at once
_ROWS = 2**22  # bytes of windows' rows at once, where they are so many that
_ALL_ROWS = 2**24  # all together would leave the cache
_PATCHES = 2**23  # bytes of windows that are written out at once


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    """W ``(window, window, channels, features)``, over images with ``(window − 1) / 2`` zeros on each side."""
    window, _, channels, features = kernel.shape
    if window == 3 and stride == 1 and channels >= _CHANNELS:
        weights = winograd.transformed(kernel)
        some = _at_once(len(h), max(channels, features) * _pixels(h), _IMAGES)
        return _in_parts(lambda x: winograd.convolve(x, weights, precision), h, some)
    rows = window * channels * _pixels(h)
    some = len(h) if len(h) * rows <= _ALL_ROWS else _at_once(len(h), rows, _ROWS)
    return _in_parts(lambda x: _convolve_rows(x, kernel, stride, precision), h, some)


def _forward(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> Any:
    return convolve(h, kernel, stride, precision), (h, kernel)


def _backward(stride: int, precision: str, saved: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    h, kernel = saved
    if len(kernel) == 3 and stride == 1:
        # ∂L/∂x is a convolution of ∂L/∂y with the window turned over, from features to channels.
        turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
        return convolve(gradient, turned, 1, precision), _kernel_gradient(h, gradient, precision)
    return _backward_of_patches(h, kernel, gradient, stride, precision)


convolve.defvjp(_forward, _backward)


def _pixels(h: jax.Array) -> int:
    """Bytes of one channel of an image."""
    return h.itemsize * math.prod(h.shape[1:3])


def _at_once(images: int, each: int, limit: int) -> int:
    """How many images, of so many bytes each, are worked on at once: they divide all."""
    return max(n for n in range(1, images + 1) if images % n == 0 and (n == 1 or n * each <= limit))


def _parts(images: jax.Array, some: int) -> jax.Array:
    return images.reshape(-1, some, *images.shape[1:])


def _in_parts(product: Callable[[jax.Array], jax.Array], h: jax.Array, some: int) -> jax.Array:
    if some == len(h):
        return product(h)
    y = lax.map(product, _parts(h, some))
    return y.reshape(len(h), *y.shape[2:])


def _convolve_rows(h: jax.Array, kernel: jax.Array, stride: int, precision: str) -> jax.Array:
    """A convolution along the rows of an image alone, in which the window's rows are channels.

    With 26 channels XLA's convolution of images takes a CPU twice as long, and one of its cores.
    """
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


def _kernel_gradient(h: jax.Array, gradient: jax.Array, precision: str) -> jax.Array:
    """``∂L/∂W`` of windows of 3 × 3, stride 1."""
    channels, features = h.shape[-1], gradient.shape[-1]
    some = _at_once(len(h), max(channels, features) * _pixels(h), _GRADIENT)

    def add(sums: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return sums + winograd.transformed_kernel_gradient(*part, precision), None

    sums, _ = lax.scan(add, jnp.zeros((4, 4, channels, features)), (_parts(h, some), _parts(gradient, some)))
    return winograd.kernel_gradient(sums).astype(h.dtype)


def _backward_of_patches(
    h: jax.Array, kernel: jax.Array, gradient: jax.Array, stride: int, precision: str
) -> tuple[jax.Array, jax.Array]:
    """The gradients where the window of each output is written out as a row of a matrix."""
    window, features = len(kernel), kernel.shape[-1]
    weights = kernel.reshape(-1, features)
    some = _at_once(len(h), len(weights) * _pixels(h) // stride**2, _PATCHES)
    of_rows, of_both = (((1,), (1,)), ((), ())), (((0,), (0,)), ((), ()))

    def add(sums: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, of_y = part
        rows, backward = jax.vjp(partial(_patches, window=window, stride=stride), x)
        flat = of_y.reshape(-1, features)
        (of_x,) = backward(lax.dot_general(flat, weights, of_rows, precision=precision))
        return sums + lax.dot_general(
            rows, flat, of_both, precision=precision, preferred_element_type=jnp.float32
        ), of_x

    sums, of_h = lax.scan(add, jnp.zeros(weights.shape), (_parts(h, some), _parts(gradient, some)))
    return of_h.reshape(h.shape), sums.reshape(kernel.shape).astype(kernel.dtype)


def _patches(h: jax.Array, window: int, stride: int) -> jax.Array:
    """A row for each output, of all its window: ``(outputs, window · window · channels)``."""
    _, height, width, channels = h.shape
    margin = (window // 2, window // 2)
    padded = jnp.pad(h, ((0, 0), margin, margin, (0, 0)))
    shifted = [
        padded[:, row : row + height : stride, column : column + width : stride]
        for row in range(window)
        for column in range(window)
    ]
    return jnp.concatenate(shifted, axis=-1).reshape(-1, window * window * channels)

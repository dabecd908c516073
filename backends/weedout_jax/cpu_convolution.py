"""Convolutions on a CPU, where XLA's own are slow, and those of the gradient many times slower inside a loop.

Here they are computed as matrix products, or as convolutions along the rows of an image. A few images are processed at
a time, so that their data stays in the cache.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weedout_jax import winograd

_CHANNELS = 32  # from this many channels on, Winograd's method saves more than its sums cost, as measured

# Limits, in bytes, on the data that is processed at once. They were found by measurement.
_IMAGES = 2**22  # inputs or outputs of a convolution by Winograd's method
_GRADIENT = 2**20  # inputs of the gradient of its kernel
_ALL_ROWS = 2**24  # rows of windows, if all images are processed at once; if they exceed this,
_ROWS = 2**22  # rows of windows of each part
_PATCHES = 2**23  # windows that are written out as rows of a matrix


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(h: jax.Array, kernel: jax.Array, stride: int, precision: str | None) -> jax.Array:
    """A convolution with W ``(window, window, channels, features)``, images padded by ``(window − 1) / 2`` zeros."""
    window, _, channels, features = kernel.shape
    if window == 1:
        return jnp.dot(h[:, ::stride, ::stride], kernel[0, 0], precision=precision)
    if stride == 1 and _in_fewer_products(kernel):
        weights = winograd.transformed(kernel)
        some = _at_once(len(h), max(channels, features) * _channel_bytes(h), _IMAGES)
        return _in_parts(lambda x: winograd.convolve(x, weights, precision), h, some)
    each = window * channels * _channel_bytes(h)
    some = len(h) if len(h) * each <= _ALL_ROWS else _at_once(len(h), each, _ROWS)
    return _in_parts(lambda x: _convolve_rows(x, kernel, stride, precision), h, some)


def _forward(h: jax.Array, kernel: jax.Array, stride: int, precision: str | None) -> Any:
    return convolve(h, kernel, stride, precision), (h, kernel)


def _backward(stride: int, precision: str | None, saved: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    h, kernel = saved
    if len(kernel) == 1 or stride > 1:
        return _backward_of_patches(h, kernel, gradient, stride, precision)
    # ∂L/∂x is a convolution of ∂L/∂y with the kernel rotated by 180 degrees, from features to channels.
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return convolve(gradient, turned, 1, precision), _kernel_gradient(h, kernel, gradient, precision)


convolve.defvjp(_forward, _backward)


def _in_fewer_products(kernel: jax.Array) -> bool:
    return len(kernel) == 3 and kernel.shape[2] >= _CHANNELS


def _channel_bytes(h: jax.Array) -> int:
    """Bytes of one channel of an image."""
    return h.itemsize * math.prod(h.shape[1:3])


def _at_once(images: int, each: int, limit: int) -> int:
    """How many images of ``each`` bytes are processed at once: a divisor of ``images`` within the limit, or 1."""
    return max(n for n in range(1, images + 1) if images % n == 0 and (n == 1 or n * each <= limit))


def _parts(images: jax.Array, some: int) -> jax.Array:
    return images.reshape(-1, some, *images.shape[1:])


def _in_parts(product: Callable[[jax.Array], jax.Array], h: jax.Array, some: int) -> jax.Array:
    if some == len(h):
        return product(h)
    y = lax.map(product, _parts(h, some))
    return y.reshape(len(h), *y.shape[2:])


def _convolve_rows(h: jax.Array, kernel: jax.Array, stride: int, precision: str | None) -> jax.Array:
    """A convolution along the rows of an image only, with the rows of the window as channels.

    With 26 channels, XLA's own convolution of images takes twice as long on a CPU, and uses only one core.
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


def _kernel_gradient(h: jax.Array, kernel: jax.Array, gradient: jax.Array, precision: str | None) -> jax.Array:
    """``∂L/∂W`` for stride 1."""
    window, _, channels, features = kernel.shape
    if _in_fewer_products(kernel):
        some = _at_once(len(h), max(channels, features) * _channel_bytes(h), _GRADIENT)
        product = partial(winograd.transformed_kernel_gradient, precision=precision)
        return winograd.kernel_gradient(_summed(product, h, gradient, some)).astype(kernel.dtype)
    some = _at_once(len(h), window**2 * channels * _channel_bytes(h), _PATCHES)

    def of_patches(x: jax.Array, of_y: jax.Array) -> jax.Array:
        return winograd.over_rows(_patches(x, window, 1), of_y.reshape(-1, features), precision)

    return _summed(of_patches, h, gradient, some).reshape(kernel.shape).astype(kernel.dtype)


def _summed(product: Callable[..., jax.Array], h: jax.Array, gradient: jax.Array, some: int) -> jax.Array:
    """A product of images and their gradient, summed over parts."""

    def add(sums: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return sums + product(*part), None

    parts = _parts(h, some), _parts(gradient, some)
    shape = jax.eval_shape(product, *(one[0] for one in parts))
    return lax.scan(add, jnp.zeros(shape.shape, shape.dtype), parts)[0]


def _backward_of_patches(
    h: jax.Array, kernel: jax.Array, gradient: jax.Array, stride: int, precision: str | None
) -> tuple[jax.Array, jax.Array]:
    """Both gradients, with the window of each output written out as a row of a matrix."""
    window, features = len(kernel), kernel.shape[-1]
    weights = kernel.reshape(-1, features)
    some = _at_once(len(h), len(weights) * _channel_bytes(h) // stride**2, _PATCHES)

    def add(sums: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, of_y = part
        rows, backward = jax.vjp(partial(_patches, window=window, stride=stride), x)
        flat = of_y.reshape(-1, features)
        (of_x,) = backward(jnp.dot(flat, weights.T, precision=precision))
        return sums + winograd.over_rows(rows, flat, precision), of_x

    sums, of_h = lax.scan(add, jnp.zeros(weights.shape, jnp.float32), (_parts(h, some), _parts(gradient, some)))
    return of_h.reshape(h.shape), sums.reshape(kernel.shape).astype(kernel.dtype)


def _patches(h: jax.Array, window: int, stride: int) -> jax.Array:
    """The window of each output as a row: ``(outputs, window · window · channels)``."""
    _, height, width, channels = h.shape
    margin = (window // 2, window // 2)
    padded = jnp.pad(h, ((0, 0), margin, margin, (0, 0)))
    shifted = [
        padded[:, row : row + height : stride, column : column + width : stride]
        for row in range(window)
        for column in range(window)
    ]
    return jnp.concatenate(shifted, axis=-1).reshape(-1, window * window * channels)

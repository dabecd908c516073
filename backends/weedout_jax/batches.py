"""Augmentation of the examples of a training step: images are cropped and mirrored."""

import jax
import jax.numpy as jnp
from jax import lax

from weedout_core.backend import CROP_MARGIN


def crop_images(images: jax.Array, crops: jax.Array) -> jax.Array:
    """Crop images ``(examples, height, width, channels)`` by crops (row, column, mirrored), int32 ``(examples, 3)``.

    Each image is padded by ``CROP_MARGIN`` zeros on each side, cut to its size from this row and column on, and then
    mirrored left to right if ``mirrored`` is 1.
    """
    margin = (CROP_MARGIN, CROP_MARGIN)

    def crop(image: jax.Array, place: jax.Array) -> jax.Array:
        padded = jnp.pad(image, (margin, margin, (0, 0)))
        shown = lax.dynamic_slice(padded, (place[0], place[1], jnp.int32(0)), image.shape)
        return jnp.where(place[2] == 1, shown[:, ::-1], shown)

    return jax.vmap(crop)(images, crops)

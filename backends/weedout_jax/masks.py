"""Masks: the core's definition, with the search for the k-th smallest as a compiled loop."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Sharding

from weedout_core import ConfigError, MaskPlan, bits, fold_in, order_keys


def keep_smallest(place: Sharding, bits: Any, k: int) -> jax.Array:
    """Keep the k nodes with the smallest (bits, index): uint32 ``(n,)`` → bool ``(n,)``."""
    if not 1 <= k <= bits.shape[-1]:
        raise ConfigError(f"keep_smallest needs 1 ≤ k ≤ {bits.shape[-1]}, the number of nodes; got {k}.")
    return _keep_smallest(jax.device_put(bits, place), k)


def masks_from_keys(place: Sharding, keys: Any, plan: MaskPlan) -> dict[str, jax.Array]:
    """Draw the masks of candidates: uint32 ``(m, 2)`` → {site: bool ``(m, *shape)``}."""
    return _masks(jax.device_put(keys, place), plan)


def draw_masks(keys: Any, plan: MaskPlan) -> dict[str, jax.Array]:
    """``masks_from_keys`` inside a program."""
    masks: dict[str, jax.Array] = {}
    for site in plan.sites:
        words = bits(fold_in(keys, site.code), site.nodes)
        mask = kept(words, site.kept) if site.bound is None else (words <= jnp.uint32(site.bound)) | kept(words, 1)
        masks[site.site] = mask.reshape(*mask.shape[:-1], *site.shape)
    return masks


def kept(words: Any, k: int) -> jax.Array:
    """``keep_smallest`` inside a program: uint32 ``(*batch, n)`` → bool.

    The core's bit-by-bit count, as a loop: unrolled it takes seconds to compile and runs no faster.
    """
    order = order_keys(words)

    def raise_threshold(step: jax.Array, threshold: jax.Array) -> jax.Array:
        raised = threshold ^ (jnp.int32(1) << (31 - step))
        fewer = _count(order < raised) < k
        return jnp.where(fewer, raised, threshold)

    lowest = jnp.full((*order.shape[:-1], 1), -(2**31), jnp.int32)
    threshold = lax.fori_loop(jnp.int32(0), jnp.int32(32), raise_threshold, lowest)
    below, equal = order < threshold, order == threshold
    return below | (equal & (jnp.cumsum(equal, axis=-1, dtype=jnp.int32) <= k - _count(below)))


def _count(condition: jax.Array) -> jax.Array:
    return jnp.sum(condition, axis=-1, keepdims=True, dtype=jnp.int32)


_keep_smallest = partial(jax.jit, static_argnums=1)(kept)
_masks = partial(jax.jit, static_argnums=1)(draw_masks)

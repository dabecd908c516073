"""Masks: the core's definition, with a faster search for the k-th smallest."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Sharding

from weedout_core.backend import MaskPlan, SitePlan, filled
from weedout_core.errors import ConfigError
from weedout_core.random import bits
from weedout_jax.devices import put
from weedout_jax.randomness import folded_in

_ALONE = 2**15  # from this many nodes on, a CPU processes one candidate's words at a time


def keep_smallest(place: Sharding, bits: Any, k: int) -> jax.Array:
    """Keep the k nodes with the smallest (bits, index): uint32 ``(n,)`` → bool ``(n,)``."""
    if not 1 <= k <= bits.shape[-1]:
        raise ConfigError(f"keep_smallest needs 1 ≤ k ≤ {bits.shape[-1]}, the number of nodes; got {k}.")
    return _keep_smallest(put(bits, place), k)


def masks_from_keys(place: Sharding, keys: Any, plan: MaskPlan) -> dict[str, jax.Array]:
    """Draw the masks of candidates: uint32 ``(m, 2)`` → {site: bool ``(m, *shape)``}."""
    return _masks(put(keys, place), plan)


def draw_masks(keys: Any, plan: MaskPlan) -> dict[str, jax.Array]:
    """``masks_from_keys`` inside a program."""
    own = folded_in(keys, [site.code for site in plan.sites])
    if plan.total is not None:
        return _each(partial(_masks_over_all, plan, plan.total), own, plan.nodes)
    drawn = zip(plan.sites, jnp.unstack(own, axis=1), strict=True)
    return {site.site: _each(partial(_site_mask, site), keys, site.nodes) for site, keys in drawn}


def _site_mask(site: SitePlan, key: jax.Array) -> jax.Array:
    """One candidate's mask at a site, from its key for the site."""
    words = bits(key, site.nodes)
    if site.bound is None:
        return kept(words, site.kept).reshape(site.shape)
    return ((words <= jnp.uint32(site.bound)) | _smallest(words)).reshape(site.shape)


def _masks_over_all(plan: MaskPlan, total: int, keys: jax.Array) -> dict[str, jax.Array]:
    """One candidate's masks where the plan has a total: each site's smallest word is made 0, and no other is."""

    def ranked(site: SitePlan, key: jax.Array) -> jax.Array:
        words = bits(key, site.nodes)
        return jnp.where(_smallest(words), jnp.uint32(0), jnp.maximum(words, jnp.uint32(1)))

    mask = kept(jnp.concatenate([ranked(*each) for each in zip(plan.sites, keys, strict=True)]), total)
    ends = list(accumulate(site.nodes for site in plan.sites))
    parts = zip(plan.sites, jnp.split(mask, ends[:-1]), strict=True)
    return {site.site: part.reshape(site.shape) for site, part in parts}


def _smallest(words: jax.Array) -> jax.Array:
    """Where the smallest word is, of equal ones the first: what ``kept`` gives for k = 1, without a search."""
    return jnp.arange(words.size) == jnp.argmin(words)


def _each(one: Callable[[jax.Array], Any], keys: Any, nodes: int) -> Any:
    """What a function makes of the key of each candidate, which has so many nodes."""
    together = jax.vmap(one)
    if nodes < _ALONE:
        return together(keys)
    # On a CPU the words of one candidate stay in the cache while they are counted; other devices have no such cache.
    return lax.platform_dependent(keys, cpu=lambda keys: lax.map(one, keys), default=together)


def kept(words: Any, k: int) -> jax.Array:
    """``keep_smallest`` inside a program: uint32 ``(n,)`` → bool ``(n,)``.

    The search looks for a threshold that exactly k words do not exceed. Words are uniform, so interpolation finds it in
    about six counts; every fourth step halves the range, so that no words take more than 128. If equal words leave no
    such threshold, the search ends at the k-th smallest word, and of the words equal to it the first ones fill up to k.
    """

    def count(threshold: jax.Array) -> jax.Array:
        return jnp.sum(words <= threshold, dtype=jnp.int32)

    def narrower(range_: _Range) -> _Range:
        first, last, below, within, step = range_
        wanted, there = (k - below).astype(jnp.float32) - 0.5, (within - below).astype(jnp.float32)
        share = jnp.where(step % 4 == 3, jnp.float32(0.5), wanted / there)
        width = last - first
        ahead = jnp.minimum((width.astype(jnp.float32) * share).astype(jnp.uint32), width - 1)
        threshold = first + ahead
        found = count(threshold)
        enough = found >= k
        return _Range(
            jnp.where(enough, first, threshold + 1),
            jnp.where(enough, threshold, last),
            jnp.where(enough, below, found),
            jnp.where(enough, found, within),
            step + 1,
        )

    whole = _Range(jnp.uint32(0), jnp.uint32(2**32 - 1), jnp.int32(0), jnp.int32(words.size), jnp.int32(0))
    found = lax.while_loop(lambda range_: (range_.within != k) & (range_.first < range_.last), narrower, whole)
    threshold = found.last
    below, equal = words < threshold, words == threshold
    missing = k - jnp.sum(below, dtype=jnp.int32)
    return lax.cond(
        found.within == k,
        lambda: words <= threshold,
        lambda: below | (equal & (jnp.cumsum(equal, dtype=jnp.int32) <= missing)),
    )


class _Range(NamedTuple):
    """The remaining thresholds ``first`` … ``last``: ``below`` words are < first, and ``within`` words are ≤ last."""

    first: jax.Array
    last: jax.Array
    below: jax.Array
    within: jax.Array
    step: jax.Array


def most_kept(place: Sharding, keys: Any, plan: MaskPlan, sites: tuple[str, ...], chunk: int) -> dict[str, int]:
    """{site: the most nodes that a candidate keeps}, by drawing masks as they will be drawn again.

    To hold the masks of all candidates, and not of ``chunk`` at a time, would take more memory than was asked for;
    drawing them twice takes little of the time of scoring.
    """
    chunks = -(-len(keys) // chunk)
    rows = np.minimum(np.arange(chunks * chunk), len(keys) - 1).reshape(chunks, chunk)
    return {site: int(most) for site, most in jax.device_get(_most(put(keys[rows], place), plan, sites)).items()}


def most_given(masks: Mapping[str, Any]) -> dict[str, int]:
    """The same for given masks {site: bool ``(m, *shape)``}, of NumPy or on the device."""
    rows = {site: mask if isinstance(mask, jax.Array) else np.asarray(mask) for site, mask in masks.items()}
    counts = {site: mask.reshape(len(mask), -1).sum(axis=-1).max() for site, mask in rows.items()}
    return {site: int(most) for site, most in jax.device_get(counts).items()}


def _most_kept(keys: jax.Array, plan: MaskPlan, sites: tuple[str, ...]) -> dict[str, jax.Array]:
    """int32 scalars, of keys ``(chunks, chunk, 2)``."""

    def most(keys: jax.Array) -> dict[str, jax.Array]:
        masks = draw_masks(keys, plan)
        return {site: jnp.sum(masks[site].reshape(len(keys), -1), -1, jnp.int32).max() for site in sites}

    return jax.tree.map(jnp.max, lax.map(most, keys))


def kept_indices(masks: jax.Array, k: int, padded: bool) -> jax.Array:
    """The indices of the nodes that a smaller network takes, ascending: bool ``(m, *shape)`` → int32 ``(m, k)``.

    They are those that masks keep, k in each; where it is padded at most k, and others fill them up.
    """
    flat = masks.reshape(len(masks), -1)
    ranks = jnp.cumsum(filled(flat, k) if padded else flat, axis=-1, dtype=jnp.int32)
    wanted = jnp.arange(1, k + 1, dtype=jnp.int32)
    return jax.vmap(lambda ranks: jnp.searchsorted(ranks, wanted).astype(jnp.int32))(ranks)


_keep_smallest = partial(jax.jit, static_argnums=1)(kept)
_masks = partial(jax.jit, static_argnums=1)(draw_masks)
_most = partial(jax.jit, static_argnums=(1, 2))(_most_kept)

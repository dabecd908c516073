"""Backends that draw wrong words, masks or weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import on_host, with_arguments, with_result
from weedout_core.backend import Backend, MaskPlan, SitePlan
from weedout_core.random import bits, fold_in


def with_sites(backend: Backend, change: Callable[[SitePlan], SitePlan]) -> Backend:
    """A backend that draws masks from a changed plan."""
    return with_arguments(
        backend, "masks_from_keys", lambda keys, plan: (keys, replace(plan, sites=tuple(map(change, plan.sites))))
    )


def with_masks(backend: Backend, change: Callable[[np.ndarray], np.ndarray]) -> Backend:
    """A backend that changes the masks it drew."""
    return with_result(
        backend, "masks_from_keys", lambda masks, *_: on_host(backend, lambda _, mask: change(mask), masks)
    )


def with_weights(backend: Backend, change: Callable[[str, np.ndarray], np.ndarray]) -> Backend:
    """A backend that changes the initial weights it drew."""
    return with_result(backend, "draw_parameters", lambda params, *_: on_host(backend, change, params))


def renamed_argument(backend: Backend) -> Backend:
    return replace(backend, keep_smallest=lambda bits, count: backend.keep_smallest(bits, count))


def counter_off_by_one(backend: Backend) -> Backend:
    return replace(backend, random_bits=lambda key, n: backend.random_bits(key, n + 1)[1:])


def draw_depends_on_count(backend: Backend) -> Backend:
    """As a generator that fills both halves of a block does."""

    def random_bits(key: Any, n: int) -> Any:
        words = backend.to_numpy(backend.random_bits(key, n))
        return backend.asarray(np.concatenate([words[::2], words[1::2]]))

    return replace(backend, random_bits=random_bits)


def unstable_tie(backend: Backend) -> Backend:
    def keep_smallest(bits: Any, k: int) -> Any:
        backwards = backend.keep_smallest(backend.to_numpy(bits)[::-1].copy(), k)
        return backend.asarray(backend.to_numpy(backwards)[::-1].copy())

    return replace(backend, keep_smallest=keep_smallest)


def signed_words(backend: Backend) -> Backend:
    return replace(
        backend, keep_smallest=lambda bits, k: backend.keep_smallest(backend.to_numpy(bits) ^ np.uint32(2**31), k)
    )


def off_by_one_count(backend: Backend) -> Backend:
    return with_sites(backend, lambda site: replace(site, kept=min(site.kept + 1, site.nodes)))


def truncated_count(backend: Backend) -> Backend:
    """floor where the contract rounds: kept one too many where η·n ends in a half or more."""
    return with_sites(backend, lambda site: replace(site, kept=max(1, site.kept - site.kept % 2)))


def float_rounded_threshold(backend: Backend) -> Backend:
    def rounded(site: SitePlan) -> SitePlan:
        return site if site.bound is None else replace(site, bound=min(int(np.float32(site.bound)), 2**32 - 1))

    return with_sites(backend, rounded)


def strict_threshold(backend: Backend) -> Backend:
    return with_sites(backend, lambda site: site if not site.bound else replace(site, bound=site.bound - 1))


def one_stream_for_all_sites(backend: Backend) -> Backend:
    return with_sites(backend, lambda site: replace(site, code=0))


def reused_key(backend: Backend) -> Backend:
    return with_arguments(backend, "masks_from_keys", lambda keys, plan: (np.repeat(keys[:1], len(keys), 0), plan))


def flipped_mask(backend: Backend) -> Backend:
    return with_masks(backend, np.logical_not)


def empty_site(backend: Backend) -> Backend:
    """Lets a site lose its last node."""

    def drop(mask: np.ndarray) -> np.ndarray:
        many = mask.reshape(len(mask), -1).sum(axis=1) > 1
        return mask & many.reshape(-1, *[1] * (mask.ndim - 1))

    return with_masks(backend, drop)


def _over_all(backend: Backend, order: Callable[[list[np.ndarray]], np.ndarray]) -> Backend:
    """A backend that keeps, where a plan has a total, the first so many nodes of an order of all nodes' words."""

    def masks_from_keys(keys: Any, plan: MaskPlan) -> Any:
        if plan.total is None:
            return backend.masks_from_keys(keys, plan)
        masks = {site.site: np.zeros((len(keys), site.nodes), np.bool_) for site in plan.sites}
        for row, key in enumerate(np.asarray(keys)):
            words = [bits(fold_in(key, site.code), site.nodes) for site in plan.sites]
            kept = np.zeros(plan.nodes, np.bool_)
            kept[order(words)[: plan.total]] = True
            ends = np.cumsum([site.nodes for site in plan.sites])[:-1]
            for site, part in zip(plan.sites, np.split(kept, ends), strict=True):
                masks[site.site][row] = part
        shapes = {site.site: (len(keys), *site.shape) for site in plan.sites}
        return {site: backend.asarray(mask.reshape(shapes[site])) for site, mask in masks.items()}

    return replace(backend, masks_from_keys=masks_from_keys)


def _ranked(words: list[np.ndarray]) -> np.ndarray:
    """The words of all sites, with 0 for each site's smallest."""
    return np.concatenate([np.where(np.arange(len(one)) == one.argmin(), 0, one.clip(1)) for one in words])


def forgets_the_node_each_site_keeps(backend: Backend) -> Backend:
    return _over_all(backend, lambda words: np.argsort(np.concatenate(words), kind="stable"))


def index_before_site(backend: Backend) -> Backend:
    """Of equal words at two sites the one with the lower index stays, where the order of the sites should decide."""
    return _over_all(
        backend, lambda words: np.lexsort((np.concatenate([np.arange(len(one)) for one in words]), _ranked(words)))
    )


def last_site_first(backend: Backend) -> Backend:
    """Of equal words at two sites the one of the later site stays."""
    return _over_all(backend, lambda words: np.lexsort((-np.arange(sum(map(len, words))), _ranked(words))))


def expected_counts(backend: Backend) -> Backend:
    """Takes what a site is expected to keep for what it keeps."""
    return with_arguments(backend, "masks_from_keys", lambda keys, plan: (keys, replace(plan, total=None)))


def other_scale(backend: Backend) -> Backend:
    return with_weights(backend, lambda path, value: value * np.float32(np.sqrt(0.5)))


def random_biases(backend: Backend) -> Backend:
    return with_weights(backend, lambda path, value: value + 0.01 * path.endswith("/bias"))


def norm_scale_is_zero(backend: Backend) -> Backend:
    """Takes whatever has no deviation for a bias."""
    return with_weights(backend, lambda path, value: value * (not path.endswith("/scale")))

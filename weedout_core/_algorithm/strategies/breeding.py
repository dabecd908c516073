"""Breeding: masks from masks, with as many nodes at each site. All of it is arithmetic of integers."""

import math
from collections.abc import Mapping

import numpy as np

from weedout_core._masks.plan import MaskPlan, SitePlan
from weedout_core._random.keys import of_site
from weedout_core._random.stream import bits

#: The masks of several candidates, {site: bool ``(candidates, nodes)``}.
Masks = Mapping[str, np.ndarray]


def tournaments(key: np.ndarray, fitness: np.ndarray, count: int) -> np.ndarray:
    """The winners of tournaments between two candidates each, drawn with replacement (De Jong, 2016).

    The rivals of tournament i are the high words of ``bits[2·i] × m`` and ``bits[2·i + 1] × m``. The fitter one wins,
    of equals the one of the lower index. NaN and infinities rank below any finite fitness.

    Args:
        key: uint32 ``(2,)``.
        fitness: float64 ``(m,)``.
        count: the number of tournaments.
    Returns:
        indices, int64 ``(count,)``.
    """
    words = bits(key, 2 * count).astype(np.uint64).reshape(count, 2)
    rivals = (words * np.uint64(len(fitness)) >> np.uint64(32)).astype(np.int64)
    first, second = rivals.min(axis=1), rivals.max(axis=1)
    usable = np.where(np.isfinite(fitness), fitness, -np.inf)
    winners, fitter = first.copy(), usable[second] > usable[first]
    winners[fitter] = second[fitter]
    return winners


def mutated(keys: np.ndarray, masks: Masks, plan: MaskPlan, mutation: float) -> dict[str, np.ndarray]:
    """Swap kept nodes for removed ones: those with the smallest words of each kind.

    Args:
        keys: of the children, uint32 ``(children, 2)``; each site draws its words from ``fold_in(key, code)``.
        masks: theirs, ``(children, nodes)`` of each site.
        plan: how many nodes a site keeps.
        mutation: the share of a site's kept nodes that are swapped; at least one is, where one is removed.
    """
    return {site.site: _swapped(keys, masks[site.site], site, swaps(site, mutation)) for site in plan.sites}


def swaps(site: SitePlan, mutation: float) -> int:
    """How many nodes of a site are swapped: ``floor(mutation · kept + 1/2)``, at least 1 if as many are removed."""
    return min(max(1, math.floor(mutation * site.kept + 0.5)), site.kept, site.nodes - site.kept)


def crossed(keys: np.ndarray, mothers: Masks, fathers: Masks, plan: MaskPlan) -> dict[str, np.ndarray]:
    """Uniform crossover that keeps the number of nodes (Syswerda, 1989, with repair).

    What both parents keep is kept, and what neither keeps is not. Of the nodes that one parent keeps, those with the
    smallest words are kept, half of them.

    Args:
        keys: of the children, uint32 ``(children, 2)``.
        mothers, fathers: {site: bool ``(children, nodes)``}, which keep equally many nodes.
    """
    found: dict[str, np.ndarray] = {}
    for site in plan.sites:
        one, other = mothers[site.site], fathers[site.site]
        differ = one ^ other
        words = bits(of_site(keys, site.code), site.nodes)
        found[site.site] = (one & other) | smallest(words, differ, np.count_nonzero(differ, axis=1) // 2)
    return found


def smallest(words: np.ndarray, among: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """Of some nodes of each row those with the smallest words, of equal words the first ones.

    Args:
        words: uint32 ``(rows, nodes)``.
        among: bool ``(rows, nodes)``.
        count: how many, for all rows or ``(rows,)``, at most as many as there are.
    """
    order = np.argsort(np.where(among, words.astype(np.uint64), np.uint64(2**32)), axis=1, kind="stable")
    nodes: int = words.shape[1]
    found = np.zeros(among.shape, dtype=np.bool_)
    np.put_along_axis(found, order, np.arange(nodes) < np.reshape(count, (-1, 1)), axis=1)
    return found


def _swapped(keys: np.ndarray, mask: np.ndarray, site: SitePlan, count: int) -> np.ndarray:
    words = bits(of_site(keys, site.code), site.nodes)
    return mask ^ smallest(words, mask, count) ^ smallest(words, ~mask, count)

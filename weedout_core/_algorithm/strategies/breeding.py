"""Breeding: masks from masks, which keep as many nodes as the plan says. All of it is arithmetic of integers.

Where a plan has a total, nodes of all sites compete with each other, and each site keeps one at least. Else nodes of
each site do. Under Bernoulli sampling none do: each node is decided by itself, and masks of the plan's law stay so.
"""

import math
from collections.abc import Sequence

import numpy as np

from weedout_core._algorithm.strategies.checks import checked_bred
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Numbers, Positive, Share
from weedout_core._masks.plan import HostedMasks, MaskPlan, SitePlan
from weedout_core._random.annotations import Key, Keys
from weedout_core._random.keys import of_site
from weedout_core._random.stream import bits
from weedout_core.errors import ConfigError


@guarded
def tournaments(key: Key, fitness: Numbers, count: Positive) -> np.ndarray:
    """The winners of tournaments between two candidates each, drawn with replacement (De Jong, 2016).

    The rivals of tournament i are the high words of ``bits[2·i] × m`` and ``bits[2·i + 1] × m``. The fitter one wins,
    of equals the one of the lower index. NaN and infinities rank below any finite fitness.

    Args:
        key: uint32 ``(2,)``.
        fitness: floats ``(m,)``, at least one.
        count: the number of tournaments.
    Returns:
        indices, int64 ``(count,)``.
    Raises:
        ConfigError: an argument is none of these.
    """
    if fitness.ndim != 1 or not len(fitness):
        raise ConfigError(f"fitness must be at least one float, (m,); got shape {fitness.shape}.")
    words = bits(key, 2 * count).astype(np.uint64).reshape(count, 2)
    rivals = (words * np.uint64(len(fitness)) >> np.uint64(32)).astype(np.int64)
    first, second = rivals.min(axis=1), rivals.max(axis=1)
    usable = np.where(np.isfinite(fitness), fitness, -np.inf)
    winners, fitter = first.copy(), usable[second] > usable[first]
    winners[fitter] = second[fitter]
    return winners


@guarded
def mutated(keys: Keys, masks: HostedMasks, plan: MaskPlan, mutation: Share) -> dict[str, np.ndarray]:
    """Swap kept nodes for removed ones: those with the smallest words of each kind.

    A node that alone is kept of its site, and for which none comes there, stays: of several the one with the largest
    word. Under Bernoulli sampling a share of the nodes is decided anew instead, each with the plan's probability.

    Args:
        keys: of the children, uint32 ``(children, 2)``; each site draws its words from ``fold_in(key, code)``.
        masks: theirs, ``(children, nodes)`` of each site.
        plan: how many nodes are kept.
        mutation: the share of the kept nodes that are swapped, of each site or of all; at least one is, where one is
            removed.
    Raises:
        ConfigError, MaskError: an argument is none of these, or a mask does not keep what the plan says.
    """
    masks = checked_bred("masks", masks, plan, _rows(keys))
    found: dict[str, np.ndarray] = {}
    for sites in _rivals(plan):
        words, before = _words(keys, sites), [masks[site.site] for site in sites]
        found |= _by_site(sites, _swapped(words, before, sites, plan, mutation))
    for site in _by_themselves(plan):
        (words,), before = _words(keys, [site]), masks[site.site]
        goes, comes = flips(site, mutation)
        after = np.where(before, words >= goes, words < comes)
        found[site.site] = after | (_last(words, before) & ~after.any(axis=1, keepdims=True))
    return found


def swaps(kept: int, nodes: int, mutation: float, sites: int = 1) -> int:
    """How many nodes are swapped: ``floor(mutation · kept + 1/2)``, at least 1 if as many are removed.

    Each of several sites keeps a node, so that of those kept ``sites − 1`` may have to stay.
    """
    return min(max(1, math.floor(mutation * kept + 0.5)), kept - sites + 1, nodes - kept)


def flips(site: SitePlan, mutation: float) -> tuple[int, int]:
    """Below which words a kept node is removed, and a removed one kept, if a share of the nodes is decided anew."""
    bound = 0 if site.bound is None else site.bound
    removed, kept = 2**32 - 1 - bound, bound + 1  # how many words of all 2^32 remove a node, and how many keep it
    return math.floor(mutation * removed + 0.5), math.floor(mutation * kept + 0.5)


@guarded
def crossed(keys: Keys, mothers: HostedMasks, fathers: HostedMasks, plan: MaskPlan) -> dict[str, np.ndarray]:
    """Uniform crossover that keeps the number of nodes (Syswerda, 1989, with repair).

    What both parents keep is kept, and what neither keeps is not. Of the nodes that one parent keeps, those with the
    smallest words are kept, half of them; first of all the first one of each site at which both keep nothing. Under
    Bernoulli sampling each node is the mother's where its word is below 2^31, else the father's.

    Args:
        keys: of the children, uint32 ``(children, 2)``.
        mothers, fathers: their masks, {site: bool ``(children, nodes)``}.
        plan: how many nodes these keep.
    Raises:
        ConfigError, MaskError: as :func:`mutated`.
    """
    mothers, fathers = (checked_bred("masks", one, plan, _rows(keys)) for one in (mothers, fathers))
    found: dict[str, np.ndarray] = {}
    for sites in _rivals(plan):
        words = _words(keys, sites)
        both = [mothers[site.site] & fathers[site.site] for site in sites]
        differ = [mothers[site.site] ^ fathers[site.site] for site in sites]
        first = [
            _first(*one) & ~same.any(axis=1, keepdims=True) for *one, same in zip(words, differ, both, strict=True)
        ]
        left = _joined(differ) & ~_joined(first)
        half = np.count_nonzero(_joined(differ), axis=1) // 2 - np.count_nonzero(_joined(first), axis=1)
        rest = smallest(_joined(words), left, half)
        found |= _by_site(sites, _joined(both) | _joined(first) | rest)
    for site in _by_themselves(plan):
        (words,), one, other = _words(keys, [site]), mothers[site.site], fathers[site.site]
        child = np.where(words < 2**31, one, other)
        found[site.site] = child | (_first(words, one | other) & ~child.any(axis=1, keepdims=True))
    return found


@guarded
def thinned(keys: Keys, masks: HostedMasks, before: MaskPlan, after: MaskPlan) -> dict[str, np.ndarray]:
    """Masks of one plan become masks of another, as where the sparsity rises: a random part of their nodes is removed.

    Of the kept nodes those with the smallest words stay; where more are to be kept, all of them, and of the removed
    ones those with the smallest words come. Where there is a total, the first kept node of each site stays in any case.
    Under Bernoulli sampling each kept node stays with the probability that makes the law that of the new plan.

    Args:
        keys: of the masks, uint32 ``(rows, 2)``.
        masks: {site: bool ``(rows, nodes)``}.
        before: how many nodes they keep.
        after: how many they shall keep, at the same sites by the same sampling.
    Raises:
        ConfigError, MaskError: as :func:`mutated`.
    """
    masks = checked_bred("masks", masks, before, _rows(keys))
    found: dict[str, np.ndarray] = {}
    for sites in _rivals(after):
        words, kept = _words(keys, sites), [masks[site.site] for site in sites]
        first = _joined([_first(*one) for one in zip(words, kept, strict=True)])
        rank = 2 - _joined(kept).astype(np.uint64) - first.astype(np.uint64)
        order = _joined(words).astype(np.uint64) + (rank << np.uint64(32))
        count = sites[0].kept if after.total is None else after.total
        found |= _by_site(sites, _lowest(order, count))
    for site, once in zip(_by_themselves(after), _by_themselves(before), strict=True):
        (words,), kept = _words(keys, [site]), masks[site.site]
        stays, comes = _chances(once, site)
        mask = np.where(kept, words < stays, words < comes)
        found[site.site] = mask | (_first(words, kept) & ~mask.any(axis=1, keepdims=True))
    return found


def smallest(words: np.ndarray, among: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """Of some nodes of each row those with the smallest words, of equal words the first ones.

    Args:
        words: uint32 ``(rows, nodes)``.
        among: bool ``(rows, nodes)``.
        count: how many, for all rows or ``(rows,)``, at most as many as there are.
    """
    return _lowest(np.where(among, words.astype(np.uint64), np.uint64(2**32)), count)


def _lowest(ranks: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """Of the nodes of each row those of the lowest ranks, of equal ones the first."""
    order = np.argsort(ranks, axis=1, kind="stable")
    nodes: int = ranks.shape[1]
    found = np.zeros(ranks.shape, dtype=np.bool_)
    np.put_along_axis(found, order, np.arange(nodes) < np.reshape(count, (-1, 1)), axis=1)
    return found


def _chances(before: SitePlan, after: SitePlan) -> tuple[int, int]:
    """Below which words a kept node stays, and a removed one comes, where the probability of a node changes."""
    one, other = (0 if site.bound is None else site.bound + 1 for site in (before, after))  # of 2^32 words
    if other <= one:
        return (other << 32) // one, 0
    return 2**32, ((other - one) << 32) // (2**32 - one)


def _rows(keys: np.ndarray) -> int:
    if keys.ndim != 2 or not len(keys):
        raise ConfigError(f"keys must be one for each child, (children, 2); got shape {keys.shape}.")
    return len(keys)


def _rivals(plan: MaskPlan) -> Sequence[Sequence[SitePlan]]:
    """The sites among whose nodes one number is kept."""
    return [plan.sites] if plan.total is not None else [[site] for site in plan.sites if site.bound is None]


def _by_themselves(plan: MaskPlan) -> Sequence[SitePlan]:
    """The sites whose nodes are decided one by one."""
    return [site for site in plan.sites if site.bound is not None]


def _words(keys: np.ndarray, sites: Sequence[SitePlan]) -> list[np.ndarray]:
    return [bits(of_site(keys, site.code), site.nodes) for site in sites]


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The nodes of several sites as those of one."""
    return np.concatenate(arrays, axis=1)


def _by_site(sites: Sequence[SitePlan], joined: np.ndarray) -> dict[str, np.ndarray]:
    """The reverse of :func:`_joined`."""
    cuts = np.cumsum([site.nodes for site in sites])[:-1]
    return {site.site: mask for site, mask in zip(sites, np.split(joined, cuts, axis=1), strict=True)}


def _swapped(
    words: Sequence[np.ndarray], masks: Sequence[np.ndarray], sites: Sequence[SitePlan], plan: MaskPlan, mutation: float
) -> np.ndarray:
    before, joined = _joined(masks), _joined(words)
    count = swaps(sites[0].kept if plan.total is None else plan.total, before.shape[1], mutation, len(sites))
    come = smallest(joined, ~before, count)
    fresh = _by_site(sites, come).values()
    stay = [_last(*one) & ~new.any(axis=1, keepdims=True) for *one, new in zip(words, masks, fresh, strict=True)]
    gone = smallest(joined, before & ~_joined(stay), count)
    return before ^ come ^ gone


def _first(words: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Of some nodes of each row the one with the smallest word, of equal words the first one; none of none."""
    place = np.where(among, words.astype(np.int64), 2**32).argmin(axis=1)
    found = np.zeros(among.shape, dtype=np.bool_)
    np.put_along_axis(found, place[:, None], values=True, axis=1)
    return among & found


def _last(words: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Of some nodes of each row the one with the largest word, of equal words the last one; none of none."""
    return _first(~words[:, ::-1], among[:, ::-1])[:, ::-1]

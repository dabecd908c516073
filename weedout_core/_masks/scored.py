"""Masks from scores: at each site, or over all sites, the nodes with the highest, as many as a plan keeps.

A method that rates nodes needs no more to be compared with Random Search, at the same number of nodes in each layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from weedout_core._guard.composed import mapping
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import HOSTED, AtLeastZero
from weedout_core._guard.showing import layout, reordered
from weedout_core._masks.plan import MaskPlan
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_site
from weedout_core._random.stream import bits
from weedout_core.errors import ConfigError, MaskError

Scores = Annotated[Mapping[str, Any], mapping(HOSTED, MaskError)]


@guarded
def masks_from_scores(scores: Scores, plan: MaskPlan, key: Key) -> dict[str, np.ndarray]:
    """Keep the nodes of each site that have the highest scores; of all sites together where the plan has a total.

    Nodes of one score are kept in the order of ``(bits, index)``, as random masks are, by the words of the site under
    the key: where all scores are equal, the mask is the random one of that key. By the index alone, where the score of
    a channel is that of each of its positions, the top rows of images would be kept. Over all sites each site's highest
    stays, and nodes of one score are kept in the order of ``(bits, order of the site, index)``.

    Args:
        scores: {site: numbers ``shape``} of any framework; they may be infinite.
        plan: from ``wc.mask_plan``, with exact sampling: it says how many nodes are kept.
        key: of the mask.
    Returns:
        {site: bool ``shape``}, True where a node is kept.
    Raises:
        MaskError: a site is missing or not in the plan, scores have another shape than their site, or one is NaN.
        ConfigError: the plan is one for Bernoulli sampling, which keeps no fixed number.
    """
    checked = _checked(scores, plan)
    words = [bits(of_site(key, site.code), site.nodes) for site in plan.sites]
    kept = _highest(checked, words, plan)
    return {site.site: mask.reshape(site.shape) for site, mask in zip(plan.sites, kept, strict=True)}


@guarded
def near_threshold(scores: Scores, plan: MaskPlan, bound: AtLeastZero) -> dict[str, int]:
    """How many nodes of each site another computation of the scores may keep or remove instead.

    Scores of equal value are taken to be equal in the other computation too: their order is that of their words.

    Args:
        scores, plan: as for :func:`masks_from_scores`.
        bound: by how much a score may differ in the other computation, ≥ 0.
    Returns:
        {site: nodes kept that may fall below the highest score removed, and nodes removed that may rise above the
        lowest score kept}. Over all sites a node that alone is kept of its site competes with that site's nodes. Of
        equal scores at the threshold the first nodes are taken to be those kept.
    Raises:
        MaskError, ConfigError: as :func:`masks_from_scores`.
    """
    checked = [rated.astype(np.float64) for rated in _checked(scores, plan)]
    kept = _highest(checked, [np.zeros(site.nodes, np.uint32) for site in plan.sites], plan)
    near, rated = np.zeros(plan.nodes, np.bool_), np.concatenate([np.zeros(0), *checked])
    for stays, goes in rivals(kept, plan):
        near |= _near(rated, stays, goes, bound)
    return {site.site: int(found.sum()) for site, found in zip(plan.sites, parts(near, plan), strict=True)}


def rivals(kept: Sequence[np.ndarray], plan: MaskPlan) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Nodes that compete: those kept, any of which might go for any of those removed, bool ``(nodes of all sites,)``.

    They are those of a site. Where the plan has a total they are those of all sites, but for a node that alone is kept
    of its site: it competes with the nodes of that site.

    Args:
        kept: the masks of the sites, bool ``(nodes,)`` each.
        plan: by which they were made.
    """
    mask = np.concatenate([np.zeros(0, np.bool_), *kept])
    place = np.repeat(np.arange(len(kept)), [site.nodes for site in plan.sites])
    alone = [plan.total is None or one.sum() == 1 for one in kept]
    if plan.total is not None:
        yield mask & ~np.array(alone)[place], ~mask
    for own in (place == number for number, one in enumerate(alone) if one):
        yield mask & own, ~mask & own


def parts(nodes: np.ndarray, plan: MaskPlan) -> list[np.ndarray]:
    """An array over the nodes of all sites in parts, one for each site."""
    return np.split(nodes, np.cumsum([site.nodes for site in plan.sites], dtype=int)[:-1])[: len(plan.sites)]


def check_exact(plan: MaskPlan) -> None:
    """Raise ConfigError for a plan of Bernoulli sampling."""
    if any(site.bound is not None for site in plan.sites):
        raise ConfigError("masks from scores keep a fixed number of nodes: make the plan with sampling='exact'.")


def _checked(scores: Scores, plan: MaskPlan) -> list[np.ndarray]:
    """The scores of each site, ``(nodes,)``."""
    check_exact(plan)
    if set(scores) != set(plan.kept):
        raise MaskError(
            f"scores must be of the sites {sorted(plan.kept)}; got {sorted(scores)}. "
            "Give an entry for each node of every site, not for each weight."
        )
    for site in plan.sites:
        rated = scores[site.site]
        if rated.shape != site.shape:
            raise MaskError(
                f"the scores of site {site.site!r} must have shape {layout(site.shape)}; got "
                f"{rated.shape}.{reordered(site.shape, rated.shape)}"
            )
        if missing := int(np.isnan(rated).sum()):
            raise MaskError(f"scores must be numbers; {missing} of the {site.nodes} of site {site.site!r} are NaN.")
    return [scores[site.site].reshape(-1) for site in plan.sites]


def _highest(rated: Sequence[np.ndarray], words: Sequence[np.ndarray], plan: MaskPlan) -> list[np.ndarray]:
    """The masks of the sites, bool ``(nodes,)`` each."""
    pairs = list(zip(rated, words, strict=True))
    if plan.total is None:
        return [_first(site.kept, *pair) for site, pair in zip(plan.sites, pairs, strict=True)]
    highest = np.concatenate([_first(1, *pair) for pair in pairs])
    ranked = np.concatenate(words).clip(1)  # as where masks are drawn
    return parts(_first(plan.total, np.concatenate(rated), ranked, highest), plan)


def _first(count: int, rated: np.ndarray, words: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """Keep so many nodes, bool ``(nodes,)``: those ``before`` all others, and then by score, word and index."""
    # From the last node to the first: of equal scores the smallest word, and of equal words the first node, come last.
    keys = (~words[::-1], rated[::-1], *(() if before is None else (before[::-1],)))
    order = len(rated) - 1 - np.lexsort(keys)
    mask = np.zeros(len(rated), dtype=np.bool_)
    mask[order[len(rated) - count :]] = True
    return mask


def _near(rated: np.ndarray, stays: np.ndarray, goes: np.ndarray, bound: float) -> np.ndarray:
    """The nodes, one kept and one removed, of unequal scores that lie within twice the bound of each other."""
    stay, removed, near = np.sort(rated[stays]), np.sort(rated[goes]), np.zeros_like(stays)
    below = np.append(-np.inf, removed)[np.searchsorted(removed, rated[stays])]  # the highest removed below each
    above = np.append(stay, np.inf)[np.searchsorted(stay, rated[goes], side="right")]
    with np.errstate(invalid="ignore"):  # ∞ − ∞ where there is none
        near[stays], near[goes] = rated[stays] - below <= 2 * bound, above - rated[goes] <= 2 * bound
    return near

"""Masks from scores: at each site the nodes with the highest, as many as a plan keeps.

A method that rates nodes needs no more to be compared with Random Search, at the same number of nodes in each layer.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from weedout_core._guard.composed import mapping
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import HOSTED, AtLeastZero
from weedout_core._guard.shown import layout, reordered
from weedout_core._masks.plan import MaskPlan, SitePlan
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_site
from weedout_core._random.stream import bits
from weedout_core.errors import ConfigError, MaskError

Scores = Annotated[Mapping[str, Any], mapping(HOSTED, MaskError)]


@guarded
def masks_from_scores(scores: Scores, plan: MaskPlan, key: Key) -> dict[str, np.ndarray]:
    """Keep the nodes of each site that have the highest scores.

    Nodes of one score are kept in the order of ``(bits, index)``, as random masks are, by the words of the site under
    the key: where all scores are equal, the mask is the random one of that key. By the index alone, where the score of
    a channel is that of each of its positions, the top rows of images would be kept.

    Args:
        scores: {site: numbers ``shape``} of any framework; they may be infinite.
        plan: from ``wc.mask_plan``, with exact sampling: it says how many nodes each site keeps.
        key: of the mask.
    Returns:
        {site: bool ``shape``}, True where a node is kept.
    Raises:
        MaskError: a site is missing or not in the plan, scores have another shape than their site, or one is NaN.
        ConfigError: the plan is one for Bernoulli sampling, which keeps no fixed number.
    """
    return {site.site: _highest(rated, site, key) for site, rated in _checked(scores, plan)}


@guarded
def near_threshold(scores: Scores, plan: MaskPlan, bound: AtLeastZero) -> dict[str, int]:
    """How many nodes of each site another computation of the scores may keep or remove instead.

    Scores of equal value are taken to be equal in the other computation too: their order is that of their words.

    Args:
        scores, plan: as for :func:`masks_from_scores`.
        bound: by how much a score may differ in the other computation, ≥ 0.
    Returns:
        {site: nodes kept that may fall below the highest score removed, and nodes removed that may rise above the
        lowest score kept}.
    Raises:
        MaskError, ConfigError: as :func:`masks_from_scores`.
    """
    return {site.site: _near(rated.astype(np.float64), site.kept, bound) for site, rated in _checked(scores, plan)}


def check_exact(plan: MaskPlan) -> None:
    """Raise ConfigError for a plan of Bernoulli sampling."""
    if plan.kept and not plan.counts:
        raise ConfigError("masks from scores keep a fixed number of nodes: make the plan with sampling='exact'.")


def _checked(scores: Scores, plan: MaskPlan) -> list[tuple[SitePlan, np.ndarray]]:
    """Each site with its scores ``(nodes,)``."""
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
    return [(site, scores[site.site].reshape(-1)) for site in plan.sites]


def _highest(rated: np.ndarray, site: SitePlan, key: Key) -> np.ndarray:
    words = bits(of_site(key, site.code), site.nodes)
    # From the last node to the first: of equal scores the smallest word, and of equal words the first node, come last.
    order = site.nodes - 1 - np.lexsort((~words[::-1], rated[::-1]))
    mask = np.zeros(site.nodes, dtype=np.bool_)
    mask[order[site.nodes - site.kept :]] = True
    return mask.reshape(site.shape)


def _near(rated: np.ndarray, kept: int, bound: float) -> int:
    """How many nodes, one kept and one removed, of unequal scores lie within twice the bound of each other."""
    ordered = np.sort(rated)
    removed, stay = ordered[: len(rated) - kept], ordered[len(rated) - kept :]
    below = np.append(-np.inf, removed)[np.searchsorted(removed, stay)]  # the highest removed below each that stays
    above = np.append(stay, np.inf)[np.searchsorted(stay, removed, side="right")]
    with np.errstate(invalid="ignore"):  # ∞ − ∞ where there is none
        falls, rises = stay - below <= 2 * bound, above - removed <= 2 * bound
    return int(falls.sum() + rises.sum())

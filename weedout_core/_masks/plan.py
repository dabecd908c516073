"""Masks: which nodes a candidate keeps.

A *site* is the name of a Mask layer. A *space* maps each site to the shape of its mask. A *plan* adds the integer by
which each mask is drawn: how many nodes are kept, or a threshold for their random words. It is computed once, on the
host, in float64. Backends receive plans, never sparsities, so no rounding of floats can change a mask.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from array_api_compat import array_namespace

from weedout_core._guard.composed import mapping
from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._guard.kinds import ARRAY, BOOLEANS, Name, Positive, Word
from weedout_core._guard.showing import shown
from weedout_core._masks.allocation import Allocation, Allotted, Space, Sparsity, allotted
from weedout_core._random.annotations import TracedKeys
from weedout_core._random.keys import check_codes, check_names, of_site, path_code
from weedout_core._random.smallest import keep_smallest
from weedout_core._random.stream import bits
from weedout_core.errors import ConfigError, MaskError, WeedoutWarning

#: {site: bool array}, of any framework. Whether masks fit a network is checked where the network is known.
Masks = Annotated[Mapping[str, Any], mapping(ARRAY, MaskError)]


#: The masks of one candidate, in NumPy.
HostedMasks = Annotated[Mapping[str, np.ndarray], mapping(BOOLEANS, MaskError)]


#: Whether a site keeps an exact number of nodes, or each node is kept by a draw of its own.
Sampling = Literal["exact", "bernoulli"]


@dataclass(frozen=True)
class SitePlan:
    """How one site's mask is drawn.

    Attributes:
        site: the name of the site.
        shape: the shape of the mask.
        code: the number that is folded into a candidate's key for this site: the CRC-32 of the name.
        kept: how many nodes are kept (exact sampling), or expected to be (Bernoulli, or a plan with a total): the
            site's portion, rounded, in [1, nodes].
        bound: None for exact sampling. For Bernoulli sampling, a node is kept if its random word is at most this.
    """

    site: Name
    shape: tuple[Positive, ...]
    code: Word
    kept: Positive
    bound: Word | None

    def __post_init__(self) -> None:
        convert_fields(self, f" of site {shown(self.site)}")
        if self.kept > self.nodes:
            raise ConfigError(f"kept of site {self.site!r} must be at most its {self.nodes} nodes; got {self.kept}.")

    @property
    def nodes(self) -> int:
        """Nodes of the site."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class MaskPlan:
    """How a candidate's masks are drawn. Hashable, so that a program that is compiled for it can be cached.

    Attributes:
        sites: how the mask of each site is drawn, in the order of the layers.
        total: None where each site is drawn by itself. Else how many nodes are kept over all sites, in [sites, nodes]:
            each site's node with the smallest (word, index), and of all others those with the smallest (word, order of
            the site, index), where the words 0 and 1 count as equal.
    """

    sites: tuple[SitePlan, ...]
    total: Positive | None = None

    def __post_init__(self) -> None:
        convert_fields(self)
        check_names([site.site for site in self.sites])
        if self.total is None:
            return
        if not len(self.sites) <= self.total <= self.nodes:
            raise ConfigError(
                f"total must be at least the {len(self.sites)} sites, which keep a node each, and at most their "
                f"{self.nodes} nodes; got {self.total}."
            )
        if any(site.bound is not None for site in self.sites):
            raise ConfigError("a plan with a total has no bounds: its nodes are not decided one by one. Leave one out.")

    @property
    def nodes(self) -> int:
        """Nodes over all sites."""
        return sum(site.nodes for site in self.sites)

    @property
    def nodes_kept(self) -> int:
        """Nodes kept over all sites (expected ones under Bernoulli sampling)."""
        return sum(site.kept for site in self.sites) if self.total is None else self.total

    @property
    def kept(self) -> dict[str, int]:
        """Nodes kept per site (expected ones under Bernoulli sampling, and where there is a total)."""
        return {site.site: site.kept for site in self.sites}

    @property
    def counts(self) -> dict[str, int]:
        """Nodes that every candidate keeps per site; {} where candidates differ (Bernoulli sampling, or a total)."""
        differ = self.total is not None or any(site.bound is not None for site in self.sites)
        return {} if differ else self.kept


@guarded
def mask_plan(
    space: Space, sparsity: Sparsity, sampling: Sampling = "exact", allocation: Allocation = "uniform"
) -> MaskPlan:
    """Decide how many nodes each site keeps (exact), or the threshold for its random words (Bernoulli).

    Paper, section 3: η, "the ratio of inactive nodes".
    Exact: of n nodes, ``floor(η·n + 1/2)`` are removed. Bernoulli: a node is kept with probability 1 − η,
    that is, if its random word is below ``round((1 − η)·2^32)``. In both at least one node stays at each site.

    Args:
        space: {site: the shape of its mask}, from :func:`mask_space`.
        sparsity: η, the fraction of nodes removed, in [0, 1), for all sites or {site: η}.
        sampling: "exact" or "bernoulli".
        allocation: "uniform", the same portion at each site, or the one given for it; "global", where n is the nodes of
            all sites, and the draw decides how many of each; ``wc.erk(net)``; or a function of the space and the
            sparsity that gives the nodes kept, {site: count}. Under Bernoulli sampling a node of a site that keeps k of
            n is kept with probability k/n.
    Raises:
        ConfigError: a sparsity is out of range, a site has no sparsity or is unknown, two sites share a CRC-32, the
            allocation does not go with the sampling or the sparsity, or a function failed or gave no such counts.
    Warns:
        WeedoutWarning: all nodes of a site would be removed, and one is kept; a sparsity above 0 removes no node; or a
            function keeps other than the portion that the sparsity stands for.
    """
    check_sampling(sampling, allocation)
    check_codes(tuple(space))
    found = allotted(space, sparsity, allocation)
    _warn_of_last_nodes(space, sparsity, found)
    sites = tuple(_site_plan(site, shape, found, sampling) for site, shape in space.items())
    plan = MaskPlan(sites, None if found.total is None or not space else max(found.total, len(space)))
    left = sum(found.kept.values()) if found.total is None else found.total
    asked = any(sparsity.values()) if isinstance(sparsity, Mapping) else sparsity > 0
    if asked and space and left == plan.nodes and sampling == "exact":
        rule = ": of n nodes of a site floor(sparsity × n + 1/2) are removed, which is 0 at each"
        warnings.warn(
            f"sparsity {shown(sparsity)} removes none of the {plan.nodes} nodes{rule * (allocation == 'uniform')}. "
            "Raise the sparsity, or use larger layers.",
            WeedoutWarning,
            stacklevel=3,
        )
    return plan


def check_sampling(sampling: str, allocation: Allocation) -> None:
    """Raise ConfigError where an allocation does not go with a sampling."""
    if allocation == "global" and sampling == "bernoulli":
        raise ConfigError(
            'allocation="global" needs sampling="exact"; got "bernoulli", which decides on each node by itself, at '
            'whatever site it is: it is the same as with allocation="uniform". Take that.'
        )


def _warn_of_last_nodes(space: Space, sparsity: Sparsity, found: Allotted) -> None:
    """Warn where all nodes of a site would be removed."""
    said = [
        f"sparsity {sparsity[site] if isinstance(sparsity, Mapping) else sparsity} would remove all "
        f"{math.prod(shape)} nodes of site {site!r}; one is kept."
        for site, shape in space.items()
        if found.kept[site] < 1
    ]
    if found.total is not None and found.total < len(space):
        said = [f"sparsity {sparsity} would keep {found.total} nodes at {len(space)} sites; one of each is kept."]
    for sentence in said:
        warnings.warn(sentence, WeedoutWarning, stacklevel=4)


def _site_plan(site: str, shape: tuple[int, ...], found: Allotted, sampling: Sampling) -> SitePlan:
    share = found.share[site]
    bound = None if sampling == "exact" else min(max(math.floor(share * 2**32 + 0.5), 1), 2**32) - 1
    return SitePlan(site, shape, path_code(site), max(found.kept[site], 1), bound)


def site_mask(bits: Any, site: SitePlan) -> Any:
    """One site's mask from its bits: uint32 ``(*batch, nodes)`` → bool ``(*batch, *shape)``.

    Under Bernoulli sampling the node with the smallest bits is always kept. It is below the bound whenever
    any node is, so this adds a node only where none would be left.
    """
    xp = array_namespace(bits)
    if site.bound is None:
        mask = keep_smallest(bits, site.kept)
    else:
        mask = (bits <= xp.asarray(site.bound, dtype=xp.uint32)) | keep_smallest(bits, 1)
    return xp.reshape(mask, (*mask.shape[:-1], *site.shape))


def over_all_masks(words: Sequence[Any], plan: MaskPlan, total: int) -> dict[str, Any]:
    """The masks of all sites from their bits, uint32 ``(*batch, nodes)`` each, where the plan has a total.

    Each site's smallest is made the only kind of word that is 0, so that the smallest of all are found at once.
    """
    xp = array_namespace(*words)
    zero, one = (xp.asarray(value, dtype=xp.uint32) for value in (0, 1))
    ranked = [xp.where(keep_smallest(each, 1), zero, xp.where(each == zero, one, each)) for each in words]
    kept, masks, first = keep_smallest(xp.concat(ranked, axis=-1), total), dict[str, Any](), 0
    for site in plan.sites:
        mask = kept[..., first : first + site.nodes]
        masks[site.site] = xp.reshape(mask, (*mask.shape[:-1], *site.shape))
        first += site.nodes
    return masks


@guarded
def masks_from_keys(keys: TracedKeys, plan: MaskPlan) -> dict[str, Any]:
    """Draw the masks of candidates from their keys. Algorithm 1, lines 1–2 (RandomSubNetwork).

    Args:
        keys: uint32 ``(*batch, 2)``, one for each candidate. A site's key is ``fold_in(key, crc32(site))``.
        plan: from :func:`mask_plan`.
    Returns:
        {site: bool ``(*batch, *shape)``}, True where a node is kept.
    Raises:
        ConfigError: ``keys`` is not an array of uint32, or ``plan`` is not a MaskPlan.
    """
    words = [bits(of_site(keys, site.code), site.nodes) for site in plan.sites]
    if plan.total is not None:
        return over_all_masks(words, plan, plan.total)
    return {site.site: site_mask(one, site) for one, site in zip(words, plan.sites, strict=True)}


@guarded
def achieved_sparsity(masks: HostedMasks) -> float:
    """The fraction of nodes removed over all sites of one candidate's masks, in [0, 1]; 0 if there is no site.

    Args:
        masks: {site: bool array}, True where a node is kept.
    Raises:
        MaskError: a mask is not an array of booleans.
    """
    nodes = sum(mask.size for mask in masks.values())
    return 1 - sum(int(np.count_nonzero(mask)) for mask in masks.values()) / nodes if nodes else 0.0

"""Masks: which nodes a candidate keeps.

A *site* is the name of a Mask layer. A *space* maps each site to the shape of its mask. A *plan* adds the integer by
which each mask is drawn: how many nodes are kept, or a threshold for their random words. It is computed once, on the
host, in float64. Backends receive plans, never sparsities, so no rounding of floats can change a mask.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from array_api_compat import array_namespace

from weedout_core._guard.composed import either, mapping
from weedout_core._guard.guarded import convert_fields, guarded, kind_of
from weedout_core._guard.kinds import ARRAY, BOOLEANS, Eta, Kind, Name, Positive, Word
from weedout_core._guard.shown import shown
from weedout_core._random.annotations import TracedKeys
from weedout_core._random.keys import check_codes, check_names, of_site, path_code
from weedout_core._random.smallest import keep_smallest
from weedout_core._random.stream import bits
from weedout_core.errors import ConfigError, MaskError, WeedoutWarning

_SHAPES = mapping(kind_of(tuple[Positive, ...]))
#: {site: the shape of its mask}, from :func:`mask_space`.
Space = Annotated[Mapping[str, tuple[int, ...]], replace(_SHAPES, remedy="Make one by wc.mask_space(net).")]


#: {site: bool array}, of any framework. Whether masks fit a network is checked where the network is known.
Masks = Annotated[Mapping[str, Any], mapping(ARRAY, MaskError)]


#: The masks of one candidate, in NumPy.
HostedMasks = Annotated[Mapping[str, np.ndarray], mapping(BOOLEANS, MaskError)]


_ETA = either(kind_of(Eta), mapping(kind_of(Eta)))
#: η, the fraction of nodes removed, in [0, 1): one number for all sites, or {site: η}.
Sparsity = Annotated[
    float | Mapping[str, float],
    Kind("the fraction removed, in [0, 1), or one by site", _ETA.convert, remedy="Write 80 % as 0.8."),
]


#: Whether a site keeps an exact number of nodes, or each node is kept by a draw of its own.
Sampling = Literal["exact", "bernoulli"]


@dataclass(frozen=True)
class SitePlan:
    """How one site's mask is drawn.

    Attributes:
        site: the name of the site.
        shape: the shape of the mask.
        code: the number that is folded into a candidate's key for this site: the CRC-32 of the name.
        kept: how many nodes are kept (exact sampling), or expected to be (Bernoulli), in [1, nodes].
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
    """

    sites: tuple[SitePlan, ...]

    def __post_init__(self) -> None:
        convert_fields(self)
        check_names([site.site for site in self.sites])

    @property
    def nodes(self) -> int:
        """Nodes over all sites."""
        return sum(site.nodes for site in self.sites)

    @property
    def kept(self) -> dict[str, int]:
        """Nodes kept per site (expected ones under Bernoulli sampling)."""
        return {site.site: site.kept for site in self.sites}

    @property
    def counts(self) -> dict[str, int]:
        """Nodes that every candidate keeps per site; {} where candidates differ (Bernoulli sampling)."""
        return {} if any(site.bound is not None for site in self.sites) else self.kept


@guarded
def mask_plan(space: Space, sparsity: Sparsity, sampling: Sampling = "exact") -> MaskPlan:
    """Decide how many nodes each site keeps (exact), or the threshold for its random words (Bernoulli).

    Paper, section 3: η, "the ratio of inactive nodes".
    Exact: of n nodes, ``floor(η·n + 1/2)`` are removed. Bernoulli: a node is kept with probability 1 − η,
    that is, if its random word is below ``round((1 − η)·2^32)``. In both at least one node stays.

    Args:
        space: {site: the shape of its mask}, from :func:`mask_space`.
        sparsity: η, the fraction of nodes removed, in [0, 1), for all sites or {site: η}.
        sampling: "exact" or "bernoulli".
    Raises:
        ConfigError: a sparsity is out of range, a site has no sparsity or is unknown, or two sites share a CRC-32.
    Warns:
        WeedoutWarning: all nodes of a site would be removed, and one is kept; or a sparsity above 0 removes no node.
    """
    per_site = by_site(space, sparsity)
    check_codes(tuple(space))
    plan = MaskPlan(tuple(_site_plan(site, shape, per_site[site], sampling) for site, shape in space.items()))
    nothing = not any(_removed(per_site[site.site], site.nodes) for site in plan.sites)
    if nothing and any(per_site.values()) and sampling == "exact":
        warnings.warn(
            f"sparsity {shown(sparsity)} removes none of the {plan.nodes} nodes: of n nodes of a site "
            "floor(sparsity × n + 1/2) are removed, which is 0 at each. Raise the sparsity, or use larger layers.",
            WeedoutWarning,
            stacklevel=3,
        )
    return plan


def by_site(space: Space, sparsity: Sparsity) -> dict[str, float]:
    """{site: η} in the order of the space. Raises ConfigError unless a mapping names exactly the sites of the space."""
    if not isinstance(sparsity, Mapping):
        return dict.fromkeys(space, sparsity)
    if set(sparsity) != set(space):
        raise ConfigError(f"per-site sparsity must name the sites {sorted(space)}; got {sorted(sparsity)}.")
    return {site: sparsity[site] for site in space}


def _site_plan(site: str, shape: tuple[int, ...], sparsity: float, sampling: Sampling) -> SitePlan:
    nodes = math.prod(shape)
    kept = nodes - _removed(sparsity, nodes)
    if kept < 1:
        warnings.warn(
            f"sparsity {sparsity} would remove all {nodes} nodes of site {site!r}; one is kept.",
            WeedoutWarning,
            stacklevel=3,
        )
    bound = None if sampling == "exact" else min(max(math.floor((1 - sparsity) * 2**32 + 0.5), 1), 2**32) - 1
    return SitePlan(site, shape, path_code(site), max(kept, 1), bound)


def _removed(sparsity: float, nodes: int) -> int:
    return math.floor(sparsity * nodes + 0.5)


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
    return {site.site: site_mask(bits(of_site(keys, site.code), site.nodes), site) for site in plan.sites}


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

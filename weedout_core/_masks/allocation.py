"""Allocation: how many nodes each site keeps at a sparsity.

Paper, section 5: "we controlled the sparsity level in the networks by removing a fixed portion of nodes from the
network, per each layer. One can achieve the same level of sparsity, but from a global perspective, i.e. an arbitrary
number of nodes from each layer would be removed".
"""

import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple

from weedout_core._guard.composed import either, mapping
from weedout_core._guard.guarded import kind_of
from weedout_core._guard.kinds import POSITIVE, Eta, Kind, Positive
from weedout_core._guard.own_functions import call_own, named_or_own, place_of_own
from weedout_core._guard.showing import shown
from weedout_core.errors import ConfigError, WeedoutWarning

_SHAPES = mapping(kind_of(tuple[Positive, ...]))
#: {site: the shape of its mask}, from :func:`mask_space`.
Space = Annotated[Mapping[str, tuple[int, ...]], replace(_SHAPES, remedy="Make one by wc.mask_space(net).")]


_ETA = either(kind_of(Eta), mapping(kind_of(Eta)))
#: η, the fraction of nodes removed, in [0, 1): one number for all sites, or {site: η}.
Sparsity = Annotated[
    float | Mapping[str, float],
    Kind("the fraction removed, in [0, 1), or one by site", _ETA.convert, remedy="Write 80 % as 0.8."),
]


#: Of the mask space and the sparsity: how many nodes each site keeps.
Counting = Callable[[Mapping[str, tuple[int, ...]], float], Mapping[str, int]]


#: The allocations that have a name.
ALLOCATIONS = ("uniform", "global", "erk", "smart_ratio")

#: One of these or a function. A record of results names a function as "package.module:function".
Allocation = Annotated[
    str | Counting,
    named_or_own(
        *ALLOCATIONS,
        form="(space, sparsity) -> {site: nodes kept}",
        remedy="For another sparsity at each site hand in sparsity={site: η}, or a function of your own.",
    ),
]


class Allotted(NamedTuple):
    """How much is kept.

    Attributes:
        kept: of each site, before it is seen to that one node stays.
        share: the probability with which each node of a site is kept where each is decided by itself.
        total: how many nodes are kept over all sites, where each site's number is left to the draw; else None.
    """

    kept: dict[str, int]
    share: dict[str, float]
    total: int | None = None


def allotted(space: Space, sparsity: Sparsity, allocation: Allocation) -> Allotted:
    """How much each site of a space keeps at a sparsity.

    Raises:
        ConfigError: a mapping of sparsities with another allocation than "uniform", or without a site; the allocation
            needs more than a space; or a function failed, or gave no such counts.
    """
    if allocation == "uniform":
        return _uniform(space, sparsity)
    if isinstance(sparsity, Mapping):
        raise ConfigError(
            f"sparsity must be one number with {allocated(allocation)}; got {shown(sparsity)}. A number for each site "
            'is itself an allocation: take allocation="uniform".'
        )
    if allocation == "global":
        return _over_all(space, sparsity)
    return _counted(space, sparsity, allocation)


def by_site(space: Space, sparsity: Sparsity) -> dict[str, float]:
    """{site: η} in the order of the space. Raises ConfigError unless a mapping names exactly the sites of the space."""
    if not isinstance(sparsity, Mapping):
        return dict.fromkeys(space, sparsity)
    if set(sparsity) != set(space):
        raise ConfigError(f"per-site sparsity must name the sites {sorted(space)}; got {sorted(sparsity)}.")
    return {site: sparsity[site] for site in space}


def allocated(allocation: Allocation) -> str:
    """An allocation as errors call it."""
    return f'allocation="{allocation}"' if allocation in ALLOCATIONS else f"the allocation {place_of_own(allocation)}"


def removed(sparsity: float, nodes: int) -> int:
    """Nodes removed of n: ``floor(η·n + 1/2)``."""
    return math.floor(sparsity * nodes + 0.5)


def _uniform(space: Space, sparsity: Sparsity) -> Allotted:
    """The same portion at each site, or one that is given for it."""
    per_site = by_site(space, sparsity)
    kept = {site: math.prod(shape) - removed(per_site[site], math.prod(shape)) for site, shape in space.items()}
    return Allotted(kept, {site: 1 - eta for site, eta in per_site.items()})


def _over_all(space: Space, sparsity: float) -> Allotted:
    """One total for all sites. Each site's portion of it is rounded, in whole numbers."""
    nodes = {site: math.prod(shape) for site, shape in space.items()}
    whole = sum(nodes.values())
    total = whole - removed(sparsity, whole)
    kept = {site: max((2 * total * n + whole) // (2 * whole), 1) for site, n in nodes.items()}
    return Allotted(kept, dict.fromkeys(space, 1 - sparsity), total)


def _counted(space: Space, sparsity: float, allocation: Allocation) -> Allotted:
    """The counts of a function."""
    name = allocated(allocation)
    if isinstance(allocation, str):
        raise ConfigError(_NOT_AT_HAND.get(allocation, f"{name} is only named. Hand in the function itself."))
    counts = mapping(POSITIVE)(f"{name}: counts", call_own(allocation, name, dict(space), sparsity))
    if set(counts) != set(space):
        raise ConfigError(f"{name} must give the nodes kept at the sites {sorted(space)}; got {sorted(counts)}.")
    kept = {site: operator.index(counts[site]) for site in space}
    nodes = {site: math.prod(shape) for site, shape in space.items()}
    for site, count in kept.items():
        if count > nodes[site]:
            raise ConfigError(f"{name} must keep at most the {nodes[site]} nodes of site {site!r}; got {count}.")
    _warn_of_another_sparsity(name, sum(kept.values()), sum(nodes.values()), len(nodes), sparsity)
    return Allotted(kept, {site: kept[site] / nodes[site] for site in space})


_NOT_AT_HAND = {
    name: f'allocation="{name}" needs the network, whose kernels it counts; a mask space has none. '
    f"Pass allocation=wc.{name}(net)."
    for name in ("erk", "smart_ratio")
}


def _warn_of_another_sparsity(name: str, kept: int, nodes: int, sites: int, sparsity: float) -> None:
    """Warn where a function keeps other than the portion that its sparsity stands for, but for each site's rounding."""
    if abs(kept - (nodes - removed(sparsity, nodes))) > sites:
        warnings.warn(
            f"{name} keeps {kept:,} of {nodes:,} nodes, which is sparsity {1 - kept / nodes:.4g}, where it was asked "
            f"for sparsity {sparsity:.4g}: results will be listed under that.",
            WeedoutWarning,
            stacklevel=6,
        )

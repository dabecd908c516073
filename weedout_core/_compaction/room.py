"""Room: how many nodes of each site the smaller network of a population's candidates has.

Under exact sampling every candidate keeps the same number, and that is the room. Elsewhere the numbers differ, and are
counted before anything is scored: there is room for the most that a candidate keeps, in steps so large that the
generations of a search need few programs. What a candidate does not use is filled with other nodes, and masked.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from weedout_core._compaction.compacted_network import CompactedNetwork
from weedout_core._compaction.compaction import compact, rescales
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import NonNegative, Positive
from weedout_core._guard.traced import Booleans
from weedout_core._masks.plan import MaskPlan, SitePlan
from weedout_core._networks.network import Network, adopted, gather_space, mask_space

_STEP = 16  # nodes, for masks that no plan describes
_LEAST = 3  # standard deviations above what is expected: the most of a hundred candidates seldom lies beyond


class Room(NamedTuple):
    """How many nodes of each site the smaller network of candidates has. Hashable.

    Attributes:
        nodes: (site, nodes) for each site, at least 1 of each; () where nothing is made smaller.
        padded: whether candidates may keep fewer, so that their masks stay.
    """

    nodes: tuple[tuple[str, int], ...] = ()
    padded: bool = False


@guarded
def compacted(net: Network, room: Room) -> CompactedNetwork:
    """The smaller network that has this room: see :func:`compact`."""
    return compact(net, dict(room.nodes), room.padded)


@guarded
def known_room(net: Network, plan: MaskPlan | None) -> Room | None:
    """The room that does not depend on the masks; None where candidates must be counted first.

    Args:
        net: the network of the candidates, or its part from the first mask on.
        plan: how their masks are drawn; None if they are given.
    """
    if plan is not None and plan.counts:
        return Room(tuple(plan.counts.items()))
    return None if counted_sites(net) else Room()


@guarded
def counted_sites(net: Network) -> tuple[str, ...]:
    """The sites of which it matters how many nodes the fullest candidate keeps: those that masks make smaller."""
    # An adopted model's activations are masked by its own code, whole; a mask that rescales divides by what it keeps.
    # One that has Gather layers is compacted already.
    if adopted(net) is not None or rescales(net) or gather_space(net):
        return ()
    return compact(net, dict.fromkeys(mask_space(net), 1), padded=True).sites


@guarded
def counted_room(net: Network, plan: MaskPlan | None, most: Mapping[str, NonNegative]) -> Room:
    """The room for candidates that keep different numbers of nodes.

    Drawn ones keep, at each site, what is expected and a few standard deviations more: the same few at all sites, so
    that a search has as many programs as there are numbers of them, three at most but once in many searches. Given ones
    keep whole sixteens.

    Args:
        net, plan: as for :func:`known_room`.
        most: {site: the most nodes that a candidate keeps} of :func:`counted_sites`; others have room for all.
    """
    sites = {site.site: site for site in plan.sites if site.site in most} if plan else {}
    above = max((_deviations(site, most[name]) for name, site in sites.items()), default=0)
    nodes: dict[str, int] = {}
    for name, shape in mask_space(net).items():
        whole = math.prod(shape)
        if name not in most:
            wanted = whole
        elif name in sites:
            wanted = sites[name].kept + math.ceil(max(above, _LEAST) * _deviation(sites[name]))
        else:
            wanted = -(-most[name] // _STEP) * _STEP
        nodes[name] = min(whole, max(wanted, 1))
    return Room(tuple(nodes.items()), padded=True)


@guarded
def likely_room(net: Network, plan: MaskPlan) -> Room:
    """The room that most generations of a search have, before any mask is drawn."""
    known = known_room(net, plan)
    return counted_room(net, plan, dict.fromkeys(counted_sites(net), 0)) if known is None else known


def _deviations(site: SitePlan, most: int) -> int:
    """How many standard deviations above what is expected give room for so many nodes."""
    return math.floor((most - site.kept - 1) / _deviation(site)) + 1


def _deviation(site: SitePlan) -> float:
    """The standard deviation of how many nodes a candidate keeps, at least 1: that of draws for each node alone."""
    return max(math.sqrt(site.kept * (1 - site.kept / site.nodes)), 1.0)


@guarded
def filled(mask: Booleans, nodes: Positive) -> Any:
    """A mask that keeps as many nodes as there is room for: its own, and the first others.

    Args:
        mask: bool ``(*batch, n)`` of any framework of the array API, with at most so many True in each.
        nodes: in [1, n].
    Returns:
        bool ``(*batch, n)``, exactly ``nodes`` True in each.
    Raises:
        MaskError: ``mask`` is not an array of booleans.
    """
    xp = array_namespace(mask)
    others = xp.cumulative_sum(xp.astype(~mask, xp.int32), axis=-1)  # numbers the nodes that are not kept, from 1
    free = nodes - xp.sum(xp.astype(mask, xp.int32), axis=-1, keepdims=True)
    return mask | (others <= free)

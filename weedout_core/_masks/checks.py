"""Masks that are handed in: do they fit the network?"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from weedout_core._guard.showing import layout, reordered
from weedout_core._masks.allocation import Space
from weedout_core._masks.plan import Masks
from weedout_core.errors import MaskError


class Gathered(NamedTuple):
    """What a Gather layer reads: a number of indices, ≥ 1, out of the nodes or channels of its input."""

    indices: int
    nodes: int


def checked_masks(
    masks: Masks,
    space: Space,
    leading: int,
    gathers: Mapping[str, Gathered] = MappingProxyType({}),
    fetched: bool = True,
) -> tuple[int, ...]:
    """Check that masks fit a space and return their common leading shape.

    Args:
        masks: {site: bool ``(*leading, *shape)``} and, for Gather layers, {name: integers ``(*leading, count)``}; of
            any framework.
        space: the shape of each site.
        leading: how many leading axes the masks must have (0: one candidate, 1: a population).
        gathers: the indices that must be among the masks, by the name of their Gather layer.
        fetched: whether the values of indices are checked too, even on a device; False checks dtype and shape alone.
    Raises:
        MaskError: a site is missing or unknown, a shape differs, a mask is not of booleans, or indices are not
            integers or are out of range.
    """
    if set(masks) != {*space, *gathers}:
        indices = f" and the indices of its Gather layers {sorted(gathers)}" if gathers else ""
        raise MaskError(f"masks must have exactly the network's sites {sorted(space)}{indices}; got {sorted(masks)}.")
    if leading and not masks:
        raise MaskError("a population of masks needs a network with at least one site; this one has no Mask layer.")
    lead = tuple(next(iter(masks.values())).shape)[:leading] if masks else ()
    for site, mask in masks.items():
        one = gathers.get(site)
        wanted = (*lead, *(space[site] if one is None else (one.indices,)))
        if tuple(mask.shape) != wanted or len(lead) != leading:
            what = f"the mask of site {site!r}" if one is None else f"the indices of Gather layer {site!r}"
            nodes, found = wanted[len(lead) :], tuple(mask.shape)
            shape = layout(nodes)
            if leading:
                shape = f"(candidates, *nodes) with nodes {shape}, and as many candidates as the other masks"
            raise MaskError(f"{what} must have shape {shape}; got {found}.{reordered(nodes, found[leading:])}")
        if one is not None:
            _check_indices(site, mask, one.nodes, fetched)
        elif not str(mask.dtype).endswith("bool"):
            raise MaskError(
                f"the mask of site {site!r} must be of booleans, True where a node is kept; got {mask.dtype}."
            )
    return lead


def _check_indices(name: str, indices: Any, nodes: int, fetched: bool) -> None:
    xp = array_namespace(indices)
    if not xp.isdtype(indices.dtype, "integral"):
        raise MaskError(f"the indices of Gather layer {name!r} must be integers; got {indices.dtype}.")
    if fetched and bool(xp.any((indices < 0) | (indices >= nodes))):
        raise MaskError(
            f"the indices of Gather layer {name!r} must be in [0, {nodes}); got values from {int(indices.min())} to "
            f"{int(indices.max())}."
        )

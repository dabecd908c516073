"""Compaction: from a network, and the number of nodes that each site keeps, to a smaller network.

Exact masks keep the same number of nodes in every candidate, so the smaller network is the same for all of them, and
only the indices of what they keep differ. Where the numbers differ, it has room for the most that any of them keeps:
each candidate fills its room up with other nodes, and its masks, which stay, remove these. Masks of single nodes thin
out a convolution's products and remove none of its weights: they stay masks.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from weedout_core._compaction.compacted_network import CompactedNetwork
from weedout_core._compaction.kept import Counts
from weedout_core._compaction.shrinking import shrink
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive
from weedout_core._masks.plan import HostedMasks
from weedout_core._networks.layers import Conv, Dense, Gather, Layer, Mask, every_layer, run_shape
from weedout_core._networks.network import Network, gather_space, mask_space
from weedout_core.errors import ConfigError


@guarded
def compact(net: Network, kept: Mapping[str, Positive], padded: bool = False) -> CompactedNetwork:
    """The smaller network that computes the same as the parent under any masks that keep these numbers of nodes.

    Its logits, and the gradients and trained weights of what is kept, are those of the masked parent. The indices that
    it takes are those of the nodes that a mask keeps; where it is padded, those of :func:`filled` masks.

    Args:
        net: the parent. A network that has Gather layers, as a compacted one may, is allowed only with ``kept={}``.
        kept: {site: number of nodes kept} for every site, at least 1 of each. Pass {} to leave every node in its place.
        padded: whether masks may keep fewer: then every mask remains.
    Raises:
        ConfigError: a site is missing or unknown, a number is not an integer in [1, the site's nodes], the network is
            compacted already, or a padded one has a mask that rescales.
    """
    if kept and gather_space(net):
        raise ConfigError("the network has Gather layers: it is compacted already.")
    space = mask_space(net)
    if kept and set(kept) != set(space):
        raise ConfigError(f"kept must name the network's sites {sorted(space)}; got {sorted(kept)}.")
    for site, count in kept.items():
        if count > math.prod(space[site]):
            raise ConfigError(
                f"site {site!r} must keep at least 1 and at most its {math.prod(space[site])} nodes; got {count}."
            )
    if padded and rescales(net):
        raise ConfigError(
            "a padded network would rescale by the nodes that it has room for, and not by those it keeps."
        )
    fewer = {site: count for site, count in kept.items() if not padded or count < math.prod(space[site])}
    return _compact(net, tuple((site, fewer[site]) for site in space if site in fewer), padded)


def rescales(net: Network) -> bool:
    """Whether a mask of the network divides by the fraction that it keeps."""
    return any(isinstance(layer, Mask) and layer.rescale for layer in every_layer(net.layers))


@lru_cache(maxsize=256)
def _compact(net: Network, kept: tuple[tuple[str, int], ...], padded: bool) -> CompactedNetwork:
    small = shrink(net.layers, net.input_shape, Counts(dict(kept), padded))
    asked = {site for some in (*small.arrays.values(), *small.masks.values()) for one in some for site in one.sites}
    asked |= {site for part in small.gathers.values() for site in part.sites}
    if twice := set(small.masks) & set(small.gathers):
        raise ConfigError(f"site {min(twice)!r} has the name that compaction gives to joined sites. Rename it.")
    return CompactedNetwork(
        net,
        Network(small.layers, net.input_shape),
        tuple((site, count) for site, count in kept if site in asked),
        tuple((path, some) for path, some in small.arrays.items() if some),
        (*small.masks.items(), *((name, ()) for name in gather_space(net))),
        tuple(small.gathers.items()),
    )


@guarded
def split_at_first_mask(net: Network) -> tuple[tuple[Layer, ...], Network]:
    """The layers before the first one with a mask or a Gather in it, which all candidates share, and the rest."""
    own = (i for i, layer in enumerate(net.layers) if any(map(_takes, every_layer((layer,)))))
    first = next(own, len(net.layers) - 1)
    return net.layers[:first], Network(net.layers[first:], run_shape(net.layers[:first], net.input_shape))


def _takes(layer: Layer) -> bool:
    """Whether a layer takes a mask or indices, which differ between candidates."""
    return isinstance(layer, Mask | Gather) or (isinstance(layer, Dense | Conv) and layer.connections)


@guarded
def kept_indices(masks: HostedMasks) -> dict[str, np.ndarray]:
    """The nodes that one candidate's masks keep, in NumPy: {site: int32 ``(kept,)``}, ascending, images row-major.

    Raises MaskError if a mask is not an array of booleans.
    """
    return {site: np.flatnonzero(mask).astype(np.int32) for site, mask in masks.items()}

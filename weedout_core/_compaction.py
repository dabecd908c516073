"""Compaction: sparsity made physical. A network and the nodes it keeps → a smaller network.

Exact masks keep as many nodes in every candidate, so the smaller network is the same for all of them, and only the
indices of what they keep differ. Masks of single nodes thin out a convolution's products and remove none of its
weights: they stay masks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from weedout_core._errors import ConfigError
from weedout_core._layers import Gather, Layer, Mask, every_layer, run_shape
from weedout_core._masks import Masks
from weedout_core._networks import Network, mask_space
from weedout_core._shrinking import Counts, Kept, Sites, shrink

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Compaction:
    """A smaller network, and what its arrays keep of the parent's. Hashable.

    Attributes:
        net: the smaller network. Where it takes masks it takes the indices of its :class:`Gather` layers too.
        arrays: what each parameter and statistic keeps, by path; one that is not named keeps all.
        masks: what each mask that remains keeps, by site.
        gathers: the sites of each Gather layer, by name.
        sites: those whose indices are needed.
    """

    net: Network
    arrays: tuple[tuple[str, tuple[Kept, ...]], ...]
    masks: tuple[tuple[str, tuple[Kept, ...]], ...]
    gathers: tuple[tuple[str, Sites], ...]
    sites: Sites

    def gather(self, tree: Tree, indices: Tree) -> dict[str, Any]:
        """The part of parameters or statistics that is kept.

        Args:
            tree: the parent's, {path: array}, of any framework of the array API.
            indices: {site: int ``(kept,)``} of ``sites``, ascending.
        """
        return {path: _take(array, self.axes(path, array.shape, indices)) for path, array in tree.items()}

    def axes(self, path: str, shape: Sequence[int], indices: Tree) -> dict[int, Any]:
        """What the thinned out axes of a parameter or statistic keep: {axis, counted from the last, −1: int ``(n,)``}.

        Args:
            path, shape: the parameter or statistic, and its shape in the parent.
            indices: as for :meth:`gather`.
        """
        return _axes(dict(self.arrays).get(path, ()), shape, indices)

    def counters(self, path: str, shape: Sequence[int], indices: Tree) -> Any:
        """Where the kept part of a parameter lies in the parent's, row-major: of the dtype of the indices, its shape.

        These are the counters of its random words: what is kept can be drawn alone (``bits_at``).

        Args:
            path, shape: the parameter, and its shape in the parent.
            indices: as for :meth:`gather`.
        """
        xp = array_namespace(*indices.values())
        dtype = next(iter(indices.values())).dtype
        kept = self.axes(path, shape, indices)
        counters = xp.zeros((1,) * len(shape), dtype=dtype)
        for axis, length in enumerate(shape):
            nodes = kept.get(axis - len(shape), xp.arange(length, dtype=dtype))
            steps = xp.reshape(nodes, [-1 if other == axis else 1 for other in range(len(shape))])
            counters = counters + steps * math.prod(shape[axis + 1 :])
        return counters

    def gather_masks(self, masks: Masks, indices: Tree) -> dict[str, Any]:
        """What the smaller network takes for masks: those that remain, and the indices of its Gather layers."""
        remaining = {site: _take(masks[site], _axes(kept, masks[site].shape, indices)) for site, kept in self.masks}
        return remaining | {name: _indices(Kept(-1, sites), 0, indices) for name, sites in self.gathers}

    def expand(self, tree: Tree, indices: Tree, onto: Tree) -> dict[str, np.ndarray]:
        """The way back, in NumPy: what is kept, written over a copy of the parent's parameters or statistics."""
        kept, found = dict(self.arrays), dict[str, np.ndarray]()
        for path, array in tree.items():
            found[path] = np.array(onto[path], dtype=array.dtype)
            found[path][kept_part(found[path].shape, kept.get(path, ()), indices)] = array
        return found


def compact(net: Network, kept: Mapping[str, int], copies: bool = False) -> Compaction:
    """The smaller network that equals the parent under any masks that keep so many nodes.

    Its logits, gradients and trained weights are those of the masked parent, on what is kept.

    Args:
        net: the parent.
        kept: {site: nodes kept}, of every site; {} where candidates differ in them: then every mask remains.
        copies: allow a channel to be computed twice, for two readers in a residual network, where that is less than
            computing all channels. Then the gradients are not the parent's: for scoring alone.
    Raises:
        ConfigError: a site is missing or unknown or keeps more nodes than it has, or the network is compacted already.
    """
    if any(isinstance(layer, Gather) for layer in every_layer(net.layers)):
        raise ConfigError("the network has Gather layers: it is compacted already.")
    space = mask_space(net)
    if kept and set(kept) != set(space):
        raise ConfigError(f"kept must name the network's sites {sorted(space)}; got {sorted(kept)}.")
    for site, count in kept.items():
        if not 1 <= count <= math.prod(space[site]):
            raise ConfigError(
                f"site {site!r} has {math.prod(space[site])} nodes, of which 1 or more stay; got {count}."
            )
    return _compact(net, tuple((site, kept[site]) for site in space if kept), copies)


@lru_cache(maxsize=256)
def _compact(net: Network, kept: tuple[tuple[str, int], ...], copies: bool) -> Compaction:
    small = shrink(net.layers, net.input_shape, Counts(dict(kept), copies))
    asked = {site for some in (*small.arrays.values(), *small.masks.values()) for one in some for site in one.sites}
    asked |= {site for sites in small.gathers.values() for site in sites}
    if twice := set(small.masks) & set(small.gathers):
        raise ConfigError(f"the site {min(twice)!r} has the name that joins two others. Rename it.")
    return Compaction(
        Network(small.layers, net.input_shape),
        tuple((path, some) for path, some in small.arrays.items() if some),
        tuple(small.masks.items()),
        tuple(small.gathers.items()),
        tuple(site for site, _ in kept if site in asked),
    )


def split_at_first_mask(net: Network) -> tuple[tuple[Layer, ...], Network]:
    """The layers before the first one with a mask in it, which all candidates share, and the network from there on."""
    masked = (i for i, layer in enumerate(net.layers) if any(isinstance(one, Mask) for one in every_layer((layer,))))
    first = next(masked, len(net.layers) - 1)
    return net.layers[:first], Network(net.layers[first:], run_shape(net.layers[:first], net.input_shape))


def kept_indices(masks: Masks) -> dict[str, np.ndarray]:
    """The nodes that one candidate's masks keep, in NumPy: {site: int32 ``(kept,)``}, ascending, images row-major."""
    return {site: np.flatnonzero(mask).astype(np.int32) for site, mask in masks.items()}


def kept_part(shape: tuple[int, ...], kept: Sequence[Kept], indices: Tree) -> Any:
    """Where what is kept lies in an array of this shape, in NumPy: an index of it."""
    axes = [np.arange(length) for length in shape]
    for one in kept:
        axes[one.axis] = _indices(one, shape[one.axis], indices)
    return np.ix_(*axes)


def _take(array: Any, kept: Mapping[int, Any]) -> Any:
    xp = array_namespace(array)
    for axis, nodes in kept.items():
        array = xp.take(array, nodes, axis=axis)
    return array


def _axes(kept: Sequence[Kept], shape: Sequence[int], indices: Tree) -> dict[int, Any]:
    return {one.axis: _indices(one, shape[one.axis], indices) for one in kept}


def _indices(kept: Kept, length: int, indices: Tree) -> Any:
    """The indices of what an axis of this length keeps: int ``(positions × nodes,)``."""
    parts = [indices[site] for site in kept.sites]
    xp = array_namespace(*parts)
    nodes = xp.concat(parts) if len(parts) > 1 else parts[0]
    if kept.positions == 1:
        return nodes
    starts = xp.arange(0, length, length // kept.positions, dtype=nodes.dtype)
    return xp.reshape(starts[:, None] + nodes, (-1,))

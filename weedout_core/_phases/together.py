"""Sparse networks of one parent side by side: smaller networks, wherever their masks keep as many nodes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weedout_core._compaction.compacted import Compaction
from weedout_core._compaction.making import compact, kept_indices
from weedout_core._contract.calls import Array
from weedout_core._contract.record import Backend, map_tree, missing_layers, stack
from weedout_core._masks.plan import Masks
from weedout_core._networks.network import Network, gather_space

Tree = Mapping[str, Any]


class SparseNetworks(NamedTuple):
    """R sparse networks of one parent.

    Attributes:
        net: the network that they are computed as.
        compactions: what each could be made of by its own mask: where they are computed so, all the same.
        indices: the nodes that each keeps, {site: int32 ``(kept,)``}.
        masks: what ``net`` takes for masks, on the device with a leading axis R; None: the parent itself.
    """

    net: Network
    compactions: Sequence[Compaction]
    indices: Sequence[Mapping[str, np.ndarray]]
    masks: dict[str, Array] | None

    def smaller(self, backend: Backend, trees: Sequence[Tree]) -> dict[str, Array]:
        """The parameters or statistics that ``net`` takes of each parent's, on the device: {path: ``(R, *shape)``}."""
        hosted = [map_tree(backend.to_numpy, tree) for tree in trees]
        if not self._compacted:
            return stack(backend, hosted)
        networks = zip(self.compactions, hosted, self.indices, strict=True)
        return stack(backend, [small.gather(tree, indices) for small, tree, indices in networks])

    def parents(self, backend: Backend, tree: Tree, onto: Sequence[Tree]) -> dict[str, np.ndarray]:
        """The way back, in NumPy: {path: ``(R, *shape)``}; what a mask removed is as ``onto``, in NumPy, has it."""
        fetched, grown = map_tree(backend.to_numpy, tree), list[dict[str, np.ndarray]]()
        for r, (small, indices, base) in enumerate(zip(self.compactions, self.indices, onto, strict=True)):
            one = {path: value[r] for path, value in fetched.items()}
            kept = one if self._compacted else small.gather(one, indices)
            grown.append(small.expand(kept, indices, base))
        return {path: np.stack([one[path] for one in grown]) for path in fetched}

    @property
    def _compacted(self) -> bool:
        return self.net == self.compactions[0].net


def sparse_networks(
    net: Network, masks: Sequence[Masks] | None, networks: int, backend: Backend, compaction: bool = True
) -> SparseNetworks:
    """R networks under their masks, compacted where these keep as many nodes and the backend has the layers.

    Args:
        net: the parent; one with Gather layers, as compaction leaves them, stays as it is.
        masks: {site: bool ``shape``} of each network, and the indices of its Gather layers; None: R times the parent.
        networks: R.
        backend: on which they are computed.
        compaction: False leaves them as large as the parent.
    """
    if masks is None:
        return SparseNetworks(net, [compact(net, {})] * networks, [{}] * networks, None)
    hosted = [map_tree(backend.to_numpy, mask) for mask in masks]
    compactions = [compact(net, {} if gather_space(net) else _counts(mask)) for mask in hosted]
    indices = [
        kept_indices({site: mask[site] for site in small.sites})
        for small, mask in zip(compactions, hosted, strict=True)
    ]
    first = compactions[0]
    if not compaction or any(small != first for small in compactions) or missing_layers(backend, first.net):
        return SparseNetworks(net, compactions, indices, stack(backend, hosted))
    inputs = [first.gather_masks(mask, one) for mask, one in zip(hosted, indices, strict=True)]
    return SparseNetworks(first.net, compactions, indices, stack(backend, inputs))


def _counts(masks: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Nodes kept per site; {} where a mask removes all, which leaves no smaller network."""
    counts = {site: int(np.count_nonzero(mask)) for site, mask in masks.items()}
    return counts if all(counts.values()) else {}

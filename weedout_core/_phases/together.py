"""Sparse networks of one parent, computed together; as smaller networks if all masks keep the same number of nodes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weedout_core._compaction.compacted_network import CompactedNetwork
from weedout_core._compaction.compaction import compact, kept_indices
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import Array
from weedout_core._contract.record import Backend, map_tree, missing_layers, stack
from weedout_core._networks.network import Network, adopted, gather_space
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core.errors import ConfigError

Tree = Mapping[str, Any]


class SparseNetworks(NamedTuple):
    """R sparse networks of one parent.

    Attributes:
        net: the network as which all of them are computed, the parent or a smaller one.
        compactions: the compaction by each network's own mask; they are used only if all are equal.
        indices: the nodes that each network keeps, {site: int32 ``(kept,)``}.
        masks: the masks for ``net``, on the device, with a leading axis R; None for no masks.
    """

    net: Network
    compactions: Sequence[CompactedNetwork]
    indices: Sequence[Mapping[str, np.ndarray]]
    masks: dict[str, Array] | None

    def smaller(self, backend: Backend, trees: Sequence[Tree]) -> dict[str, Array]:
        """The parameters or statistics for ``net``, from each parent's, on the device: {path: ``(R, *shape)``}."""
        return stack(backend, self._gathered(trees) if self._compacted else trees)

    def kept(self, backend: Backend, tree: Tree) -> list[dict[str, np.ndarray]]:
        """For each network, the part of arrays of ``net`` that the network's own mask keeps, in NumPy."""
        fetched = map_tree(backend.to_numpy, tree)
        each = [{path: value[r, ...] for path, value in fetched.items()} for r in range(len(self.compactions))]
        return each if self._compacted else self._gathered(each)

    def finite(self, backend: Backend, held: Tree, logits: np.ndarray) -> np.ndarray:
        """Where predictions come from finite numbers alone: bool ``(R, examples)``.

        If a weight or running statistic is not finite, no example is: a ReLU may hide such a number from the logits.

        Args:
            held: weights and statistics of ``net``, on the device. They are read there, because a number that is finite
                in another dtype may be infinite in the device's.
            logits: ``(R, examples, classes)``.
        """
        sound = [[all_finite(tree)] for tree in self.kept(backend, held)]
        return np.isfinite(logits).all(axis=-1) & np.array(sound)

    def parents(self, backend: Backend, tree: Tree, onto: Sequence[Tree]) -> list[dict[str, np.ndarray]]:
        """The reverse of ``smaller``, in NumPy: each network's {path: ``shape``}; what masks removed is ``onto``'s."""
        networks = zip(self.compactions, self.kept(backend, tree), self.indices, onto, strict=True)
        return [small.expand(kept, indices, base) for small, kept, indices, base in networks]

    def _gathered(self, trees: Sequence[Tree]) -> list[dict[str, np.ndarray]]:
        networks = zip(self.compactions, trees, self.indices, strict=True)
        return [small.gather(tree, indices) for small, tree, indices in networks]

    @property
    def _compacted(self) -> bool:
        return self.net == self.compactions[0].net


def common_parent(networks: Sequence[Subnetwork]) -> Network:
    """The parent of networks that are computed together. Raises ConfigError if they have several, or there is none."""
    if not networks:
        raise ConfigError("networks must be one or more; got none.")
    first = networks[0]
    if any(network.net != first.net or (network.mask is None) != (first.mask is None) for network in networks):
        raise ConfigError(
            "networks that are computed together must be of one parent, and all or none of them must have a mask."
        )
    return first.net


def sparse_networks(networks: Sequence[Subnetwork], backend: Backend, compaction: bool = True) -> SparseNetworks:
    """Networks of one parent, compacted where all masks keep the same number of nodes and the backend has the layers.

    Args:
        networks: networks of one parent. A parent with Gather layers is compacted already, and stays as it is.
        backend: the backend that computes them.
        compaction: False leaves them as large as the parent.
    """
    net = networks[0].net
    compactions, indices = zip(*map(_compaction, networks), strict=True)
    masks = [network.mask for network in networks if network.mask is not None]
    if not masks:
        return SparseNetworks(net, compactions, indices, None)
    first = compactions[0]
    if not compaction or any(small != first for small in compactions) or missing_layers(backend, first.net):
        return SparseNetworks(net, compactions, indices, stack(backend, masks))
    inputs = [first.gather_masks(mask, one) for mask, one in zip(masks, indices, strict=True)]
    return SparseNetworks(first.net, compactions, indices, stack(backend, inputs))


def trained_smaller(net: Network, config: TrainConfig) -> bool:
    """Whether sparse networks are trained as smaller ones, where their masks allow it."""
    model = adopted(net)
    return config.compaction and not (model is not None and model.trained_whole)


def is_finite(network: Subnetwork) -> bool:
    """Whether every weight and running statistic that the network's mask keeps is finite."""
    small, indices = _compaction(network)
    return all_finite(small.gather({**network.params, **network.moving}, indices))


def all_finite(tree: Tree) -> bool:
    """Whether every value of {path: array} is finite."""
    return all(bool(np.isfinite(value).all()) for value in tree.values())


def _compaction(network: Subnetwork) -> tuple[CompactedNetwork, dict[str, np.ndarray]]:
    """The compaction by a network's own mask, and the indices of the nodes that the mask keeps."""
    mask = network.mask or {}
    small = compact(network.net, {} if gather_space(network.net) else _counts(mask))
    return small, kept_indices({site: mask[site] for site in small.sites})


def _counts(masks: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Nodes kept per site; {} where a mask removes all, which leaves no smaller network."""
    counts = {site: int(np.count_nonzero(mask)) for site, mask in masks.items()}
    return counts if all(counts.values()) else {}

"""The record that carries a network from phase to phase: what it is, what it keeps, its weights and statistics."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, cast

import numpy as np

from weedout_core._compaction.compaction import compact, kept_indices
from weedout_core._guard.by_content import by_content
from weedout_core._guard.composed import mapping
from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._guard.hosted import frozen
from weedout_core._guard.kinds import Kind, SomePath, UnfitError
from weedout_core._masks.plan import achieved_sparsity
from weedout_core._networks.connections import connection_sites
from weedout_core._networks.cost import Costs, costs
from weedout_core._networks.network import Network, adopted, checked_network_masks, gather_space, mask_space, the_model
from weedout_core._networks.trees import checked_parameters, checked_statistics
from weedout_core._phases import saving
from weedout_core.errors import ConfigError, MaskError, RunError, WeedoutWarning

_KEEP = "Keep at least one node of each site, as masks from a plan do."

Tree = Mapping[str, np.ndarray]
Given = Mapping[str, Any]  # arrays of any framework; what is kept is NumPy's, a copy that nobody can write to


def _of_kind(kinds: str) -> Any:
    def convert(_: str, value: Any) -> np.ndarray:
        array = frozen(value)
        if array.dtype.kind not in kinds or array.dtype.itemsize > 8:
            raise UnfitError
        return array

    return convert


_FLOATS = Kind("an array of floats of at most 64 bits", _of_kind("f"))
_KEPT = Kind(
    "an array of booleans, True where a node is kept, or the indices of a Gather layer", _of_kind("biuf"), MaskError
)


@by_content
@dataclass(frozen=True, eq=False)
class Subnetwork:
    """A network, the nodes it keeps, its weights and its running statistics: in NumPy, read-only, for any backend.

    Its mappings are read-only too. To change weights, copy ``dict(network.params)``, and make another ``Subnetwork``.

    A search finds one, training takes one and returns one, and an evaluation measures one.

    Attributes:
        net: the parent, or a compacted network.
        params: {path: float ``shape``}.
        mask: {site: bool ``shape``}, True where a node is kept, and of a compacted network the indices of its Gather
            layers, {name: int ``(count,)``}; None keeps every node.
        statistics: the running statistics of batch normalisation, {path: float ``(channels,)``}: those that training
            returned, or ``wc.nn.initial_statistics(net)`` before training. None if and only if the network has no
            batch normalisation.
    Raises:
        ConfigError: params or statistics are not those of the network, or statistics are missing.
        MaskError: the mask does not fit the network.
    Warns:
        WeedoutWarning: the mask removes all nodes of a site.
    """

    net: Network
    params: Annotated[Given, mapping(_FLOATS)]
    mask: Annotated[Given, mapping(_KEPT, MaskError)] | None = None
    statistics: Annotated[Given, mapping(_FLOATS)] | None = None

    def __post_init__(self) -> None:
        convert_fields(self)
        checked_parameters(self.net, self.params)
        checked_network_masks(self.net, self.mask, leading=0)
        checked_statistics(self.net, self.statistics)
        for name, tree in self.trees.items():
            object.__setattr__(self, name, MappingProxyType(tree))
        if (emptied := self._emptied()) is not None:
            warnings.warn(f"{emptied}, so that nothing passes through it. {_KEEP}", WeedoutWarning, stacklevel=3)

    def __repr__(self) -> str:
        return (
            f"Subnetwork(input_shape={self.net.input_shape}, sites={len(mask_space(self.net))}, "
            f"sparsity={self.sparsity:.4g}, parameters={self.costs.parameters})"
        )

    def _emptied(self) -> str | None:
        """Which site has no nodes left, the first of them, as the beginning of a sentence; None if there is none."""
        site = next((site for site, mask in self._sites.items() if not mask.any()), None)
        return None if site is None else f"the mask removes all {self._sites[site].size} nodes of site {site!r}"

    @property
    def trees(self) -> dict[str, Tree]:
        """Its mappings of arrays by the names of their fields: "params", and "mask" and "statistics" if it has them."""
        trees = {"params": self.params, "mask": self.mask, "statistics": self.statistics}
        return {name: tree for name, tree in trees.items() if tree is not None}

    @property
    def moving(self) -> Tree:
        """The running statistics; {} where there are none."""
        return {} if self.statistics is None else self.statistics

    @property
    def sparsity(self) -> float:
        """The fraction of nodes removed over this network's own sites, in [0, 1]; those compacted away do not count."""
        return achieved_sparsity(self._sites)

    @property
    def costs(self) -> Costs:
        """Parameters and multiply-adds of the whole network, and of the part that the mask keeps."""
        return costs(self.net, self._sites)

    def compact(self) -> "Subnetwork":
        """The smaller network that computes the same; itself if it has no mask, or is compacted already.

        Where masks follow each other, the later ones stay masks: how many nodes all of them keep cannot be told from
        how many each of them keeps.

        Raises:
            ConfigError: the mask removes all nodes of a site.
        """
        if self.mask is None or gather_space(self.net):
            return self
        if (emptied := self._emptied()) is not None:
            raise ConfigError(f"{emptied}, which leaves no smaller network that computes the same. {_KEEP}")
        small = compact(self.net, {site: int(np.count_nonzero(mask)) for site, mask in self.mask.items()})
        indices = kept_indices({site: self.mask[site] for site in small.sites})
        statistics = None if self.statistics is None else small.gather(self.statistics, indices)
        remaining = small.gather_masks(self.mask, indices)
        return Subnetwork(small.net, small.gather(self.params, indices), remaining or None, statistics)

    def rebuild(self) -> Any:
        """The model of its own library again, with these weights and statistics, under its mask.

        It is an ordinary model of its library, such as an ``nn.Module`` whose ``state_dict`` has the names that it had;
        of a compacted network a smaller one. Weights that a mask removes are 0 in it.

        Raises:
            ConfigError: the network is no adopted model, or was read from a file.
        """
        if (model := adopted(self.net)) is None:
            raise ConfigError("only an adopted model can be rebuilt: this network is made of the library's own layers.")
        weights = {path: self._sites[path] for path in connection_sites(self.net) if path in self._sites}
        params = {
            path: np.where(weights[path], value, 0) if path in weights else value for path, value in self.params.items()
        }
        mask = {site: mask for site, mask in self._sites.items() if site not in weights}
        return the_model(model).rebuild(model, params, self.moving, mask)

    @guarded
    def save(self, path: SomePath) -> None:
        """Write it to a safetensors file, with its network as JSON in the header. It is written whole or not at all.

        Raises:
            ConfigError: ``path`` is not a path.
            RunError: the file cannot be written, or the package safetensors is missing (the extra ``lab``).
        """
        saving.write(Path(path), self.net, self.trees)

    @classmethod
    @guarded
    def load(cls, path: SomePath) -> "Subnetwork":
        """Read what :meth:`save` wrote; nothing is unpickled.

        Raises:
            ConfigError: ``path`` is not a path.
            RunError: the file cannot be read, is not what was written, or the package safetensors is missing.
        """
        net, trees = saving.read(Path(path))
        try:
            return cls(net, **cast(dict[str, Any], trees))
        except (ConfigError, MaskError, TypeError) as error:
            raise RunError(f"{path} is damaged: its arrays are not those of its network ({error}).") from error

    @property
    def _sites(self) -> dict[str, np.ndarray]:
        """The mask without the indices of Gather layers; {} where every node is kept."""
        return {site: self.mask[site] for site in mask_space(self.net)} if self.mask is not None else {}

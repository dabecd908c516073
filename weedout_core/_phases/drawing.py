"""Drawing candidates: the weights that they share, or their own, and one of them from its origin."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weedout_core._algorithm.population import Origin
from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.calls import Parameters, Specs
from weedout_core._contract.record import Backend, map_tree
from weedout_core._masks.plan import MaskPlan
from weedout_core._networks.initial import he_normal
from weedout_core._networks.network import Network, gather_space
from weedout_core._random.annotations import Key
from weedout_core._random.keys import Stream, of_candidates, of_parent
from weedout_core.errors import ConfigError


class Drawing(NamedTuple):
    """What the candidates of a search are drawn from.

    Attributes:
        backend: on which they are drawn.
        plan: of their masks.
        weights: the weights that they share or, under ``per_candidate``, how each draws its own.
    """

    backend: Backend
    plan: MaskPlan
    weights: Parameters | Specs


def check_parent(net: Network) -> None:
    """Raise ConfigError for a network that is compacted already: its Gather layers take indices that nobody draws."""
    if gathers := gather_space(net):
        raise ConfigError(
            f"the network has the Gather layers {sorted(gathers)}: it is compacted already. Search the network that "
            "it was made of."
        )


def drawing(net: Network, plan: MaskPlan, config: SearchConfig, backend: Backend, key: Key) -> Drawing:
    """Draw what the candidates of a network share."""
    specs = he_normal(net, config.fan, plan.kept if config.fan_counts == "kept" else None)
    shared = config.weights == "shared"
    return Drawing(backend, plan, backend.draw_parameters(of_parent(key), specs) if shared else specs)


def materialise(one: Drawing, root: Key, origin: Origin) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A candidate's mask and initial weights from its origin under a root key, in NumPy."""
    backend, weights = one.backend, one.weights
    masks = backend.masks_from_keys(of_candidates(root, Stream.MASKS, [origin]), one.plan)
    if not isinstance(weights, Mapping):
        weights = backend.draw_parameters(of_candidates(root, Stream.WEIGHTS, [origin])[0], weights)
    fetched: Any = map_tree(backend.to_numpy, weights)
    return map_tree(lambda mask: backend.to_numpy(mask)[0], masks), fetched

"""Drawing candidates: their weights, shared or their own, and a single candidate from its origin."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.population import Origin
from weedout_core._configs.checks import check_effects
from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.calls import Parameters, Specs
from weedout_core._contract.record import Backend, map_tree
from weedout_core._masks.plan import MaskPlan
from weedout_core._networks.initial import he_normal
from weedout_core._networks.network import Network, adopted, gather_space, initial_statistics, the_model
from weedout_core._phases.bred import unpacked
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._random.annotations import Key
from weedout_core._random.keys import Stream, of_candidates, of_parent
from weedout_core.errors import ConfigError


class Drawing(NamedTuple):
    """What the candidates of a search are drawn from.

    Attributes:
        net: the parent.
        backend: the backend that draws them.
        plan: how their masks are drawn.
        weights: the weights that they share or, under ``per_candidate``, how each draws its own.
    """

    net: Network
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


def check_weights(net: Network, config: SearchConfig) -> None:
    """Raise ConfigError where a configuration says how weights are drawn, and the network is an adopted model."""
    if (model := adopted(net)) is None:
        return
    if config.weights == "per_candidate":
        raise ConfigError(
            f'weights="per_candidate" needs a way to draw weights; those of {model.name} are its own. Take "shared".'
        )
    drawn = (False, f"weights that are drawn; those of {model.name} are its own")
    check_effects(config, dict.fromkeys(("fan", "fan_counts"), drawn))


def drawing(net: Network, plan: MaskPlan, config: SearchConfig, backend: Backend, key: Key) -> Drawing:
    """Make a Drawing, and draw the weights if candidates share them."""
    return Drawing(net, backend, plan, initial_weights(net, plan, config, backend, key))


def initial_weights(
    net: Network, plan: MaskPlan, config: SearchConfig, backend: Backend, key: Key
) -> Parameters | Specs:
    """The weights that candidates share, on the device; or specs, from which each draws its own.

    An adopted model has its own weights, in whatever way its library made them.

    Raises:
        ConfigError: the configuration says how weights are drawn, and the network is an adopted model.
    """
    check_weights(net, config)
    if (model := adopted(net)) is not None:
        return map_tree(backend.asarray, the_model(model).params)
    specs = he_normal(net, config.fan, plan.kept if config.fan_counts == "kept" else None)
    return backend.draw_parameters(of_parent(key), specs) if config.weights == "shared" else specs


def materialise(one: Drawing, root: Key, origin: Origin, packed: Mapping[str, np.ndarray] | None = None) -> Subnetwork:
    """A candidate, from its origin under a root key, at its initial weights and statistics.

    Args:
        packed: the bits of its masks, {site: uint8 ``(1, bytes)``}, where they were bred; None draws them.
    """
    backend, weights = one.backend, one.weights
    if packed is None:
        drawn = backend.masks_from_keys(of_candidates(root, Stream.MASKS, [origin]), one.plan)
        masks = map_tree(backend.to_numpy, drawn)
    else:
        masks = unpacked(packed, one.plan)
    if not isinstance(weights, Mapping):
        weights = backend.draw_parameters(of_candidates(root, Stream.WEIGHTS, [origin])[0], weights)
    mask = {site: found[0] for site, found in masks.items()}
    return Subnetwork(one.net, map_tree(backend.to_numpy, weights), mask, initial_statistics(one.net) or None)

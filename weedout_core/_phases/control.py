"""The control: the random sparse network that a winner competes with. Paper, section 3."""

from typing import NamedTuple

from weedout_core._algorithm.population import Origin
from weedout_core._configs.planning import search_plan
from weedout_core._configs.search_config import Control, SearchConfig
from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend
from weedout_core._guard.guarded import guarded
from weedout_core._masks.allocation import Sparsity
from weedout_core._networks.network import Network
from weedout_core._phases.drawing import check_parent, drawing, materialise
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_control
from weedout_core._random.stream import below


class RandomControl(NamedTuple):
    """A random sparse network at its initial weights.

    Attributes:
        network: the network.
        origin: where it was drawn; None for an independent control, which is not a candidate of the search.
    """

    network: Subnetwork
    origin: Origin | None


@guarded
@fenced_phase
def draw_control(
    net: Network,
    *,
    sparsity: Sparsity,
    backend: str | Backend,
    key: Key,
    config: SearchConfig = SearchConfig(),
    control: Control = "member",
) -> RandomControl:
    """The random sparse network that the winner competes with (paper, section 3), drawn without regard to fitness.

    Args:
        net, sparsity, backend, key, config: those of the search.
        control: "member" takes a random candidate of the search's first generation, which is the winner itself with a
            probability of at most 1/m; "independent" draws a network from a stream of its own.
    Raises:
        ConfigError, BackendError: before any work starts.
    """
    check_parent(net)
    root = of_control(key)
    drawn = drawing(net, search_plan(net, sparsity, config), config, load_backend(backend), key)
    if control == "member":
        origin = Origin(0, below(root, config.population))
        return RandomControl(materialise(drawn, key, origin), origin)
    return RandomControl(materialise(drawn, root, Origin(0, 0)), None)

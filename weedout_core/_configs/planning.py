"""From a network, a sparsity and a configuration to the plan by which masks are drawn."""

from dataclasses import replace

from weedout_core._configs.search_config import OWN_FUNCTIONS, SearchConfig
from weedout_core._guard.guarded import guarded
from weedout_core._guard.own_functions import place_of_own
from weedout_core._masks.allocation import Sparsity
from weedout_core._masks.plan import MaskPlan, mask_plan
from weedout_core._networks.by_depth import smart_ratio
from weedout_core._networks.erdos_renyi import erk
from weedout_core._networks.network import Network, mask_space

_OF_NETWORKS = {"erk": erk, "smart_ratio": smart_ratio}


@guarded
def search_plan(net: Network, sparsity: Sparsity, config: SearchConfig) -> MaskPlan:
    """How the masks of a search's candidates are drawn: ``wc.mask_plan`` as a configuration says.

    Args:
        net: the parent.
        sparsity: η, the fraction of nodes removed, in [0, 1), for all sites or {site: η}.
        config: its ``sampling`` and ``allocation`` count; "erk" and "smart_ratio" are those of this network.
    Raises:
        ConfigError: as :func:`mask_plan`, :func:`erk` and :func:`smart_ratio`.
    """
    of_network = _OF_NETWORKS.get(config.allocation) if isinstance(config.allocation, str) else None
    allocation = config.allocation if of_network is None else of_network(net)
    return mask_plan(mask_space(net), sparsity, config.sampling, allocation)


def recorded(config: SearchConfig) -> SearchConfig:
    """A configuration as a record has it: functions of the user's are named, "package.module:function"."""
    return replace(config, **{field: place_of_own(getattr(config, field)) for field in OWN_FUNCTIONS})

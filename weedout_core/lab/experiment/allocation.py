"""Where sparsity goes: the plan of an experiment's masks."""

import warnings
from dataclasses import replace

from weedout_core import Network, SearchConfig
from weedout_core._configs.planning import recorded
from weedout_core.backend import MaskPlan, search_plan
from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named


def exact_plan(net: Network, sparsity: float, search: SearchConfig) -> MaskPlan:
    """By which arms choose, and masks are made of scores: exact, also where the candidates of a search are not."""
    return search_plan(net, sparsity, replace(search, sampling="exact"))


def check_allocation(config: ExperimentConfig, net: Network) -> None:
    """Check the plans of all sparsities. Raises ConfigError where a function gives other counts the second time.

    Warns:
        WeedoutWarning: as ``wc.mask_plan``.
    """
    for sparsity in config.sparsity:
        plan = search_plan(net, sparsity, config.search)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeedoutWarning)  # said the first time
            again = search_plan(net, sparsity, config.search)
        if plan != again:
            raise ConfigError(
                f"the allocation {recorded(config.search).allocation} gave other counts when it was called a second "
                f"time, at sparsity {named(sparsity)}. Let the space and the sparsity alone decide."
            )

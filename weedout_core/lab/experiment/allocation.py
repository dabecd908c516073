"""Where sparsity goes: the plan of an experiment's masks, and a function of the user's own that decides it."""

import warnings
from dataclasses import replace
from typing import Any

from weedout_core import Network, SearchConfig
from weedout_core._configs.planning import recorded
from weedout_core.backend import MaskPlan, search_plan
from weedout_core.errors import ConfigError, RunError, WeedoutWarning
from weedout_core.lab.code.functions import check_call, imported, placed
from weedout_core.lab.code.sources import source
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named


def with_allocation(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with the function itself, where its allocation names one.

    Raises:
        ConfigError: there is no such function, or it is none of a mask space and a sparsity.
    """
    allocation: Any = config.search.allocation
    if isinstance(allocation, str):
        if ":" not in allocation:
            return config
        allocation = imported(allocation, "allocation")
    name = f"the allocation {placed(allocation, 'allocation')}"
    check_call(allocation, name, ["the mask space", "the sparsity"], "the nodes kept at each site")
    return replace(config, search=replace(config.search, allocation=allocation))


def recorded_config(config: ExperimentConfig) -> ExperimentConfig:
    """A configuration as a record has it: a function of the user's is named, "package.module:function"."""
    return replace(config, search=recorded(config.search))


def allocation_source(search: SearchConfig) -> dict[str, str]:
    """{"allocation": the SHA-256 of a function's files}, by which a run knows it again; {} where it is none."""
    return {} if isinstance(search.allocation, str) else {"allocation": source(search.allocation)}


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


def same_allocation(search: SearchConfig, identity: dict[str, Any]) -> None:
    """Raise RunError unless the files of a user's function are those of the run."""
    for name, digest in allocation_source(search).items():
        if digest != identity[name]:
            raise RunError(
                f"the allocation {recorded(search).allocation} must be that of the run; here its files are others. "
                "Copy them."
            )

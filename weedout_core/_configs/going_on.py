"""Searches that go on while the weights train: which can, and a training without one."""

from dataclasses import replace

from weedout_core._configs.search_config import SearchConfig
from weedout_core._configs.train_config import TrainConfig
from weedout_core.errors import ConfigError


def check_goes_on(config: SearchConfig) -> None:
    """Raise ConfigError for a search that cannot go on during training (``TrainConfig.search_epochs``)."""
    needs = {
        'elite="rescore", because the weights change': config.elite == "rescore",
        "training_steps=0, because the weights are trained anyway": config.training_steps == 0,
        'another strategy than "successive_halving", which leaves one candidate': config.strategy
        != "successive_halving",
    }
    if missing := [needed for needed, holds in needs.items() if not holds]:
        raise ConfigError(f"a search that goes on during training needs {missing[0]}. Search with that.")


def without_search(config: TrainConfig) -> TrainConfig:
    """The same training under the mask that was found before."""
    return replace(config, search_epochs=0, search_part=TrainConfig().search_part)

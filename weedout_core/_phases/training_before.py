"""What candidates are trained on before they are scored: checked once for a search, drawn for each generation."""

from typing import NamedTuple

from weedout_core._algorithm.limited import LimitedTraining, limited_plan
from weedout_core._algorithm.schedule import TrainPlan, check_plan
from weedout_core._configs.search_config import SearchConfig
from weedout_core._configs.train_config import TrainConfig
from weedout_core._guard.splits import Split
from weedout_core._networks.examples import Examples, checked_examples, kept
from weedout_core._networks.network import Network
from weedout_core._phases.validation_batches import drawn_generation
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_limited_training
from weedout_core.errors import ConfigError


class Training(NamedTuple):
    """The training split, and the plan of a training whose first steps candidates take."""

    examples: Examples
    plan: TrainPlan

    def steps(self, root: Key, generation: int, config: SearchConfig) -> LimitedTraining:
        """Those of a generation: other examples in each, or the same where its batch is the same."""
        key = of_limited_training(root, drawn_generation(generation, config))
        return LimitedTraining(self.examples, self.plan, config.training_steps, key)


def checked_training(
    net: Network, training: Split | None, learning: TrainConfig, config: SearchConfig
) -> Training | None:
    """What candidates are trained on; None where they are scored untrained.

    Raises:
        ConfigError: there are steps and no training split, or the one without the other; or the network cannot be
            trained so.
        DataError: the split does not fit the network.
    """
    if not config.training_steps:
        if training is not None or learning != TrainConfig():
            raise ConfigError(
                "training and learning have no effect without training_steps of at least 1. Leave them out."
            )
        return None
    if training is None:
        raise ConfigError(
            f"training_steps={config.training_steps} needs a training split: hand in training=(x, y), and with "
            "learning=wc.TrainConfig(...) how to train."
        )
    examples = kept(checked_examples(net, training))
    plan = limited_plan(learning, len(examples.y), config.training_steps, config.precision)
    check_plan(net, plan)
    return Training(examples, plan)

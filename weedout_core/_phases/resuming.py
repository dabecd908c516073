"""Checks, before any work, that a training is resumed from a result of its own."""

from collections.abc import Sequence

import numpy as np

from weedout_core._algorithm.schedule import TrainPlan, learning_rates
from weedout_core._configs.train_config import TrainConfig
from weedout_core._masks.plan import Masks
from weedout_core._networks.trees import checked_parameters
from weedout_core._phases.beginning import Beginning
from weedout_core._phases.differences import another, differences
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.trained import Trained, is_sealed
from weedout_core.errors import ConfigError


def check_resumed(
    networks: Sequence[Subnetwork], plan: TrainPlan, began: Sequence[Beginning], resume: Sequence[Trained]
) -> None:
    """Raise ConfigError unless each network is resumed from the training that begins with it.

    Args:
        networks: as they are handed in.
        plan: the plan of the training.
        began: what the training of each network begins with.
        resume: the result to resume for each network, all after the same number of epochs.
    """
    if plan.optimizer is not None:
        raise ConfigError("resume needs the built-in SGD: the state of another optimizer is not in a Trained.")
    if len(resume) != len(networks):
        raise ConfigError(f"resume must be one for each of {len(networks)} networks; got {len(resume)}.")
    done = len(resume[0].history)
    for network, now, one in zip(networks, began, resume, strict=True):
        _check_facts(one.began, now)
        if one.losses.shape != (done * plan.steps,) or len(one.history) != done or done > plan.config.epochs:
            raise ConfigError(
                f"resume must be this training after at most {plan.config.epochs} epochs of {plan.steps} steps, all "
                f"networks after as many; got {len(one.history)} epochs and losses of shape {one.losses.shape}."
            )
        _check_rates(one.began, now, plan, len(one.losses))
        stays = now.searched is None  # else the mask is another by now
        if one.network.net != network.net or (stays and not _same_mask(one.network.mask, network.mask)):
            raise ConfigError("resume must be this training: its network has other layers, or another mask.")
        checked_parameters(network.net, one.velocity, "velocity")
        if not is_sealed(one):
            raise ConfigError(
                "resume must be as training gave it; its network, velocity, losses, history or began was changed "
                "since. Begin a training with the network that you have, and leave resume out."
            )
        _check_generations(one, plan.config)


def _check_facts(was: Beginning, now: Beginning) -> None:
    """Raise ConfigError, naming the first difference, where a training began with something else."""
    if differing := [name for name in differences(was, now) if name not in _OF_RATES]:
        hint = _OF_SEARCH if differing[0] == "searched" else ""
        raise ConfigError(f"{another('resume', 'training', differing[0], was, now)}{hint}. {_REMEDY}")


def _check_rates(was: Beginning, now: Beginning, plan: TrainPlan, done: int) -> None:
    """Raise ConfigError where the steps that are done would have had other learning rates."""
    one, other = (learning_rates(began.config, plan.steps)[:done] for began in (was, now))
    if not np.array_equal(one, other):
        # Name the number of epochs last: by itself it changes only the rates of a cosine schedule.
        name = min(differences(was, now), key=lambda name: name == "epochs")
        raise ConfigError(
            f"{another('resume', 'training', name, was, now)}, by which the {done} steps that are done would have had "
            f"other learning rates. {_REMEDY}"
        )


def _check_generations(one: Trained, config: TrainConfig) -> None:
    """Raise ConfigError where with another number of epochs the search had ended earlier in them, or later."""
    done, scored = len(one.history), len(one.generations)
    if scored != (wanted := config.generations_within(done)):
        raise ConfigError(
            f"resume must be this training: in {done} of {one.began.config.epochs} epochs it scored {scored} "
            f"generations, and in {done} of {config.epochs} search_part={config.search_part:g} has {wanted}. "
            f"{_REMEDY}"
        )


#: Fields of the configuration that matter only through the learning rate of each step.
_OF_RATES = ("epochs", "learning_rate", "schedule", "step_epochs", "step_factor", "warmup_epochs")
_OF_SEARCH = (
    " (of found, the validation split and the sparsity of each generation, which depends on the epochs where it rises)"
)
_REMEDY = "Hand in what it began with, or leave resume out."


def _same_mask(one: Masks | None, other: Masks | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(np.array_equal(one[site], other[site]) for site in other)

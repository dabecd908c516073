"""Whether what is resumed is the training that it is handed to: checked before any work."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from weedout_core._algorithm.schedule import TrainPlan, learning_rates
from weedout_core._masks.plan import Masks
from weedout_core._networks.network import checked_parameters
from weedout_core._phases.beginning import Beginning
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.trained import Trained
from weedout_core.errors import ConfigError


def check_resumed(
    networks: Sequence[Subnetwork], plan: TrainPlan, began: Sequence[Beginning], resume: Sequence[Trained]
) -> None:
    """Raise ConfigError unless each network is resumed from the training that begins with it.

    Args:
        networks: as they are handed in.
        plan: of the training.
        began: what the training of each begins with.
        resume: each after as many epochs.
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
        if one.network.net != network.net or not _same_mask(one.network.mask, network.mask):
            raise ConfigError("resume must be this training: its network has other layers, or another mask.")
        checked_parameters(network.net, one.velocity, "velocity")


def _check_facts(was: Beginning, now: Beginning) -> None:
    """Raise ConfigError, naming the first difference, where a training began with something else."""
    if name := _first_difference(was, now, lambda name: name not in _OF_RATES):
        raise ConfigError(f"{_another(name, was, now)}. {_REMEDY}")


def _check_rates(was: Beginning, now: Beginning, plan: TrainPlan, done: int) -> None:
    """Raise ConfigError where the steps that are done would have had other learning rates."""
    one, other = (learning_rates(began.config, plan.steps)[:done] for began in (was, now))
    if not np.array_equal(one, other):
        name = _first_difference(was, now, lambda name: name in _OF_RATES)
        raise ConfigError(
            f"{_another(name, was, now)}, by which the {done} steps that are done would have had other learning rates. "
            f"{_REMEDY}"
        )


#: Fields of the configuration that matter by the learning rate of each step alone.
_OF_RATES = ("epochs", "learning_rate", "schedule", "step_epochs", "step_factor", "warmup_epochs")
_REMEDY = "Hand in what it began with, or leave resume out."


def _first_difference(was: Beginning, now: Beginning, counts: Callable[[str], bool]) -> str:
    """The name of the first of some facts that differs; "" where none does."""
    before, given = _facts(was), _facts(now)
    return next((name for name in before if counts(name) and before[name] != given[name]), "")


def _another(name: str, was: Beginning, now: Beginning) -> str:
    before, given = _facts(was)[name], _facts(now)[name]
    return (
        f"resume must be of this very training, but it began with {name} {_shown(before)}, and the training has "
        f"{_shown(given)}"
    )


def _facts(began: Beginning) -> dict[str, Any]:
    """All that a training began with, by its name."""
    facts = {**began._asdict(), **asdict(began.config)}
    return {name: value for name, value in facts.items() if name != "config"}


def _shown(value: Any) -> str:
    """A value for a message; of a SHA-256 its first digits."""
    return f"SHA-256 {value[:12]}…" if isinstance(value, str) and len(value) == 64 else repr(value)


def _same_mask(one: Masks | None, other: Masks | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(np.array_equal(one[site], other[site]) for site in other)

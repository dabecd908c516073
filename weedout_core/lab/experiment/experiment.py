"""An experiment: a configuration, the arms that it compares, and after how many repeats its results are looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from weedout_core.errors import ConfigError
from weedout_core.lab.experiment.arms import Arm
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.events import EVALUATE, TRAIN
from weedout_core.lab.experiment.groups import Group, groups
from weedout_core.lab.experiment.model import Model
from weedout_core.lab.experiment.own_functions import own_sources, recorded_config


class Experiment(NamedTuple):
    """What is run.

    Attributes:
        config: the data, the network, how it is searched and trained, and how often.
        arms: those that are compared, each after the arms that it reads.
        looks: after how many repeats the results are looked at, increasing; the last is ``config.repeats``.
        rules: what else was fixed before the run began, as plain values: by what rule it is judged.
        model: the parent, where it is the user's own.
    """

    config: ExperimentConfig
    arms: tuple[Arm, ...]
    looks: tuple[int, ...]
    rules: Mapping[str, Any] = {}
    model: Model | None = None

    @property
    def groups(self) -> list[Group]:
        """The groups, in the order in which they are computed."""
        return groups(self.config.sparsity, self.looks, self.at_once)

    @property
    def networks(self) -> int:
        """The networks that a group begins with."""
        return len(self.arms) * min(self.at_once, self.looks[0])

    @property
    def at_once(self) -> int:
        """The most repeats of a group: one, or as many as have the networks that are to be trained at once."""
        return min(self.looks[-1], -(-(self.config.together or 1) // max(1, len(self.arms))))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the results, as plain values, but for the data."""
        arms = [{"name": arm.name, "source": arm.source} for arm in self.arms]
        own = {} if self.model is None else {"model": self.model.source}
        own |= own_sources(self.config.search)
        config = asdict(recorded_config(self.config))
        return config | {"arms": arms, "looks": list(self.looks), "rules": dict(self.rules)} | own


def check_arms(arms: Sequence[Arm]) -> None:
    """Raise ConfigError unless the names of arms can stand in tables, and each arm comes after those that it reads."""
    before: set[str] = set()
    for arm in arms:
        if not all(part.isidentifier() for part in arm.name.split(".")) or arm.name in (TRAIN, EVALUATE):
            raise ConfigError(
                f"an arm's name must be letters, digits and underscores, and neither {TRAIN} nor {EVALUATE}; got "
                f"{arm.name!r}. Rename the function or the folder."
            )
        if arm.name in before:
            raise ConfigError(f"each arm needs its own name; got {arm.name!r} twice. Rename one, or give it once.")
        if missing := set(arm.reads) - before:
            raise ConfigError(f"the arm {arm.name!r} reads {sorted(missing)}, which must come before it. Add that arm.")
        before.add(arm.name)

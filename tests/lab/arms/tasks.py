"""Tasks, as arms of an experiment are handed them."""

from dataclasses import replace

import weedout_core as wc
from weedout_core.lab.arms.starts import masked
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment.allocation import exact_plan
from weedout_core.lab.experiment.arms import Arm, LeftOut, Start, Task
from weedout_core.lab.experiment.choosing import Choosing, choose_all, read_only
from weedout_core.lab.experiment.configuration import ExperimentConfig, network
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.so_far import NOTHING, GroupProgress

CONFIG = ExperimentConfig(
    hidden=(8, 6),
    sparsity=(0.5,),
    repeats=2,
    backend="numpy",
    search=wc.SearchConfig(population=4, generations=2),
    train=wc.TrainConfig(epochs=1, batch_size=256),
)
DATA = load_dataset("digits")
NET = network(CONFIG, DATA)


def choosing(
    config: ExperimentConfig = CONFIG, repeats: int = 1, offered: list[GroupProgress] | None = None
) -> Choosing:
    group, kept = Group(config.sparsity[0], 0, repeats), [] if offered is None else offered
    net = network(config, DATA)
    return Choosing(
        config, config.search, group, net, exact_plan(net, group.sparsity, config.search),
        read_only(DATA.train), read_only(DATA.validation), wc.load_backend(config.backend),
        on_arm=lambda arm, repeat: None, on_generation=lambda repeat, generation: None,
        on_epoch=lambda arm, repeat, epoch: None, offer=kept.append,
    )  # fmt: skip


def choices(*arms: Arm, config: ExperimentConfig = CONFIG) -> dict[str, Start | LeftOut]:
    """What arms choose in the first repeat."""
    found = choose_all(choosing(config), arms, NOTHING).chosen
    return {arm.name: one for arm, one in zip(arms, found, strict=True)}


def start(*arms: Arm, config: ExperimentConfig = CONFIG) -> Start:
    """What the last of some arms chooses in the first repeat."""
    *_, found = choices(*arms, config=config).values()
    assert isinstance(found, Start)
    return found


def task(config: ExperimentConfig = CONFIG, sparsity: float = 0.5) -> Task:
    """The task of the first repeat."""
    seen: list[Task] = []

    def see(one: Task) -> Start:
        seen.append(one)
        return masked(None, one)

    choices(Arm("seen", see), config=replace(config, sparsity=(sparsity,)))
    return seen[0]

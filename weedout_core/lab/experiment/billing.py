"""What a cell is billed: the work of choosing it, of training it and of evaluating it."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

from weedout_core import Network, SearchConfig, compact, costs
from weedout_core._phases.throughout import rising_plans
from weedout_core._phases.together import trained_smaller
from weedout_core.backend import compacted, search_plan, train_plan
from weedout_core.errors import WeedoutWarning
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.arms import Cell, Work
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.ledger import (
    STEP,
    LedgerRow,
    examples_of_a_score,
    of_a_candidate,
    room_of_candidates,
)
from weedout_core.lab.experiment.searched import keep_as_many, searched_with


class _Stage(NamedTuple):
    """Some epochs of a training under masks that keep as many nodes.

    Attributes:
        epochs: how many.
        macs: dense, active and computed multiply-adds of an example forward.
        scored: the work of the generation before them.
    """

    epochs: int
    macs: tuple[int, int, int]
    scored: Work = Work()


def ledger_rows(
    sparsity: float, cell: Cell, config: ExperimentConfig, dataset: Dataset, alike: bool
) -> list[LedgerRow]:
    """The rows of a cell in ledger.csv. What is scored while it trains counts as training.

    Args:
        sparsity: of the cell.
        cell: the cell.
        config: how it is trained and, where it is, searched.
        dataset: on what.
        alike: whether its network is trained with others whose masks keep as many nodes at each site, so that all of
            them are compacted to one smaller network.
    """
    network, trained, tested = cell.start.network, len(dataset.train.y), len(dataset.test.y)
    plan = train_plan(config.train, trained)
    throughout = not cell.searched or keep_as_many(network.net, sparsity, config.search)
    smaller = alike and throughout and trained_smaller(network.net, config.train)
    whole, computed = network.costs, costs(network.compact().net if smaller else network.net)
    own = whole.macs, whole.active_macs, computed.macs
    stages = [_Stage(config.train.epochs, own)]
    if cell.searched:
        search, examples = searched_with(cell, config.search), len(dataset.validation.y)
        *stages, last = _stages(network.net, config, search, sparsity, examples, smaller)
        stages.append(last._replace(macs=own))  # its mask is the one that the cell has in the end
    training, evaluation = Work(), _shown(trained + tested, stages[-1])
    for stage in stages:
        steps = stage.epochs * plan.steps
        shown = _shown(STEP * steps * plan.batch_size, stage)._replace(steps=steps)
        training = training.plus(stage.scored).plus(shown)
        evaluation = evaluation.plus(_shown(stage.epochs * tested, stage))
    phases = {"choose": cell.start.spent, "train": training, "evaluate": evaluation}
    return [
        LedgerRow(sparsity, cell.arm, cell.repeat, phase, *spent, computed.bytes) for phase, spent in phases.items()
    ]


def _shown(examples: int, stage: _Stage) -> Work:
    """Examples that a network of a stage is shown, forward."""
    return Work(0, 0, *(examples * macs for macs in stage.macs))


def _stages(
    net: Network,
    config: ExperimentConfig,
    search: SearchConfig,
    sparsity: float,
    examples: int,
    compacted_in_training: bool,
) -> Iterator[_Stage]:
    """The stages of a training whose mask is searched. Masks of one plan differ little in what is active."""
    every, epochs = config.train.search_epochs, config.train.epochs
    generations, initial = config.train.generations, config.searched_at(sparsity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # said when the run was opened
        plans = [search_plan(net, initial, search), *rising_plans(net, initial, sparsity, generations, search)]
    for number, plan in enumerate(plans):
        dense, active, _ = of_a_candidate(net, plan)
        scored = costs(compacted(net, room_of_candidates(net, plan, search)).net).macs
        small = compact(net, plan.counts).net if compacted_in_training else net
        seen = search.population * examples_of_a_score(search, examples)
        yield _Stage(
            every if number < generations else epochs - generations * every,
            (dense, active, costs(small).macs),
            Work(search.population, 0, seen * dense, seen * active, seen * scored) if number else Work(),
        )

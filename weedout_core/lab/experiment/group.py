"""One group of the experiment, from choosing to test accuracy: a pure function apart from the events it reports."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core import Evaluation, Trained
from weedout_core._random.keys import of_repeat
from weedout_core.backend import Backend
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.allocation import exact_plan
from weedout_core.lab.experiment.arms import Cell, LeftOut, Start, Task
from weedout_core.lab.experiment.billing import ledger_rows
from weedout_core.lab.experiment.choosing import choose_all, tasks
from weedout_core.lab.experiment.configuration import network
from weedout_core.lab.experiment.decided import Decided
from weedout_core.lab.experiment.events import EVALUATE, GroupFinished, PhaseStarted
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.phases import GroupWork, Offer, OnEvent, choosing, evaluate_cells, train_cells
from weedout_core.lab.experiment.rows import (
    CurveRow,
    LeftOutRow,
    ResultRow,
    SearchRow,
    curve_row,
    result_row,
    search_rows,
)
from weedout_core.lab.experiment.searched import after_training
from weedout_core.lab.experiment.slices import alike, in_order_of_training, slices
from weedout_core.lab.experiment.so_far import NOTHING, GroupProgress
from weedout_core.lab.experiment.thresholds import ThresholdRow, threshold_rows


class GroupResult(NamedTuple):
    """The results of a group.

    Attributes:
        group: the group.
        results: a row for each cell.
        curves: a row for each cell and epoch.
        searches: a row for each generation of each search.
        ledger: three rows for each cell.
        left_out: a row for each cell that was not trained.
        thresholds: a row for each site of each cell whose masks were made of scores.
        masks: {"arm/repeat/site": bool ``shape``}, True where a node is kept.
        parameters: {"arm/repeat/path": float ``shape``}, the trained weights and the running statistics.
    """

    group: Group
    results: tuple[ResultRow, ...]
    curves: tuple[CurveRow, ...]
    searches: tuple[SearchRow, ...]
    ledger: tuple[LedgerRow, ...]
    left_out: tuple[LeftOutRow, ...]
    thresholds: tuple[ThresholdRow, ...]
    masks: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]


def run_group(
    experiment: Experiment,
    decided: Decided,
    group: Group,
    dataset: Dataset,
    backend: Backend,
    on_event: OnEvent,
    resume: GroupProgress = NOTHING,
    offer: Offer = lambda fetch, epoch: None,
) -> GroupResult:
    """Let all arms choose, train what they chose (``decided.together`` at a time), and measure it.

    Args:
        experiment: the experiment.
        decided: what was decided when the run began.
        group: the group to compute.
        dataset: from ``load_dataset``.
        backend: from ``wc.load_backend``.
        on_event: called with each event as it happens.
        resume: the progress from which the group goes on.
        offer: called after each choice, generation and epoch with a function that fetches the progress so far, and with
            the number of epochs done (None before training).
    """
    config, arms = experiment.config, experiment.arms
    work = _work(experiment, decided, group, dataset, backend)
    work = work._replace(on_event=on_event, resume=resume, offer=offer)
    chosen = choose_all(choosing(work, experiment.model), arms, resume)
    # All arms of a repeat have the same key, so they share the parent and the order of the data, and form pairs.
    places = [(arm.name, repeat, of_repeat(config.seed, repeat)) for arm in arms for repeat in group.repeats]
    made = list(zip(places, chosen.chosen, strict=True))
    starts = [
        Cell(*place, one, searched=bool(config.train.search_epochs and one.history))
        for place, one in made
        if isinstance(one, Start)
    ]
    thresholds = threshold_rows(group.sparsity, starts, arms, work.plan)
    cells = in_order_of_training(starts, work.plan)
    trained = train_cells(work, cells, chosen)
    on_event(PhaseStarted(group, EVALUATE, None))
    scores = [evaluate_cells(work, cells, trained, split) for split in (dataset.train, dataset.test)]
    on_event(GroupFinished(group))
    order = {place[:2]: number for number, place in enumerate(places)}
    found = map(
        _Measured,
        map(after_training, cells, trained),
        trained,
        *scores,
        alike(cells, slices(cells, decided.together, work.plan)),
    )
    measured = sorted(found, key=lambda one: order[one.cell.arm, one.cell.repeat])
    left_out = [LeftOutRow(group.sparsity, *place[:2], *one) for place, one in made if isinstance(one, LeftOut)]
    return _result(work, measured, left_out, thresholds)


def group_tasks(
    experiment: Experiment,
    decided: Decided,
    group: Group,
    dataset: Dataset,
    backend: Backend,
    name: str,
    on_event: OnEvent,
) -> Iterator[Task]:
    """The tasks that :func:`run_group` hands an arm of this name, by repeat, without choosing or training anything."""
    work = _work(experiment, decided, group, dataset, backend)._replace(on_event=on_event)
    return tasks(choosing(work, experiment.model), name)


def _work(experiment: Experiment, decided: Decided, group: Group, dataset: Dataset, backend: Backend) -> GroupWork:
    """A group from its beginning, of which nobody is told."""
    net = network(experiment.config, dataset, experiment.model)
    plan = exact_plan(net, group.sparsity, experiment.config.search)
    return GroupWork(experiment.config, decided, group, dataset, net, plan, backend)


class _Measured(NamedTuple):
    """A trained cell, and whether all networks that are trained with it keep as many nodes at each site."""

    cell: Cell
    trained: Trained
    train: Evaluation
    test: Evaluation
    alike: bool


def _result(
    work: GroupWork,
    measured: Sequence[_Measured],
    left_out: Sequence[LeftOutRow],
    thresholds: Sequence[ThresholdRow],
) -> GroupResult:
    eta, config, dataset = work.group.sparsity, work.config, work.dataset
    return GroupResult(
        work.group,
        tuple(result_row(eta, *one[:4]) for one in measured),
        tuple(curve_row(eta, one.cell, epoch) for one in measured for epoch in one.trained.history),
        tuple(row for one in measured for row in search_rows(eta, one.cell)),
        tuple(row for one in measured for row in ledger_rows(eta, one.cell, config, dataset, one.alike)),
        tuple(left_out),
        tuple(thresholds),
        {
            f"{cell.arm}/{cell.repeat}/{site}": mask
            for cell, *_ in measured
            for site, mask in (cell.start.network.mask or {}).items()
        },
        {
            f"{cell.arm}/{cell.repeat}/{path}": value
            for cell, one, *_ in measured
            for path, value in {**one.network.params, **one.network.moving}.items()
        },
    )

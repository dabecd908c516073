"""A cell of the experiment, one sparsity × arm × repeat: what it starts from, and its rows in the tables."""

from typing import NamedTuple

import numpy as np

from weedout_core import (
    Epoch,
    Evaluation,
    Generation,
    Subnetwork,
)
from weedout_core.backend import Origin
from weedout_core.lab.experiment.rows import Arm, CurveRow, ResultRow, SearchRow
from weedout_core.random import Key


class Cell(NamedTuple):
    """What a cell starts from, and what the search knows of it."""

    arm: Arm
    repeat: int
    key: Key
    network: Subnetwork
    origin: Origin | None
    fitness: float | None
    population_mean: float | None
    evaluations: int
    stopped: str | None
    batch: int | None


def result_row(sparsity: float, cell: Cell, train: Evaluation, test: Evaluation) -> ResultRow:
    """The cell's row in results.csv."""
    cost = cell.network.costs
    return ResultRow(
        sparsity=sparsity,
        arm=cell.arm,
        repeat=cell.repeat,
        origin_generation=None if cell.origin is None else cell.origin.generation,
        origin_candidate=None if cell.origin is None else cell.origin.candidate,
        fitness=cell.fitness,
        population_mean_fitness=cell.population_mean,
        achieved_sparsity=cell.network.sparsity,
        parameters=cost.parameters,
        active_parameters=cost.active_parameters,
        macs=cost.macs,
        active_macs=cost.active_macs,
        train_accuracy=train.accuracy,
        train_loss=train.loss,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        evaluations=cell.evaluations,
        stopped=cell.stopped,
        validation_batch=cell.batch,
    )


def curve_row(sparsity: float, cell: Cell, epoch: Epoch) -> CurveRow:
    """The cell's row of an epoch in curves.csv."""
    return CurveRow(sparsity, cell.arm, cell.repeat, *epoch)


def search_row(sparsity: float, repeat: int, found: Generation) -> SearchRow:
    """A generation's row in search.csv."""
    return SearchRow(
        sparsity, repeat, found.generation, found.best, found.mean, found.worst, margin(found.fitness),
        found.not_finite, found.evaluations,
    )  # fmt: skip


def margin(fitness: np.ndarray) -> float | None:
    """Best minus second best of the finite fitness ``(m,)``; None where fewer than two are finite."""
    ranked = np.sort(fitness[np.isfinite(fitness)])
    return float(ranked[-1] - ranked[-2]) if len(ranked) > 1 else None

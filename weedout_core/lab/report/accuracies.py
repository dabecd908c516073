"""Accuracies of arms: at the end by sparsity, and by epoch, each a mean over the repeats with its 95 % interval."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.rows import CurveRow, ResultRow
from weedout_core.lab.report.tables import interval_key
from weedout_core.lab.statistics import Interval, mean_interval

#: The fields of a curve that are accuracies, and what they are called.
SPLITS = {"train": "train_accuracy", "test": "test_accuracy"}

#: Of no run.
NO_INTERVAL = Interval(math.nan, math.nan, math.nan)


class ArmMean(NamedTuple):
    """The test accuracy of an arm at a sparsity, in [0, 1]: mean and interval over the runs that did not diverge.

    ``mean`` is NaN if all diverged, ``low`` and ``high`` also for a single run.
    """

    sparsity: float
    arm: str
    runs: int
    diverged: int
    mean: float
    low: float
    high: float


class EpochMean(NamedTuple):
    """The accuracy of an arm after an epoch, on one split; everything else as in :class:`ArmMean`."""

    sparsity: float
    arm: str
    split: str
    epoch: int
    runs: int
    diverged: int
    mean: float
    low: float
    high: float


def arm_means(config: ExperimentConfig, rows: Sequence[ResultRow]) -> list[ArmMean]:
    """The test accuracy of each arm at each sparsity, by sparsity and then in the order of the rows."""
    cells: dict[tuple[float, str], list[float]] = {}
    for row in rows:
        cells.setdefault((row.sparsity, row.arm), []).append(row.test_accuracy)
    return [ArmMean(*cell, *_summary(config, cells[cell])) for cell in sorted(cells, key=lambda cell: cell[0])]


def epoch_means(config: ExperimentConfig, rows: Sequence[CurveRow]) -> list[EpochMean]:
    """The accuracies of each arm at each sparsity after each epoch, on both splits."""
    cells: dict[tuple[float, str, str, int], list[float]] = {}
    for split, field in SPLITS.items():
        for row in rows:
            value = math.nan if row.diverged else getattr(row, field)
            cells.setdefault((row.sparsity, row.arm, split, row.epoch), []).append(value)
    return [EpochMean(*cell, *_summary(config, values)) for cell, values in cells.items()]


def _summary(config: ExperimentConfig, values: Sequence[float]) -> tuple[int, int, float, float, float]:
    known = [value for value in values if not math.isnan(value)]
    mean, low, high = mean_interval(known, config.interval, interval_key(config)) if known else NO_INTERVAL
    return len(values), len(values) - len(known), mean, low, high

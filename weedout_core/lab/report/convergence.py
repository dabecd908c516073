"""How many epochs networks take to given test accuracies, and by how many the arms differ."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from weedout_core.lab.experiment.rows import CurveRow
from weedout_core.lab.report.scope import Scope
from weedout_core.lab.verdict.convergence import EpochsDifference, epochs_difference, epochs_to

#: The accuracies that are asked for, the same in every run.
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)


class ReachRow(NamedTuple):
    """The first epoch after which a network has a test accuracy; None if it never has."""

    sparsity: float
    arm: str
    repeat: int
    accuracy: float
    epochs: int | None


class SpeedRow(NamedTuple):
    """The difference of epochs to one accuracy, first − second; its other fields are those of EpochsDifference.

    Differences that are all equal have no interval: they do not show how far the mean may be off.
    """

    sparsity: float
    accuracy: float
    first: str
    second: str
    pairs: int
    first_never: int
    second_never: int
    neither: int
    mean: float
    low: float
    high: float


def reach_rows(rows: Sequence[CurveRow]) -> list[ReachRow]:
    """The epochs of each network to each accuracy that tells networks apart.

    An accuracy is left out where no network of the run has it, or where all have it after the first epoch.
    """
    curves: dict[tuple[float, str, int], list[CurveRow]] = {}
    for row in rows:
        curves.setdefault((row.sparsity, row.arm, row.repeat), []).append(row)
    found = {
        cell: epochs_to(
            [row.epoch for row in curve],
            [math.nan if row.diverged else row.test_accuracy for row in curve],
            LEVELS,
        )
        for cell, curve in curves.items()
    }
    reached = [{epochs[place] for epochs in found.values()} for place in range(len(LEVELS))]
    telling = [place for place, epochs in enumerate(reached) if not epochs <= {None} and not epochs <= {1}]
    return [ReachRow(*cell, LEVELS[place], epochs[place]) for cell, epochs in found.items() for place in telling]


def speed_rows(rows: Sequence[ReachRow], scope: Scope) -> list[SpeedRow]:
    """Each arm that is no sanity check against the baseline, at each sparsity and accuracy, by paired repeats."""
    epochs = {(row.sparsity, row.accuracy, row.arm, row.repeat): row.epochs for row in rows}
    found: list[SpeedRow] = []
    for sparsity in sorted({row.sparsity for row in rows}):
        for accuracy in sorted({row.accuracy for row in rows}):
            for arm in scope.others:
                compared = _difference(epochs, sparsity, accuracy, arm, scope.baseline)
                if compared is not None:
                    found.append(SpeedRow(sparsity, accuracy, arm, scope.baseline, *compared))
    return found


def _difference(
    epochs: dict[tuple[float, float, str, int], int | None], sparsity: float, accuracy: float, arm: str, baseline: str
) -> EpochsDifference | None:
    here = [place for place in epochs if place[:2] == (sparsity, accuracy)]
    repeats = sorted(
        {place[3] for place in here if place[2] == arm} & {place[3] for place in here if place[2] == baseline}
    )
    if not repeats:
        return None
    first, second = ([epochs[sparsity, accuracy, one, repeat] for repeat in repeats] for one in (arm, baseline))
    found = epochs_difference(first, second)
    return found if found.low < found.high else found._replace(low=math.nan, high=math.nan)

"""The same experiment in several runs: which repeats are pairs, and accuracies side by side and cell by cell."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from weedout_core.lab.report.accuracies import arm_means
from weedout_core.lab.report.differences import plain_interval
from weedout_core.lab.report.source import Source


class Run(NamedTuple):
    """A run under the name by which readers tell it from the others."""

    name: str
    source: Source

    @property
    def label(self) -> str:
        """The name with the backend, for legends."""
        return f"{self.name} ({self.source.config.backend})"


#: The fields of a run's identity that must be equal for a repeat to begin alike in two runs: with the same weights, the
#: same examples and the same order of them.
PAIRING = ("seed", "dataset", "dataset_digest", "train_examples", "test_examples", "network", "sampler_version")


def unpaired(first: Run, other: Run) -> list[str]:
    """Why repeats of two runs are no pairs: the fields of :data:`PAIRING` that differ; none where they are pairs."""
    one, another = (run.source.record["identity"] for run in (first, other))
    return [field for field in PAIRING if one[field] != another[field]]


def paired(runs: Sequence[Run]) -> list[Run]:
    """The runs after the first whose repeats are pairs with those of the first."""
    return [run for run in runs[1:] if not unpaired(runs[0], run)]


class RunMean(NamedTuple):
    """The test accuracy of an arm at a sparsity in a run; everything else as in ``ArmMean``."""

    run: str
    sparsity: float
    arm: str
    runs: int
    diverged: int
    mean: float
    low: float
    high: float


class CellRow(NamedTuple):
    """One cell of two runs: ``difference`` is the test accuracy in ``run`` − that in ``first``, as a fraction of 1; NaN
    where a training diverged."""

    run: str
    first: str
    sparsity: float
    arm: str
    repeat: int
    difference: float


class CellMean(NamedTuple):
    """All repeats of one arm at one sparsity in two runs.

    Attributes:
        run, first, sparsity, arm: what is compared: ``run`` − ``first``.
        pairs, diverged: cells in which neither training diverged, and those in which one or both did.
        mean, low, high: of the differences of the pairs, with the plain interval. NaN where there is no pair; the ends
            also where the differences do not vary, which do not show how far the mean may be off.
        largest: the largest absolute difference of a pair; NaN where there is none.
    """

    run: str
    first: str
    sparsity: float
    arm: str
    pairs: int
    diverged: int
    mean: float
    low: float
    high: float
    largest: float


def run_means(runs: Sequence[Run]) -> list[RunMean]:
    """The test accuracy of each arm at each sparsity in each run, by sparsity, arm and run."""
    means = [RunMean(run.name, *mean) for run in runs for mean in arm_means(run.source.config, run.source.results)]
    order = arms(runs)
    return sorted(means, key=lambda mean: (mean.sparsity, order.index(mean.arm)))


def arms(runs: Sequence[Run]) -> list[str]:
    """The arms of all runs, in the order in which they first come."""
    return list(dict.fromkeys(arm for run in runs for arm in run.source.scope.arms))


def cell_rows(runs: Sequence[Run]) -> list[CellRow]:
    """The cells that a run has in common with the first run, of the runs whose repeats are pairs with the first's."""
    first = runs[0]
    found = {(row.sparsity, row.arm, row.repeat): row.test_accuracy for row in first.source.results}
    return [
        CellRow(run.name, first.name, *cell, row.test_accuracy - found[cell])
        for run in paired(runs)
        for row in run.source.results
        if (cell := (row.sparsity, row.arm, row.repeat)) in found
    ]


def cell_means(runs: Sequence[Run], rows: Sequence[CellRow]) -> list[CellMean]:
    """The mean difference of each arm at each sparsity, with its interval by the method of the first run."""
    places: dict[tuple[str, str, float, str], list[float]] = {}
    for row in rows:
        places.setdefault(row[:4], []).append(row.difference)
    means: list[CellMean] = []
    for place, differences in places.items():
        known = [value for value in differences if not math.isnan(value)]
        interval = plain_interval(runs[0].source.config, known)
        largest = max(map(abs, known), default=math.nan)
        means.append(CellMean(*place, len(known), len(differences) - len(known), *interval, largest))
    return means


class VerdictOfRun(NamedTuple):
    """The verdict of a run on a method at a sparsity, at its last look."""

    sparsity: float
    method: str
    baseline: str
    run: str
    look: int
    verdict: str
    mean: float
    low: float
    high: float


def verdicts_of(runs: Sequence[Run]) -> list[VerdictOfRun]:
    """The verdicts of the runs that were judged and looked at, by sparsity, method, baseline and run."""
    found = [
        VerdictOfRun(
            row.sparsity, row.method, row.baseline, run.name, row.look, row.verdict, row.mean, row.low, row.high
        )
        for run in runs
        for row in run.source.verdicts
        if row.look == run.source.scope.look
    ]
    order = arms(runs)
    return sorted(found, key=lambda row: (row.sparsity, order.index(row.method), order.index(row.baseline)))

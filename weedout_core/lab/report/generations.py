"""The fitness of each generation of the searches, and how far it spreads."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weedout_core.lab.experiment.rows import SearchRow


class GenerationMean(NamedTuple):
    """A generation, over the searches that came to it: the means of their best, mean and worst fitness.

    ``not_finite`` counts candidates without a finite fitness; a search in which a value is not finite is left out of
    the mean of that value, which is NaN if all searches are.
    """

    sparsity: float
    generation: int
    searches: int
    not_finite: int
    best: float
    mean: float
    worst: float


class Spread(NamedTuple):
    """How far fitness spreads at a sparsity before any selection, in the first generation.

    Attributes:
        sparsity: of the searches.
        searches: how many there are, each on a parent of its own.
        within: the fittest candidate's fitness minus the least fit one's, mean over the searches.
        between: the standard deviation of the generations' means, from search to search; NaN for one search.
    """

    sparsity: float
    searches: int
    within: float
    between: float


def generation_means(rows: Sequence[SearchRow]) -> list[GenerationMean]:
    """The means over the searches of each generation, by sparsity."""
    cells: dict[tuple[float, int], list[SearchRow]] = {}
    for row in rows:
        cells.setdefault((row.sparsity, row.generation), []).append(row)
    return [
        GenerationMean(
            *cell,
            len(cells[cell]),
            sum(row.not_finite for row in cells[cell]),
            *(_mean([getattr(row, name) for row in cells[cell]]) for name in ("best", "mean", "worst")),
        )
        for cell in sorted(cells)
    ]


def spreads(rows: Sequence[SearchRow]) -> list[Spread]:
    """The spread of fitness in the first generation at each sparsity."""
    found: list[Spread] = []
    for sparsity in sorted({row.sparsity for row in rows}):
        first = [row for row in rows if row.sparsity == sparsity and row.generation == 0]
        means = [row.mean for row in first if math.isfinite(row.mean)]
        between = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
        found.append(Spread(sparsity, len(first), _mean([row.best - row.worst for row in first]), between))
    return found


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan

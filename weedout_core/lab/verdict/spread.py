"""Where the spread of fitness comes from: initial weights, or masks."""

import math
from typing import NamedTuple

import numpy as np

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Numbers
from weedout_core.errors import ConfigError


class FitnessSpread(NamedTuple):
    """Variance components of fitness, in its unit squared.

    Attributes:
        initialisations: the variance between initialisations. The estimate is unbiased, so it may be below 0, where
            initialisations differ by less than their masks alone would make them differ.
        masks: the variance between masks of one initialisation.
        share: initialisations / (initialisations + masks), the intraclass correlation; NaN where all values are equal.
    """

    initialisations: float
    masks: float
    share: float


@guarded
def fitness_spread(fitness: Numbers) -> FitnessSpread:
    """Divide the variance of fitness between initial weights and masks.

    One-way random effects, y_ij = mean + a_i + e_ij with initialisation i and its mask j, estimated by the analysis of
    variance for equal numbers (Searle, Casella, McCulloch, "Variance Components", 1992, chapter 3): for n masks each,
    var(e) = MSE and var(a) = (MSA − MSE) / n, where MSA and MSE are the mean squares between initialisations and within
    them. The share is the ICC(1, 1) of Shrout and Fleiss (Psychological Bulletin 86, 1979),
    (MSA − MSE) / (MSA + (n − 1) MSE).

    Args:
        fitness: ``(initialisations, masks)``, at least two of each, all finite; the masks of each row drawn anew. Where
            rows share their masks, what a mask does in all rows counts as masks' too, and initialisations are estimated
            a little low.
    Raises:
        ConfigError: the table has another shape, or a value is not finite.
    """
    table = np.asarray(fitness, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ConfigError(
            f"fitness must be a table (initialisations, masks) with at least 2 of each; got shape {table.shape}."
        )
    if not np.isfinite(table).all():
        raise ConfigError(
            f"fitness must be finite; {int((~np.isfinite(table)).sum())} of {table.size} values are not. "
            "Leave out the initialisations that they belong to, and count them."
        )
    rows, masks = table.shape
    means = table.mean(axis=1)
    between = masks * float(means.var(ddof=1))
    within = float(((table - means[:, None]) ** 2).sum()) / (rows * (masks - 1))
    component = (between - within) / masks
    total = component + within
    return FitnessSpread(component, within, component / total if total > 0 else math.nan)

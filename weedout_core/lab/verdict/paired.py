"""What the pairs of a comparison say: their mean difference with its interval, how large it is, and how sure."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from scipy import special

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Accuracy, Number, Probability, real
from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.statistics import student_t_interval

#: Differences of accuracy smaller than this do not matter, unless a user says otherwise: half a point of percent.
MARGIN = 0.005
_LARGE = 0.1  # from here on points may have been meant

_FRACTION = real(lambda margin: 0 < margin < 1, "above 0 and below 1, a fraction of 1")


def _margin(name: str, value: object) -> float:
    margin: float = _FRACTION.convert(name, value)
    if margin >= _LARGE:
        warnings.warn(
            f"{name} {margin:g} is {100 * margin:g} points of percent, by which methods that are called equivalent may "
            f"differ; half a point is {MARGIN:g}.",
            WeedoutWarning,
            stacklevel=6,  # whoever makes a configuration
        )
    return margin


def _advice(value: float) -> str:
    return "Divide points by 100." if value >= 1 else ""


#: The smallest difference that matters, as a fraction of 1, above 0 and below 1. It warns from 0.1 up.
Margin = Annotated[float, replace(_FRACTION, convert=_margin, remedy=_advice)]

#: Differences that agree within this are equal, and their spread is rounding: over a million examples an accuracy has
#: steps of 1e-6.
_ROUNDING = 1e-9


class Paired(NamedTuple):
    """Two methods, repeat by repeat: the differences of their accuracies, first − second, as fractions of 1.

    Attributes:
        pairs: those in which neither training diverged. Everything below is of them alone.
        diverged: pairs in which one training diverged, or both.
        mean: of the differences; NaN where there is no pair.
        low, high: Student's interval for the mean difference. NaN where the differences do not vary, which fewer than
            two cannot: how far the mean may be off is then not known.
        deviation: the sample standard deviation of the differences, n − 1 in the denominator; NaN for fewer than two
            pairs, and 0 where differences are equal but for rounding.
        cohens_d: the effect size d_z = mean / deviation (Cohen 1988; Lakens, Frontiers in Psychology 4:863, 2013); NaN
            where the differences do not vary.
        hedges_g: d_z without its bias in small samples: times J(n − 1), where J(m) is
            gamma(m/2) / (√(m/2) gamma((m − 1)/2)) (Hedges, Journal of Educational Statistics 6, 1981). NaN for fewer
            than three pairs too.
        correlation: Pearson's, between the two accuracies of a pair; NaN for fewer than two pairs, and where one method
            has the same accuracy in all of them.
        power: the probability that an interval at this number of pairs would have shown which method is better, if the
            true difference were the margin and the true standard deviation ``deviation``: the noncentral t
            distribution's, P(t > the quantile of 1 − alpha / 2), noncentrality margin · √n / deviation (Cohen 1988).
            NaN where the differences do not vary.
        repeats_needed: the least number of pairs at which an interval of the same level decides (see
            :func:`weedout_core.lab.verdict.verdicts.verdict_of`), if mean and standard deviation stay what they are.
            None where the differences do not vary.
    """

    pairs: int
    diverged: int
    mean: Number
    low: Number
    high: Number
    deviation: Number
    cohens_d: Number
    hedges_g: Number
    correlation: Number
    power: Number
    repeats_needed: int | None


@guarded
def paired_statistics(
    first: Sequence[Accuracy], second: Sequence[Accuracy], alpha: Probability, margin: Margin = MARGIN
) -> Paired:
    """Compare two methods by their accuracies in the same repeats.

    Args:
        first, second: test accuracies in [0, 1], one for each repeat and in the same order; NaN where a training
            diverged.
        alpha: the two-sided significance level of the interval, as
            :func:`weedout_core.lab.verdict.looks.nominal_level` gives it: the confidence is 1 − alpha.
        margin: the smallest difference that matters, as a fraction of 1, above 0 and below 1.
    Raises:
        ConfigError: the two are not equally many, or a number is out of range.
    """
    if len(first) != len(second):
        raise ConfigError(f"paired accuracies must be equally many; got {len(first)} and {len(second)}.")
    both = np.asarray([first, second], dtype=np.float64)
    known = both[:, ~np.isnan(both).any(axis=0)]
    differences = known[0] - known[1]
    pairs = len(differences)
    mean = float(differences.mean()) if pairs else math.nan
    deviation = _deviation(differences)
    varies = deviation > 0
    interval = student_t_interval(differences.tolist(), 1 - alpha) if varies else None
    effect = mean / deviation if varies else math.nan
    return Paired(
        pairs=pairs,
        diverged=len(first) - pairs,
        mean=mean,
        low=interval.low if interval else math.nan,
        high=interval.high if interval else math.nan,
        deviation=deviation,
        cohens_d=effect,
        hedges_g=effect * hedges_correction(pairs - 1),
        correlation=_correlation(*known),
        power=_power(pairs, deviation, alpha, margin) if varies else math.nan,
        repeats_needed=_repeats_needed(mean, deviation, alpha, margin) if varies else None,
    )


def hedges_correction(degrees: int) -> float:
    """J(m) of m degrees of freedom, by which an effect size is too large on average; NaN below 2, where it has none."""
    if degrees < 2:
        return math.nan
    return math.exp(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)) / math.sqrt(degrees / 2)


def _deviation(values: np.ndarray) -> float:
    if len(values) < 2:
        return math.nan
    return 0.0 if np.ptp(values) <= _ROUNDING else float(values.std(ddof=1))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if not (_deviation(first) > 0 and _deviation(second) > 0):
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def _quantile(pairs: int, alpha: float) -> float:
    """Of Student's t: what half of a level lies above."""
    return float(-special.stdtrit(pairs - 1, alpha / 2))


def _power(pairs: int, deviation: float, alpha: float, margin: float) -> float:
    from scipy import stats  # half a second to import, and only a comparison needs it

    quantile = _quantile(pairs, alpha)
    return float(stats.nct.sf(quantile, pairs - 1, margin * math.sqrt(pairs) / deviation))


def _repeats_needed(mean: float, deviation: float, alpha: float, margin: float) -> int:
    """Decided is an interval mean ± h that leaves out 0, h < |mean|, or lies inside the margin, h < margin − |mean|."""
    enough = max(abs(mean), margin - abs(mean))

    def decides(pairs: int) -> bool:
        return _quantile(pairs, alpha) * deviation / math.sqrt(pairs) < enough

    fewest, most = 1, 2
    while not decides(most):
        fewest, most = most, 2 * most
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (fewest, middle) if decides(middle) else (middle, most)
    return most

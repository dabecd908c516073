"""Means of a few runs with their intervals, by three methods. One run has no interval: its ends are NaN."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special  # not stats, which takes half a second to import

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Number, Probability
from weedout_core.errors import ConfigError
from weedout_core.random import Key, bits

IntervalMethod = Literal["student_t", "normal", "bootstrap"]

LEVEL = 0.95
_RESAMPLES = 10_000


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval. ``low`` and ``high`` are NaN for a single value."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's length; NaN for a single value."""
        return (self.high - self.low) / 2


@guarded
def mean_interval(values: Sequence[Number], method: IntervalMethod, key: Key, level: Probability = LEVEL) -> Interval:
    """The mean of independent runs with its interval.

    Args:
        values: one finite value for each run, at least one. Leave out runs that diverged, and count them separately.
        method: "student_t": see :func:`student_t_interval`; "normal": the same with the normal distribution's quantile,
            1.96 for 95 %; "bootstrap": percentiles of the means of 10,000 resamples, 2.5 and 97.5 for 95 %.
        key: the key from which "bootstrap" draws its resamples, uint32 ``(2,)``; the other methods draw nothing.
        level: the confidence of the interval, in (0, 1).
    Raises:
        ConfigError: there is no value, one is not finite, the method is unknown, or the level is out of range.
    """
    if method == "student_t":
        return student_t_interval(values, level)
    sample = _finite(values)
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(mean, math.nan, math.nan)
    if method == "bootstrap":
        low, high = np.percentile(_resample(sample, key).mean(axis=1), [50 * (1 - level), 50 * (1 + level)])
        return Interval(mean, float(low), float(high))
    return _around(sample, float(special.ndtri((1 + level) / 2)))


@guarded
def student_t_interval(values: Sequence[Number], level: Probability = LEVEL) -> Interval:
    """The mean of independent runs ± t·s/√n, with Student's t of n − 1 degrees of freedom.

    Args and raises: as :func:`mean_interval`.
    """
    sample = _finite(values)
    if sample.size == 1:
        return Interval(float(sample[0]), math.nan, math.nan)
    return _around(sample, float(special.stdtrit(sample.size - 1, (1 + level) / 2)))


@guarded
def paired_difference(
    first: Sequence[Number], second: Sequence[Number], method: IntervalMethod, key: Key, level: Probability = LEVEL
) -> Interval:
    """The mean of ``first − second``, run by run, with its interval.

    Args:
        first, second: the values of two arms, as many of each, in the same order of runs.
        method, key, level: as for :func:`mean_interval`.
    Raises:
        ConfigError: the numbers of values differ, or as for :func:`mean_interval`.
    """
    if len(first) != len(second):
        raise ConfigError(f"paired values must have the same number in both arms; got {len(first)} and {len(second)}.")
    return mean_interval(np.subtract(first, second).tolist(), method, key, level)


def _finite(values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ConfigError("an interval needs at least one value; got none.")
    if not np.isfinite(sample).all():
        raise ConfigError(
            f"an interval needs values that are finite; got {sample[~np.isfinite(sample)][0]} among {sample.size}. "
            "Leave out the runs that diverged, and count them."
        )
    return sample


def _around(sample: np.ndarray, quantile: float) -> Interval:
    mean = float(sample.mean())
    half_width = float(quantile * sample.std(ddof=1) / math.sqrt(sample.size))
    return Interval(mean, mean - half_width, mean + half_width)


def _resample(sample: np.ndarray, key: Key) -> np.ndarray:
    """Resamples with replacement, float64 ``(10,000, n)``."""
    words = bits(key, _RESAMPLES * sample.size).astype(np.uint64)
    return sample[(words * np.uint64(sample.size) >> np.uint64(32)).astype(np.intp)].reshape(_RESAMPLES, sample.size)

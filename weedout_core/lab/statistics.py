"""Means of a few runs with their 95 % intervals, by three methods. One run has no interval: its ends are NaN."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Number
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
def mean_interval(values: Sequence[Number], method: IntervalMethod, key: Key) -> Interval:
    """The mean of independent runs with its 95 % interval.

    Args:
        values: one finite value for each run, at least one. Leave out runs that diverged, and count them separately.
        method: "student_t": mean ± t·s/√n with n − 1 degrees of freedom; "normal": the same with 1.96;
            "bootstrap": the 2.5 and 97.5 percentiles of the means of 10,000 resamples.
        key: the key from which "bootstrap" draws its resamples, uint32 ``(2,)``; the other methods draw nothing.
    Raises:
        ConfigError: there is no value, one is not finite, or the method is unknown.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ConfigError("an interval needs at least one value; got none.")
    if not np.isfinite(sample).all():
        raise ConfigError(
            f"an interval needs values that are finite; got {sample[~np.isfinite(sample)][0]} among {sample.size}. "
            "Leave out the runs that diverged, and count them."
        )
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(mean, math.nan, math.nan)
    if method == "bootstrap":
        means = _resample(sample, key).mean(axis=1)
        low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
        return Interval(mean, float(low), float(high))
    upper = (1 + LEVEL) / 2
    quantile = stats.t.ppf(upper, sample.size - 1) if method == "student_t" else stats.norm.ppf(upper)
    half_width = float(quantile * sample.std(ddof=1) / math.sqrt(sample.size))
    return Interval(mean, mean - half_width, mean + half_width)


@guarded
def paired_difference(first: Sequence[Number], second: Sequence[Number], method: IntervalMethod, key: Key) -> Interval:
    """The mean of ``first − second``, run by run, with its interval.

    Args:
        first, second: the values of two arms, as many of each, in the same order of runs.
        method, key: as for :func:`mean_interval`.
    Raises:
        ConfigError: the numbers of values differ, or as for :func:`mean_interval`.
    """
    if len(first) != len(second):
        raise ConfigError(f"paired values must have the same number in both arms; got {len(first)} and {len(second)}.")
    return mean_interval(np.subtract(first, second).tolist(), method, key)


def _resample(sample: np.ndarray, key: Key) -> np.ndarray:
    """Resamples with replacement, float64 ``(10,000, n)``."""
    words = bits(key, _RESAMPLES * sample.size).astype(np.uint64)
    return sample[(words * np.uint64(sample.size) >> np.uint64(32)).astype(np.intp)].reshape(_RESAMPLES, sample.size)

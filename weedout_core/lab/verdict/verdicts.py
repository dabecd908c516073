"""The verdict that an interval implies, and the sentence that says it."""

import math
from decimal import Decimal
from typing import Literal

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Eta, Name, Number
from weedout_core.errors import ConfigError
from weedout_core.lab.verdict.looks import Look
from weedout_core.lab.verdict.paired import MARGIN, Margin, Paired

Verdict = Literal[
    "better",
    "better by less than the margin",
    "equivalent",
    "worse by less than the margin",
    "worse",
    "undecided",
]


@guarded
def verdict_of(low: Number, high: Number, margin: Margin = MARGIN) -> Verdict:
    """What an interval for the true difference, first method − second, implies.

    Each verdict claims what holds for every difference in the closed interval, so that it is right whenever the
    interval covers the true difference:

    ================================  ==============================  =========================================
    verdict                           interval                        claim about the true difference
    ================================  ==============================  =========================================
    better                            0 < low, margin ≤ high          above 0; by how much is open where low is
                                                                      not above the margin
    better by less than the margin    0 < low, high < margin          above 0 and below the margin
    equivalent                        −margin < low ≤ 0 ≤ high        between −margin and margin; which method
                                      and high < margin               is better is open
    worse by less than the margin     −margin < low, high < 0         below 0 and above −margin
    worse                             low ≤ −margin, high < 0         below 0; by how much is open where high is
                                                                      not below −margin
    undecided                         low ≤ 0 ≤ high, and             none
                                      low ≤ −margin or margin ≤ high
    ================================  ==============================  =========================================

    An interval that is not known, NaN at both ends, is undecided.

    Args:
        low, high: the interval's ends, low ≤ high, as fractions of 1.
        margin: the smallest difference that matters, as a fraction of 1, above 0 and below 1.
    Raises:
        ConfigError: low is above high, one end alone is NaN, or the margin is out of range.
    """
    if low > high or math.isnan(low) != math.isnan(high):
        raise ConfigError(
            f"an interval must have two ends, low ≤ high, or be NaN at both; got {low} and {high}. "
            "Hand in the lower end first."
        )
    if low > 0:
        return "better by less than the margin" if high < margin else "better"
    if high < 0:
        return "worse by less than the margin" if low > -margin else "worse"
    return "equivalent" if -margin < low and high < margin else "undecided"


@guarded
def sentence(
    method: Name,
    baseline: Name,
    sparsity: Eta,
    paired: Paired,
    margin: Margin = MARGIN,
    last: Look | None = None,
) -> str:
    """One sentence on two methods at one sparsity, in points of percent, such as: "magnitude is better than random at
    sparsity 80 %: +1.32 points [+0.40, +2.24], 10 pairs."

    It claims what :func:`verdict_of` does, and names the margin where the claim needs it. Numbers have two decimals,
    and more where fewer would move them across 0 or the margin.

    Args:
        method, baseline: what the first and the second method of ``paired`` are called.
        sparsity: the fraction removed, in [0, 1).
        paired: their comparison.
        margin: the one that ``paired`` was made with.
        last: the last planned look, beyond which no more pairs will decide; None where no look is planned.
    Raises:
        ConfigError: as :func:`verdict_of`.
    """
    where, limit = f"at sparsity {percent(sparsity)} %", f"the margin of {percent(margin)} points"
    verdict = verdict_of(paired.low, paired.high, margin)
    if verdict == "undecided":
        return f"Whether {method} is better than {baseline} {where} is undecided: {_open(paired, margin, last)}."
    if verdict == "equivalent":
        claim = f"{method} and {baseline} are equivalent {where}, within {limit}"
    else:
        claim = f"{method} is {verdict.split()[0]} than {baseline} {where}"
        if "less" in verdict:
            claim += f", by less than {limit}"
        elif paired.low > margin or paired.high < -margin:
            claim += f", by more than {limit}"
    return f"{claim}: {_measured(paired, margin)}."


def percent(fraction: float) -> str:
    """A fraction as percent in the shortest text that reads back as it: 0.8 is 80, 0.005 is 0.5."""
    return f"{Decimal(repr(float(fraction))).scaleb(2).normalize():f}"


def _open(paired: Paired, margin: float, last: int | None) -> str:
    """What is known where nothing is decided, and what would decide."""
    if paired.pairs == 0:
        if paired.diverged == 0:
            return "there are no pairs yet"
        return f"a training diverged in {'the only pair' if paired.diverged == 1 else f'all {paired.diverged} pairs'}"
    if paired.repeats_needed is None:
        alone = "one pair does not" if paired.pairs == 1 else "differences that are all equal do not"
        return f"{_points(paired.mean)} points, {_pairs(paired)}, and {alone} show how far that may be off"
    more = paired.repeats_needed - paired.pairs
    said = f"{_measured(paired, margin)}; {more} more would decide if mean and spread stayed the same"
    if last is None or paired.pairs + paired.diverged + more <= last:
        return said
    return f"{said}, but the last planned look is at {last}: a new run would be needed, planned with more looks"


def _measured(paired: Paired, margin: float) -> str:
    low, high = _end(paired.low, margin), _end(paired.high, margin)
    return f"{_points(paired.mean)} points [{low}, {high}], {_pairs(paired)}"


def _pairs(paired: Paired) -> str:
    if not paired.diverged:
        return "1 pair" if paired.pairs == 1 else f"{paired.pairs} pairs"
    everything = paired.pairs + paired.diverged
    return f"{paired.pairs} of {everything} pairs (in {paired.diverged} a training diverged)"


def _points(value: float, decimals: int = 2) -> str:
    """In points of percent, with its sign; what rounds to 0 is +0."""
    text = f"{100 * value:+.{decimals}f}"
    return text.replace("-", "+") if float(text) == 0 else text


def _end(value: float, margin: float) -> str:
    """An interval's end, with as many decimals as keep it below, at or above −margin, 0 and margin, as it is."""
    text = ""
    for decimals in range(2, 18):
        text = _points(value, decimals)
        if all(_side(float(text), 100 * limit) == _side(100 * value, 100 * limit) for limit in (-margin, 0, margin)):
            break
    return text


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)

"""Numbers as they are read in a report."""

import math

from weedout_core.lab.report.accuracies import ArmMean, EpochMean
from weedout_core.lab.report.differences import IDENTICAL, PairedMean
from weedout_core.lab.verdict.verdicts import percent

NOTHING = "–"


def where(sparsity: float) -> str:
    """A sparsity in a sentence."""
    return f"sparsity {percent(sparsity)} %"


def number(value: float, decimals: int = 2, signed: bool = False) -> str:
    """A number with some decimals; a dash where there is none. What rounds to 0 has no minus."""
    if math.isnan(value):
        return NOTHING
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    return text.replace("-", "+" if signed else "") if float(text.replace(",", "")) == 0 else text


def within(mean: float, low: float, high: float, decimals: int = 2) -> str:
    """A difference with its interval."""
    ends = "" if math.isnan(low) else f" [{number(low, decimals, True)}, {number(high, decimals, True)}]"
    return number(mean, decimals, True) + ends


def points(mean: PairedMean) -> str:
    """A difference of accuracies in points, with its interval, or why there is none."""
    if mean.why == IDENTICAL:
        return mean.why
    if not mean.pairs:
        return mean.why or "no pair"
    return within(100 * mean.mean, 100 * mean.low, 100 * mean.high)


def pairs(mean: PairedMean) -> str:
    """How many pairs a mean is of."""
    if not mean.diverged:
        return f"{mean.pairs} pair{'' if mean.pairs == 1 else 's'}"
    everything = mean.pairs + mean.diverged
    return f"{mean.pairs} of {everything} pairs (in {mean.diverged} a training diverged)"


def ended(mean: ArmMean | EpochMean) -> str:
    """An accuracy in percent, or that there is none."""
    return "diverged" if math.isnan(mean.mean) else f"{100 * mean.mean:.1f} %"


def count(value: int, name: str) -> str:
    """A number of things; a name that ends in "y" ends in "ies" where there are several."""
    several = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
    return f"{value:,} {name if value == 1 else several}"

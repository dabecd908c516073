"""A look at all comparisons of a run: a verdict on each, and whether another look is needed."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Accuracy, Eta, Name, Positive, Probability
from weedout_core._guard.showing import brief
from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.verdict.looks import ERROR, LOOKS, Look, check_family, check_looks, nominal_level
from weedout_core.lab.verdict.paired import MARGIN, Margin, Paired, paired_statistics
from weedout_core.lab.verdict.verdicts import Verdict, sentence, verdict_of


class Pairs(NamedTuple):
    """Two methods at one sparsity, repeat by repeat.

    Attributes:
        method, baseline: what they are called.
        sparsity: the fraction removed, in [0, 1).
        accuracies: of the method, test accuracies in [0, 1] in the order of the repeats; NaN where a training diverged.
        baseline_accuracies: the baseline's, in the same repeats.
    """

    method: Name
    baseline: Name
    sparsity: Eta
    accuracies: Sequence[Accuracy]
    baseline_accuracies: Sequence[Accuracy]


class Finding(NamedTuple):
    """What a look says of one comparison."""

    method: str
    baseline: str
    sparsity: float
    paired: Paired
    verdict: Verdict
    sentence: str


class Decision(NamedTuple):
    """What a look says.

    Attributes:
        look: the number of repeats looked at.
        alpha: the two-sided significance level of each interval.
        findings: one for each comparison, in the order handed in.
        decided: whether no verdict is "undecided".
        next_look: the number of repeats to look at next; None where all is decided or this is the last look.
    """

    look: int
    alpha: float
    findings: tuple[Finding, ...]
    decided: bool
    next_look: int | None

    __repr__ = brief


@guarded
def decide(
    comparisons: Sequence[Pairs],
    look: Look,
    looks: Sequence[Look] = LOOKS,
    margin: Margin = MARGIN,
    error: Probability = ERROR,
    *,
    family: Positive | None = None,
) -> Decision:
    """Look at the first ``look`` repeats of all comparisons of a run.

    A run stops at the first look at which every comparison is decided, or at the last. All its sentences are right
    together with probability at least 1 − error, if differences are normal, the looks and the comparisons were chosen
    before the first look, and each look has all of the comparisons, those that were decided earlier too.

    Args:
        comparisons: at least one. Repeats after the look do not count.
        look: one of ``looks``.
        looks: the planned numbers of repeats, increasing, each at least 2. A pair that diverged counts as looked at,
            and is in no mean.
        margin: the smallest difference that matters, as a fraction of 1, above 0 and below 1.
        error: the probability that any sentence is wrong, in (0, 1).
        family: the number of comparisons whose sentences are to be right together, which sets the level: these and
            those of other runs; None means these alone.
    Raises:
        ConfigError: there is no comparison, ``look`` is none of the looks, a comparison has too few repeats, the
            family has fewer comparisons, or an argument is out of range.
    """
    check_looks(looks)
    if not comparisons:
        raise ConfigError("a decision needs at least one comparison; got none. Hand in the pairs of two methods.")
    if look not in looks:
        raise ConfigError(f"look must be one of the planned looks, {tuple(looks)}; got {look}. Wait for the next one.")
    for one in comparisons:
        _check_repeats(one, look)
    check_family(family, len(comparisons))
    alpha = nominal_level(looks, family or len(comparisons), error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # this margin's has been given
        findings = tuple(_finding(one, look, looks[-1], alpha, margin) for one in comparisons)
    decided = all(one.verdict != "undecided" for one in findings)
    later = None if decided else next((one for one in looks if one > look), None)
    return Decision(look, alpha, findings, decided, later)


def _check_repeats(pairs: Pairs, look: int) -> None:
    for name, accuracies in ((pairs.method, pairs.accuracies), (pairs.baseline, pairs.baseline_accuracies)):
        if len(accuracies) < look:
            raise ConfigError(
                f"a look at {look} repeats needs {look} accuracies of each method; {name} at sparsity {pairs.sparsity} "
                f"has {len(accuracies)}. Hand in NaN for a training that diverged."
            )


def _finding(pairs: Pairs, look: int, last: int, alpha: float, margin: float) -> Finding:
    method, baseline, sparsity, accuracies, baseline_accuracies = pairs
    paired = paired_statistics(accuracies[:look], baseline_accuracies[:look], alpha, margin)
    verdict = verdict_of(paired.low, paired.high, margin)
    said = sentence(method, baseline, sparsity, paired, margin, last)
    return Finding(method, baseline, sparsity, paired, verdict, said)

"""Paired differences of test accuracy: each method against the baseline, and against its sanity checks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.rows import LeftOutRow, ResultRow, VerdictRow
from weedout_core.lab.report.accuracies import NO_INTERVAL
from weedout_core.lab.report.scope import Scope, Versus
from weedout_core.lab.report.tables import identical_sparsities, interval_key
from weedout_core.lab.statistics import LEVEL, Interval, mean_interval

#: Why two arms do not differ, where nothing is removed.
IDENTICAL = "identical by construction"


class PairRow(NamedTuple):
    """One repeat of two arms: ``difference`` is the test accuracy of the first − that of the second, as a fraction of
    1; NaN where a training diverged."""

    sparsity: float
    first: str
    second: str
    repeat: int
    difference: float


class PairedMean(NamedTuple):
    """All repeats of two arms.

    Attributes:
        sparsity, first, second: what is compared.
        check: whether the second is a sanity check of the first.
        pairs, diverged: repeats in which neither training diverged, and those in which one or both did.
        mean, low, high: of the differences of the pairs, with the interval. NaN where there is no pair; the ends also
            where the differences do not vary, which do not show how far the mean may be off.
        level: the confidence of the interval. It is that of the verdict where there is one, else 0.95.
        why: why a cell was not trained, or why both are the same; "" elsewhere.
    """

    sparsity: float
    first: str
    second: str
    check: bool
    pairs: int
    diverged: int
    mean: float
    low: float
    high: float
    level: float
    why: str


def pair_rows(results: Sequence[ResultRow], left_out: Sequence[LeftOutRow], scope: Scope) -> list[PairRow]:
    """All pairs of all comparisons, by sparsity. Where there was a look, those of the repeats that it looked at.

    A cell that was not trained counts as the arm that it would equal.
    """
    accuracy = {(row.sparsity, row.arm, row.repeat): row.test_accuracy for row in results}
    same_as = {(row.sparsity, row.arm, row.repeat): row.same_as for row in left_out}
    end = math.inf if scope.look is None else scope.look
    rows: list[PairRow] = []
    for sparsity in sorted({row.sparsity for row in results}):
        repeats = sorted({row.repeat for row in results if row.sparsity == sparsity and row.repeat < end})
        for first, second, _ in scope.comparisons:
            for repeat in repeats:
                partner = same_as.get((sparsity, second, repeat), second)
                one, other = (accuracy.get((sparsity, arm, repeat)) for arm in (first, partner))
                if one is not None and other is not None and partner != first:
                    rows.append(PairRow(sparsity, first, second, repeat, one - other))
    return rows


def paired_means(
    results: Sequence[ResultRow], left_out: Sequence[LeftOutRow], verdicts: Sequence[VerdictRow], scope: Scope
) -> list[PairedMean]:
    """The mean difference of each comparison at each sparsity, with its interval."""
    pairs = pair_rows(results, left_out, scope)
    said = {(row.sparsity, row.method): row for row in verdicts if row.look == scope.look}
    why = {(row.sparsity, row.arm): row.why for row in left_out}
    identical = set() if scope.judged else identical_sparsities(scope.config, results)
    means: list[PairedMean] = []
    for sparsity in sorted({row.sparsity for row in results}):
        for versus in scope.comparisons:
            values = [
                row.difference
                for row in pairs
                if (row.sparsity, row.first, row.second) == (sparsity, versus.first, versus.second)
            ]
            reason = IDENTICAL if sparsity in identical else why.get((sparsity, versus.second), "")
            verdict = None if versus.check else said.get((sparsity, versus.first))
            means.append(_mean(scope, sparsity, versus, values, reason, verdict))
    return means


def _mean(
    scope: Scope, sparsity: float, versus: Versus, values: Sequence[float], why: str, verdict: VerdictRow | None
) -> PairedMean:
    if verdict is not None:
        measured, level = (verdict.mean, verdict.low, verdict.high), 1 - verdict.alpha
    else:
        measured, level = plain_interval(scope.config, [value for value in values if not math.isnan(value)]), LEVEL
    diverged = sum(map(math.isnan, values))
    return PairedMean(sparsity, *versus, len(values) - diverged, diverged, *measured, level, why)


def plain_interval(config: ExperimentConfig, differences: Sequence[float]) -> Interval:
    """The mean of differences that are finite, with its plain interval; NaN as in :class:`PairedMean`."""
    if not differences:
        return NO_INTERVAL
    interval = mean_interval(differences, config.interval, interval_key(config))
    return interval if max(differences) > min(differences) else Interval(interval.mean, math.nan, math.nan)

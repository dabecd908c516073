"""The figures of the accuracies of a run: paired differences, by sparsity, by epoch."""

import math
from collections.abc import Sequence

from weedout_core.lab.report.accuracies import SPLITS, ArmMean, EpochMean
from weedout_core.lab.report.charts import Curve, DotRow, bands, dots, error_bars
from weedout_core.lab.report.differences import PairedMean, PairRow
from weedout_core.lab.report.drawing import Drawing, Entry, Panel
from weedout_core.lab.report.scope import Scope
from weedout_core.lab.report.texts import ended, points, where
from weedout_core.lab.verdict.verdicts import percent

_SEEDS = "Intervals speak of seeds: of other initial weights and other orders of the same data."
_ACCURACY = "accuracy (%)"
_LINE = 46  # characters that fit on a line of a panel


def differences_figure(scope: Scope, pairs: Sequence[PairRow], means: Sequence[PairedMean]) -> Drawing:
    """Paired differences as dots with mean and interval, a panel for each sparsity."""
    levels = sorted({mean.level for mean in means if not mean.check})
    margin = None if scope.margin is None else 100 * scope.margin
    return Drawing(
        "differences",
        "Paired differences of test accuracy",
        "A dot is one repeat, the diamond the mean, and the line through it the "
        f"{' or '.join(f'{100 * level:.4g}' for level in levels)} % interval{_of_verdict(scope)}. Right of 0 the first "
        "is more accurate."
        + (f" The shaded strip is the margin, {margin:g} points: smaller differences do not matter." if margin else "")
        + (" Hollow dots belong to sanity checks, whose intervals are plain 95 % intervals." if _checked(scope) else "")
        + f" {_SEEDS}",
        [_differences(scope, sparsity, pairs, means) for sparsity in sorted({mean.sparsity for mean in means})],
    )


def _of_verdict(scope: Scope) -> str:
    return "" if scope.look is None else f" of the verdict after {scope.look} repeats"


def _checked(scope: Scope) -> bool:
    return any(versus.check for versus in scope.comparisons)


def _differences(scope: Scope, sparsity: float, pairs: Sequence[PairRow], means: Sequence[PairedMean]) -> Panel:
    rows = [
        DotRow(
            _label(mean),
            [
                100 * pair.difference
                for pair in pairs
                if (pair.sparsity, pair.first, pair.second) == (sparsity, mean.first, mean.second)
                and not math.isnan(pair.difference)
            ],
            100 * mean.mean,
            100 * mean.low,
            100 * mean.high,
            scope.place(mean.first),
            mean.check,
        )
        for mean in means
        if mean.sparsity == sparsity and mean.pairs
    ]
    said = "; ".join(f"{mean.first} − {mean.second} {points(mean)}" for mean in means if mean.sparsity == sparsity)
    margin = None if scope.margin is None else 100 * scope.margin
    return Panel(
        where(sparsity),
        f"Paired differences at {where(sparsity)}, points of test accuracy: {said}.",
        lambda axes: dots(axes, rows, margin, "points of test accuracy"),
        80 + (50 if any("\n" in row.label for row in rows) else 36) * len(rows),
    )


def _label(mean: PairedMean) -> str:
    """The names of two arms, on two lines where one would be too narrow."""
    together = f"{mean.first} − {mean.second}"
    return together if len(together) <= _LINE else f"{mean.first} −\n{mean.second}"


def sparsity_figure(scope: Scope, means: Sequence[ArmMean]) -> Drawing:
    """Test accuracy against sparsity: a panel of the arms that are compared, and one of each method with its checks."""
    groups = [("methods and baseline", scope.main)] if _checked(scope) else [("all arms", scope.main)]
    groups += [
        (f"{method} and its sanity checks", (scope.baseline, method, *checks))
        for method in scope.methods
        if (checks := scope.checks(method))
    ]
    drawn = {mean.arm for mean in means}
    arms = [arm for arm in scope.arms if arm in drawn]
    return Drawing(
        "sparsity",
        "Test accuracy against sparsity",
        f"Means over the repeats with 95 % intervals, beside each other so that they can be seen. {_SEEDS}",
        [_by_sparsity(scope, title, [arm for arm in group if arm in drawn], means) for title, group in groups],
        [_entry(scope, arm, marked=True) for arm in arms],
    )


def _by_sparsity(scope: Scope, title: str, arms: Sequence[str], means: Sequence[ArmMean]) -> Panel:
    curves = [
        _curve(scope, arm, [mean for mean in means if mean.arm == arm and mean.runs > mean.diverged]) for arm in arms
    ]
    said = "; ".join(
        f"{arm} " + ", ".join(f"{ended(mean)} at {percent(mean.sparsity)} %" for mean in means if mean.arm == arm)
        for arm in arms
    )
    return Panel(
        title,
        f"Test accuracy against sparsity: {said}.",
        lambda axes: error_bars(axes, [curve for curve in curves if curve.x], "sparsity (%)", f"test {_ACCURACY}"),
        270,
    )


def _curve(scope: Scope, arm: str, means: Sequence[ArmMean]) -> Curve:
    place = scope.place(arm)
    return Curve(
        [100 * mean.sparsity for mean in means],
        [100 * mean.mean for mean in means],
        [100 * mean.low for mean in means],
        [100 * mean.high for mean in means],
        place,
        place,
        place,
    )


def figure2_panels(scope: Scope, means: Sequence[EpochMean]) -> Drawing:
    """The paper's Figure 2, an arm beside the baseline: accuracies by epoch, a colour for each sparsity."""
    sparsities = sorted({mean.sparsity for mean in means})
    compared = [arm for arm in scope.others if any(mean.arm == arm for mean in means)]
    return Drawing(
        "figure2",
        "Train and test accuracy by epoch (Figure 2 of the paper)",
        f"Means over the repeats. Solid lines are the first arm, dashed lines {scope.baseline}. Train accuracy is that "
        "of the batches as they passed, before each step's update.",
        [
            _by_epoch(
                f"{arm} and {scope.baseline}, {split}",
                [
                    (f"{name} at {where(sparsity)}", chosen, (colour, dash))
                    for colour, sparsity in enumerate(sparsities)
                    for dash, name in enumerate((arm, scope.baseline))
                    if (chosen := _of(means, sparsity, name, split))
                ],
                banded=False,
            )
            for arm in compared
            for split in SPLITS
        ],
        [Entry(where(sparsity), place, 0, None) for place, sparsity in enumerate(sparsities)]
        + [Entry(", ".join(compared), None, 0, None), Entry(scope.baseline, None, 1, None)],
    )


def appendix_panels(scope: Scope, means: Sequence[EpochMean]) -> Drawing:
    """The panels of the paper's appendix: all arms that are compared, at one sparsity, on one split, with intervals."""
    arms = [arm for arm in scope.main if any(mean.arm == arm for mean in means)]
    return Drawing(
        "epochs",
        "Accuracy by epoch at each sparsity (the appendix of the paper)",
        f"Means over the repeats; the shaded bands are 95 % intervals. {_SEEDS}",
        [
            _by_epoch(
                f"{where(sparsity)}, {split}",
                [
                    (arm, chosen, (scope.place(arm), scope.place(arm)))
                    for arm in arms
                    if (chosen := _of(means, sparsity, arm, split))
                ],
                banded=True,
            )
            for sparsity in sorted({mean.sparsity for mean in means})
            for split in SPLITS
        ],
        [_entry(scope, arm, marked=False) for arm in arms],
    )


def _by_epoch(title: str, drawn: Sequence[tuple[str, Sequence[EpochMean], tuple[int, int]]], banded: bool) -> Panel:
    curves = [
        Curve(
            [mean.epoch for mean in means],
            [100 * mean.mean for mean in means],
            [_within(mean.low) if banded else math.nan for mean in means],
            [_within(mean.high) if banded else math.nan for mean in means],
            *places,
            lost=_lost(means),
        )
        for _, means, places in drawn
    ]
    said = "; ".join(f"{name} {ended(means[-1])}" for name, means, _ in drawn)
    return Panel(
        title,
        f"Accuracy by epoch, {title}. After the last epoch: {said}.",
        lambda axes: bands(axes, curves, "epoch", _ACCURACY, rising=True),
    )


def _within(end: float) -> float:
    """The end of an interval in percent, where accuracies can be; NaN stays."""
    return end if math.isnan(end) else 100 * min(1.0, max(0.0, end))


def _lost(means: Sequence[EpochMean]) -> list[float]:
    """The epochs after which more networks have diverged than before."""
    counts = [0, *(mean.diverged for mean in means)]
    return [mean.epoch for mean, before in zip(means, counts, strict=False) if mean.diverged > before]


def _of(means: Sequence[EpochMean], sparsity: float, arm: str, split: str) -> list[EpochMean]:
    return [mean for mean in means if (mean.sparsity, mean.arm, mean.split) == (sparsity, arm, split)]


def _entry(scope: Scope, arm: str, marked: bool) -> Entry:
    place = scope.place(arm)
    return Entry(arm, place, place, place if marked else None)

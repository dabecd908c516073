"""The figures of several runs: accuracy against sparsity, differences of cells, and Figure 2 of each."""

import math
from collections.abc import Sequence

from weedout_core.lab.report.accuracies import epoch_means
from weedout_core.lab.report.charts import Curve, DotRow, dots, error_bars
from weedout_core.lab.report.compared import CellMean, CellRow, Run, RunMean
from weedout_core.lab.report.drawing import Drawing, Entry, Panel
from weedout_core.lab.report.result_figures import figure2_panels
from weedout_core.lab.report.texts import number, where, within
from weedout_core.lab.verdict.verdicts import percent


def accuracy_figure(runs: Sequence[Run], means: Sequence[RunMean]) -> Drawing:
    """Test accuracy against sparsity, a panel for each arm and a series for each run."""
    return Drawing(
        "accuracy",
        "Test accuracy against sparsity",
        "Means over the repeats with 95 % intervals, beside each other so that they can be seen.",
        [_by_sparsity(runs, arm, means) for arm in dict.fromkeys(mean.arm for mean in means)],
        [Entry(run.label, place, place, place) for place, run in enumerate(runs)],
    )


def _by_sparsity(runs: Sequence[Run], arm: str, means: Sequence[RunMean]) -> Panel:
    curves: list[Curve] = []
    said: list[str] = []
    for place, run in enumerate(runs):
        here = [mean for mean in means if (mean.run, mean.arm) == (run.name, arm) and not math.isnan(mean.mean)]
        if here:
            x, mean, low, high = (
                [100 * getattr(one, field) for one in here] for field in ("sparsity", "mean", "low", "high")
            )
            curves.append(Curve(x, mean, low, high, place, place, place))
            shown = ", ".join(f"{number(100 * one.mean, 1)} % at {percent(one.sparsity)} %" for one in here)
            said.append(f"{run.name} {shown}")
    return Panel(
        arm,
        f"Test accuracy of {arm} against sparsity: {'; '.join(said)}.",
        lambda axes: error_bars(axes, curves, "sparsity (%)", "test accuracy (%)"),
        270,
    )


def cells_figure(runs: Sequence[Run], rows: Sequence[CellRow], means: Sequence[CellMean]) -> Drawing:
    """Differences of cells between runs as dots with mean and interval, a panel for each sparsity."""
    return Drawing(
        "cells",
        "Differences of test accuracy between runs",
        f"A dot is one repeat of one arm, the diamond the mean, and the line through it the plain 95 % interval. Right "
        f"of 0 a run is more accurate than {runs[0].name}.",
        [_cells(runs, sparsity, rows, means) for sparsity in sorted({mean.sparsity for mean in means})],
        [
            Entry(run.label, place, 0, None)
            for place, run in enumerate(runs)
            if any(mean.run == run.name for mean in means)
        ],
    )


def _cells(runs: Sequence[Run], sparsity: float, rows: Sequence[CellRow], means: Sequence[CellMean]) -> Panel:
    places = {run.name: place for place, run in enumerate(runs)}
    here = [mean for mean in means if mean.sparsity == sparsity and mean.pairs]
    drawn = [
        DotRow(
            f"{mean.arm}, {mean.run} −\n{mean.first}" if len(f"{mean.arm}{mean.run}{mean.first}") > 40
            else f"{mean.arm}, {mean.run} − {mean.first}",
            [100 * row.difference for row in rows if row[:4] == mean[:4] and not math.isnan(row.difference)],
            100 * mean.mean,
            100 * mean.low,
            100 * mean.high,
            places[mean.run],
            False,
        )
        for mean in here
    ]  # fmt: skip
    said = "; ".join(
        f"{mean.arm}, {mean.run} − {mean.first} {within(100 * mean.mean, 100 * mean.low, 100 * mean.high)}"
        for mean in here
    )
    return Panel(
        where(sparsity),
        f"Differences between runs at {where(sparsity)}, points of test accuracy: {said or 'no pair'}.",
        lambda axes: dots(axes, drawn, None, "points of test accuracy"),
        80 + 50 * len(drawn),
    )


def figure2_of(place: int, run: Run) -> Drawing | None:
    """Figure 2 of a run, its panels beside each other; None if no epoch is done."""
    means = epoch_means(run.source.config, run.source.curves)
    if not means:
        return None
    drawn = figure2_panels(run.source.scope, means)
    return drawn._replace(name=f"figure2-{place}", title=f"{run.label}: {drawn.title}")

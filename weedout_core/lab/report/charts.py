"""What a panel of a figure draws on its axes, from rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from weedout_core.lab.report.colours import line, marker, series, stand_in


class Curve(NamedTuple):
    """Values along an axis with the ends of their intervals, which are NaN where there is none.

    ``colour``, ``line`` and ``marker`` are places; a marker of None draws the line alone. ``lost`` holds where networks
    diverged.
    """

    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: int
    line: int
    marker: int | None = None
    lost: Sequence[float] = ()


#: What stands behind a label, so that lines do not cross it.
_BEHIND = {"facecolor": stand_in("page"), "alpha": 0.8, "edgecolor": "none", "pad": 0.6}


class DotRow(NamedTuple):
    """A row of dots: a label, single values, and their mean with its interval."""

    label: str
    values: Sequence[float]
    mean: float
    low: float
    high: float
    colour: int
    hollow: bool


def bands(axes: Any, curves: Sequence[Curve], x: str, y: str, rising: bool = False) -> None:
    """Curves with shaded intervals along whole numbers, such as epochs.

    Of curves that rise steeply at first, the first of more than three values does not set the range. A cross at the
    foot marks where networks of a curve diverged; each curve has its own height.
    """
    for place, one in enumerate(curves):
        foot = [0.03 + 0.04 * place] * len(one.lost)
        axes.plot(one.lost, foot, "x", color=series(one.colour), transform=axes.get_xaxis_transform())
        mark = one.marker if len(one.x) > 1 else 0 if one.marker is None else one.marker
        axes.plot(
            one.x, one.mean, color=series(one.colour), linestyle=line(one.line), marker="" if mark is None else
            marker(mark),
        )  # fmt: skip
        low, high = np.asarray(one.low), np.asarray(one.high)
        if np.isfinite(low).any():
            axes.fill_between(one.x, low, high, color=series(one.colour), alpha=0.16, linewidth=0)
    later = [
        end
        for one in curves
        for place, ends in enumerate(zip(one.mean, one.low, one.high, strict=True))
        if place > 0 or not rising or len(one.x) <= 3
        for end in ends
        if math.isfinite(end)
    ]
    if later:
        least = 1e-4 * max(1.0, *map(abs, later))  # what differs by less is rounding, and is drawn as level
        margin = max(0.04 * (max(later) - min(later)), least)
        axes.set_ylim(min(later) - margin, max(later) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    _finished(axes, x, y)


def error_bars(axes: Any, curves: Sequence[Curve], x: str, y: str) -> None:
    """Curves with a marker and an interval at each value, a little beside each other."""
    span = max((max(one.x) - min(one.x) for one in curves), default=0.0) or 10.0
    for place, one in enumerate(curves):
        beside = 0.012 * span * (place - (len(curves) - 1) / 2)
        at, mean = np.asarray(one.x) + beside, np.asarray(one.mean)
        reach = np.abs(np.array([mean - np.asarray(one.low), np.asarray(one.high) - mean]))
        axes.errorbar(
            at,
            mean,
            yerr=np.nan_to_num(reach),
            color=series(one.colour),
            linestyle=line(one.line),
            marker=marker(one.marker or 0),
            capsize=2.5,
            elinewidth=1.1,
        )
    axes.set_xticks(sorted({value for one in curves for value in one.x}))
    _finished(axes, x, y)


def dots(axes: Any, rows: Sequence[DotRow], margin: float | None, x: str) -> None:
    """Rows of dots from top to bottom, each under its label, beside a line at 0 and the margin around it."""
    axes.axvline(0, color=stand_in("ink"), linewidth=1)
    if margin is not None:
        axes.axvspan(-margin, margin, color=stand_in("muted"), alpha=0.18, linewidth=0)
    for place, row in enumerate(rows):
        y, colour = -float(place), series(row.colour)
        axes.scatter(
            row.values, [y] * len(row.values), s=16, alpha=0.55, linewidths=0.8, edgecolors=colour,
            facecolors="none" if row.hollow else colour,
        )  # fmt: skip
        if math.isfinite(row.low):
            axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        if math.isfinite(row.mean):
            axes.plot([row.mean], [y], color=colour, marker="D", markersize=6.5, markeredgecolor=stand_in("page"))
        label = axes.text(
            0.0, y + 0.2, row.label, transform=axes.get_yaxis_transform(), fontsize=11, va="bottom", bbox=_BEHIND
        )
        label.set_in_layout(False)  # a long name makes the axes no narrower
    axes.set_ylim(-len(rows) + 0.45, 0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _finished(axes, x, "")


def markers(axes: Any, labels: Sequence[str], values: Mapping[int, Sequence[float]], x: str) -> None:
    """A row for each label from top to bottom, with one marker at its value in [0, 1] for each series, by its place."""
    count = len(values)
    for row, (place, along) in enumerate(values.items()):
        y = [-number - (row - (count - 1) / 2) * 0.6 / count for number in range(len(labels))]
        axes.plot(along, y, color=series(place), linestyle="", marker=marker(place), markersize=6)
    axes.set_yticks([-number for number in range(len(labels))], labels)
    axes.set_ylim(-len(labels) + 0.4, 0.6)
    axes.set_xlim(-0.02, 1.02)
    _finished(axes, x, "")


def _finished(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)

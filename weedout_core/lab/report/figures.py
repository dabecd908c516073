"""The paper's Figure 2 from a run: train accuracy (a) and test accuracy (b) by epoch, at each sparsity, of each arm."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import CurveRow
from weedout_core.lab.report.tables import interval_key
from weedout_core.lab.statistics import mean_interval

#: Okabe and Ito's colours, which stay apart for colour-blind readers; the yellow is too pale for lines.
_PALETTE = ("#000000", "#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#56B4E9")
_STYLES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)), (0, (8, 2)))
_PANELS = (("train_accuracy", "(a) train"), ("test_accuracy", "(b) test"))


def figure2(config: ExperimentConfig, rows: Sequence[CurveRow]) -> bytes:
    """The figure as a PNG file, whatever the user's own settings. ``rows`` must hold at least one epoch."""
    with style.context("default"):
        return _drawn(config, rows)


def _drawn(config: ExperimentConfig, rows: Sequence[CurveRow]) -> bytes:
    sparsities = sorted({row.sparsity for row in rows})
    arms = list(dict.fromkeys(row.arm for row in rows))
    colours = _colours(len(sparsities))
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display, and without pyplot's global state
    panels = figure.subplots(1, 2)
    for panel, (field, title) in zip(panels, _PANELS, strict=True):
        for sparsity, colour in zip(sparsities, colours, strict=True):
            for place, arm in enumerate(arms):
                cells = [row for row in rows if row.sparsity == sparsity and row.arm == arm]
                _draw_curve(panel, config, cells, field, colour, place)
                _mark_diverged(panel, cells, colour, place)
        _label(panel, title)
        _zoom(panel, rows, field)
    diverged = len({(row.sparsity, row.arm, row.repeat) for row in rows if row.diverged})
    figure.legend(handles=_legend(sparsities, colours, arms, diverged), loc="outside right center", frameon=False)
    less = ", less those that have diverged" if diverged else ""
    runs = "1 run" if config.repeats == 1 else f"mean of {config.repeats} runs{less}, shaded: 95 % interval"
    figure.suptitle(f"{' and '.join(arms)} on {config.dataset} ({runs})", fontsize=11)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()


def _draw_curve(
    panel: Any, config: ExperimentConfig, rows: Sequence[CurveRow], field: str, colour: Any, place: int
) -> None:
    rows = _finite(rows, field)
    epochs = sorted({row.epoch for row in rows})
    key = interval_key(config)
    intervals = [
        mean_interval([getattr(row, field) for row in rows if row.epoch == epoch], config.interval, key)
        for epoch in epochs
    ]
    mean, low, high = 100 * np.array(intervals, dtype=float).reshape(-1, 3).T
    marker = "o" if len(epochs) == 1 else None  # a single epoch is a point, and a line would not show it
    panel.plot(epochs, mean, color=colour, linestyle=_style(place), linewidth=1.6, marker=marker, markersize=4)
    panel.fill_between(epochs, low, np.minimum(high, 100), color=colour, alpha=0.12, linewidth=0)


def _finite(rows: Sequence[CurveRow], field: str) -> list[CurveRow]:
    """The rows whose field is a number: it is NaN where a run has diverged, and such a run enters no mean."""
    return [row for row in rows if not math.isnan(getattr(row, field))]


def _mark_diverged(panel: Any, rows: Sequence[CurveRow], colour: Any, place: int) -> None:
    """Draw a cross at the foot of the panel at the epoch where a run diverged; each arm has its own height."""
    first: dict[int, int] = {}
    for row in rows:
        if row.diverged:
            first[row.repeat] = min(row.epoch, first.get(row.repeat, row.epoch))
    foot = 0.03 + 0.04 * place
    at_the_foot = panel.get_xaxis_transform()  # epochs along, and a fraction of the panel's height
    panel.plot(list(first.values()), [foot] * len(first), "x", color=colour, transform=at_the_foot)


def _label(panel: Any, title: str) -> None:
    panel.set_title(title, loc="left", fontsize=11)
    panel.set_xlabel("epoch")
    panel.set_ylabel("accuracy (%)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panel.grid(alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _zoom(panel: Any, rows: Sequence[CurveRow], field: str) -> None:
    """Choose the vertical range without the first epoch, if more follow: it would leave little room for the others."""
    finite = _finite(rows, field)
    values = [100 * getattr(row, field) for row in finite]
    if not values:
        panel.text(0.5, 0.5, "all runs diverged", ha="center", va="center", transform=panel.transAxes)
        return
    later = [100 * getattr(row, field) for row in finite if row.epoch > 1] or values
    margin = 0.03 * max(max(values) - min(later), 1.0)
    panel.set_ylim(min(later) - margin, max(values) + margin)


def _legend(sparsities: Sequence[float], colours: Sequence[Any], arms: Sequence[str], diverged: int) -> list[Line2D]:
    by_colour = [
        Line2D([], [], color=colour, label=f"sparsity {named(sparsity)}")
        for sparsity, colour in zip(sparsities, colours, strict=True)
    ]
    by_style = [Line2D([], [], color="#555555", linestyle=_style(i), label=arm) for i, arm in enumerate(arms)]
    if diverged:
        runs = "1 run" if diverged == 1 else f"{diverged} runs"
        by_style.append(Line2D([], [], color="#555555", linestyle="", marker="x", label=f"diverged ({runs})"))
    return by_colour + by_style


def _style(place: int) -> Any:
    """The line of an arm by its place among the arms."""
    return _STYLES[place % len(_STYLES)]


def _colours(count: int) -> list[Any]:
    if count <= len(_PALETTE):
        return list(_PALETTE[:count])
    return [colormaps["viridis"](value) for value in np.linspace(0, 0.92, count)]

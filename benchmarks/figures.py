"""Lines over one quantity, and bars of one quantity: the way all figures of the results look."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.section import number

#: Okabe and Ito's colours and some of Tol's, which stay apart for colour-blind readers.
_PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#999999",
    "#882255",
    "#44AA99",
    "#332288",
    "#999933",
    "#661100",
)


class Panel(NamedTuple):
    """One pair of axes.

    Attributes:
        x, y: what they show.
        lines: {name: {x: y}}; the one named "limit" is dashed.
        log_x: whether x grows by factors, and has its ticks where it was measured; y always grows by factors.
    """

    x: str
    y: str
    lines: Mapping[str, Mapping[float, float]]
    log_x: bool = False


def draw(title: str, panels: Sequence[Panel]) -> bytes:
    """The figure as PNG."""
    figure = Figure(figsize=(2 + 4.4 * len(panels), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    colours = _colours(panels)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, line in panel.lines.items():
            style = {"linestyle": (0, (4, 2)), "marker": ""} if name == "limit" else {"marker": "o", "markersize": 4}
            axes.plot(list(line), list(line.values()), color=colours[name], linewidth=1.6, label=name, **style)
        axes.set(xlabel=panel.x, ylabel=panel.y, yscale="log", xscale="log" if panel.log_x else "linear")
        if panel.log_x:
            values = sorted({value for line in panel.lines.values() for value in line})
            axes.set_xticks(values, [f"{value:,}" for value in values])
            axes.set_xticks([], minor=True)
        axes.grid(alpha=0.25, linewidth=0.6, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return _png(figure)


def bars(title: str, values: Mapping[str, float], ours: str, dark: bool = False) -> bytes:
    """Horizontal bars from the top down, each with its value, as PNG. The values stand in its description too.

    Args:
        values: {name: value}.
        ours: names that begin so are drawn in a colour, the others in grey.
        dark: for a page with a dark background.
    """
    back, ink = ("#0d1117", "#e6edf3") if dark else ("#ffffff", "#1f2328")
    figure = Figure(figsize=(5.8, 0.5 + 0.28 * len(values)), layout="constrained", facecolor=back)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = [_PALETTE[5 if dark else 0] if name.startswith(ours) else "#8b949e" for name in values]
    drawn = axes.barh(list(values), list(values.values()), color=colours, height=0.7)
    axes.bar_label(drawn, [number(value) for value in values.values()], padding=4, color=ink)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xticks=[], facecolor=back)
    axes.tick_params(left=False, labelcolor=ink)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=11, color=ink)
    return _png(figure, "; ".join(f"{name}: {number(value)}" for name, value in values.items()))


def _png(figure: Figure, description: str | None = None) -> bytes:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120, metadata={"Description": description})
    return image.getvalue()


def _colours(panels: Sequence[Panel]) -> dict[str, str]:
    names = dict.fromkeys(name for panel in panels for name in panel.lines if name != "limit")
    return {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)} | {"limit": "#000000"}

"""Figures as SVG: each panel alone for a page, where panels flow with the width, and all of them in one file."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib import rc_context, style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weedout_core.lab.report.colours import as_variables, line, marker, on_white, series, stand_in

_WIDTH, _TITLE = 340, 26  # of a panel, and of its title in a file, in points
_ACROSS = 2


class Entry(NamedTuple):
    """One entry of a legend, by the places of its colour, line and marker; None where it has none."""

    label: str
    colour: int | None
    line: int | None
    marker: int | None


class Panel(NamedTuple):
    """One pair of axes.

    Attributes:
        title: above it.
        alt: what it shows, in words.
        draw: draws on the axes.
        height: in points.
    """

    title: str
    alt: str
    draw: Callable[[Any], None]
    height: int = 230


class Drawing(NamedTuple):
    """A figure.

    Attributes:
        name: of its file, without ".svg".
        title: what it shows.
        caption: how to read it.
        panels: in order.
        legend: in order.
    """

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]
    legend: Sequence[Entry] = ()


def panel_svgs(drawing: Drawing) -> list[str]:
    """Each panel as an element for a page, in the page's colours, without title and legend."""
    return [
        _element(as_variables(_svg(_one(panel), f"{drawing.name}-{number}")), f"{drawing.name}-{number}")
        for number, panel in enumerate(drawing.panels)
    ]


def whole_svg(drawing: Drawing) -> bytes:
    """The whole figure as a file, on white."""
    return on_white(_svg(_together(drawing), drawing.name, "white")).encode(errors="backslashreplace")


def _one(panel: Panel) -> Callable[[], Figure]:
    def make() -> Figure:
        figure = Figure(figsize=(_WIDTH / 72, panel.height / 72), layout="constrained")
        panel.draw(figure.subplots())
        return figure

    return make


def _together(drawing: Drawing) -> Callable[[], Figure]:
    across = min(_ACROSS, len(drawing.panels))
    rows = [drawing.panels[start : start + across] for start in range(0, len(drawing.panels), across)]
    heights = [max(panel.height for panel in row) + _TITLE for row in rows]
    legend = 18 * len(drawing.legend)

    def make() -> Figure:
        size = across * _WIDTH / 72, (sum(heights) + legend) / 72
        figure = Figure(figsize=size, layout="constrained")
        grid: Any = figure.subplots(len(rows), across, squeeze=False, gridspec_kw={"height_ratios": heights})
        for axes, panel in zip(grid.flat, drawing.panels, strict=False):
            panel.draw(axes)
            axes.set_title(panel.title, loc="left", fontsize=12)
        for axes in grid.flat[len(drawing.panels) :]:
            axes.set_axis_off()
        if drawing.legend:
            figure.legend(handles=[_handle(one) for one in drawing.legend], loc="outside lower left", frameon=False)
        return figure

    return make


def _handle(entry: Entry) -> Line2D:
    return Line2D(
        [],
        [],
        color=stand_in("ink") if entry.colour is None else series(entry.colour),
        linestyle="" if entry.line is None else line(entry.line),
        marker="" if entry.marker is None else marker(entry.marker),
        label=f" {entry.label}",  # a label that began with an underscore would be left out
    )


_PARAMETERS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11.5,
    "text.parse_math": False,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": stand_in("muted"),
    "axes.labelcolor": stand_in("ink"),
    "xtick.color": stand_in("muted"),
    "ytick.color": stand_in("muted"),
    "text.color": stand_in("ink"),
    "grid.color": stand_in("grid"),
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}


def _svg(make: Callable[[], Figure], salt: str, background: str = "none") -> str:
    """The SVG of a figure: the same bytes whenever it is drawn, whatever the user's own settings."""
    text = io.StringIO()
    with style.context("default"), rc_context({**_PARAMETERS, "svg.hashsalt": salt}):
        figure = make()
        FigureCanvasSVG(figure)
        for axes in figure.axes:
            axes.set_facecolor("none")
        figure.savefig(text, format="svg", facecolor=background, metadata={"Date": None, "Creator": None})
    svg = re.sub(r"\s*<metadata>.*?</metadata>|<!--.*?-->", "", text.getvalue(), flags=re.DOTALL)
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    return re.sub(r"<[^>]*>", lambda tag: _DECIMALS.sub(_rounded, tag[0]), svg)  # text is left as it is


_DECIMALS = re.compile(r"-?\d+\.\d{3,}")


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _element(svg: str, name: str) -> str:
    """The element of a document, to stand in a page beside others: of its identifiers, those that are used stay.

    Its style would be the whole page's; the page's own has the same.
    """
    svg = re.sub(r"<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", svg))

    def identified(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    svg = re.sub(r'\sid="([\w.-]+)"', identified, svg)
    svg = re.sub(r'((?:href="|url\()#)([\w.-]+)', rf"\1{name}-\2", svg)
    return re.sub(r"\n\s*", "\n", svg)

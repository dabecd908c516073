"""Drawing the nodes of a network, site by site: a graph where there are few, squares where there are more."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from weedout_core.lab.report.colours import series, stand_in

_FEW = 16  # nodes of each site, up to which they are drawn as a graph
_ACROSS = 320  # points of a panel that are left for the names of sites
_LETTER = 6


def draw_nodes(axes: Any, masks: Mapping[str, np.ndarray], colour: int) -> None:
    """Draw the nodes of each site, those that are kept in the colour of a series.

    Args:
        axes: where.
        masks: bool ``shape`` by site, in the order of the layers.
        colour: the place of the series.
    """
    if all(mask.size <= _FEW for mask in masks.values()):
        middles = _graph(axes, masks, colour)
    else:
        middles = _blocks(axes, masks, colour)
    foot = axes.dataLim.y0 - 0.06 * axes.dataLim.height
    if max(map(len, masks)) * len(masks) * _LETTER <= _ACROSS:
        for site, middle in zip(masks, middles, strict=True):
            axes.text(middle, foot, site, ha="center", va="top", fontsize=10)
    axes.margins(0.08, 0.14)
    axes.set_axis_off()


def _graph(axes: Any, masks: Mapping[str, np.ndarray], colour: int) -> list[float]:
    """A column of circles for each site, and lines between nodes that are kept. Returns where the columns are."""
    columns = [
        np.stack([np.full(mask.size, place), _centred(mask.size)], axis=1) for place, mask in enumerate(masks.values())
    ]
    kept = [column[mask.ravel()] for column, mask in zip(columns, masks.values(), strict=True)]
    lines = [(start, end) for before, after in pairwise(kept) for start in before for end in after]
    if lines:
        path = Path(np.concatenate(lines), [Path.MOVETO, Path.LINETO] * len(lines))
        axes.add_patch(PathPatch(path, fill=False, edgecolor=stand_in("muted"), linewidth=0.5, zorder=0))
    everything, chosen = np.concatenate(columns), np.concatenate(kept)
    axes.scatter(*everything.T, s=70, facecolors=stand_in("page"), edgecolors=stand_in("muted"), linewidths=0.9)
    axes.scatter(*chosen.T, s=70, color=series(colour))
    axes.set_xlim(-0.5, len(masks) - 0.5)
    return [float(place) for place in range(len(masks))]


def _centred(count: int) -> np.ndarray:
    return (count - 1) / 2 - np.arange(count)


def _blocks(axes: Any, masks: Mapping[str, np.ndarray], colour: int) -> list[float]:
    """A block of squares for each site. Returns the middles of the blocks."""
    left, middles = 0.0, list[float]()
    for mask in masks.values():
        across = math.ceil(math.sqrt(mask.size))
        number = np.arange(mask.size)
        corners = np.stack([left + number % across, math.ceil(mask.size / across) / 2 - number // across], axis=1)
        for chosen, paint in ((mask.ravel(), series(colour)), (~mask.ravel(), stand_in("grid"))):
            if chosen.any():
                axes.add_patch(PathPatch(_squares(corners[chosen]), facecolor=paint, linewidth=0))
        middles.append(left + across / 2)
        left += across + 2
    axes.set_aspect("equal", adjustable="datalim")
    axes.autoscale_view()
    return middles


def _squares(corners: np.ndarray) -> Path:
    """Squares of side 0.8 as one path, which is short in a file however many they are."""
    around = np.array([(0.1, -0.1), (0.9, -0.1), (0.9, -0.9), (0.1, -0.9), (0.1, -0.1)])
    points = (corners[:, None] + around).reshape(-1, 2)
    return Path(points, [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(corners))

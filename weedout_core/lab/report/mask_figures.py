"""Figure 1 of the paper from real masks: which nodes two networks keep, and how many each site keeps."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from weedout_core.lab.report.charts import markers
from weedout_core.lab.report.colours import series, stand_in
from weedout_core.lab.report.drawing import Drawing, Entry, Panel
from weedout_core.lab.report.kept import KeptRow, Shown
from weedout_core.lab.report.texts import count, where

_CONNECTED = 16  # nodes of a site, up to which lines to the next site's nodes are drawn
_NODES = 1024  # nodes of a site, up to which each is drawn
_MAPS = 4


def nodes_figure(shown: Sequence[Shown], places: Mapping[str, int]) -> Drawing | None:
    """The nodes that networks keep, side by side; None if a site has too many to draw, or there is no mask."""
    sizes = [mask.size for one in shown for mask in one.masks.values()]
    if not sizes or max(sizes) > _NODES:
        return None
    return Drawing(
        "masks",
        "Which nodes are kept (Figure 1 of the paper)",
        "Filled nodes are kept, hollow ones are removed. A column is a site, a place where an activation is multiplied "
        f"by a mask. Of the network of repeat {shown[0].repeat}, one of several.",
        [
            Panel(
                f"{one.arm}, {where(one.sparsity)}",
                f"{one.arm} keeps {_said(one)}.",
                lambda axes, one=one: _nodes(axes, one, places[one.arm]),
                260,
            )
            for one in shown
        ],
    )


def _said(one: Shown) -> str:
    return ", ".join(f"{int(mask.sum())} of {count(mask.size, 'node')} at {site}" for site, mask in one.masks.items())


def _nodes(axes: Any, one: Shown, colour: int) -> None:
    places, left = [], 0.0
    for mask in one.masks.values():
        across = 1 if mask.size <= 2 * _CONNECTED else math.ceil(math.sqrt(mask.size))
        down = math.ceil(mask.size / across)
        number = np.arange(mask.size)
        x, y = left + number % across, (down - 1) / 2 - number // across
        places.append(np.stack([x, y], axis=1)[mask.ravel()])
        axes.scatter(x, y, s=1, color="none")
        _circles(axes, x, y, mask.ravel(), colour, max(across, down))
        left += across + max(2.0, 0.35 * across)
    if all(mask.size <= _CONNECTED for mask in one.masks.values()):
        for before, after in pairwise(places):
            for start in before:
                axes.plot(
                    *np.array([[start, end] for end in after]).reshape(-1, 2, 2).transpose(2, 1, 0),
                    color=stand_in("muted"),
                    linewidth=0.5,
                    alpha=0.6,
                    zorder=0,
                )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.set_axis_off()


def _circles(axes: Any, x: np.ndarray, y: np.ndarray, kept: np.ndarray, colour: int, side: int) -> None:
    size = min(60.0, (150 / (side + 2)) ** 2)
    axes.scatter(x, y, s=size, facecolors="none", edgecolors=stand_in("muted"), linewidths=0.7)
    axes.scatter(x[kept], y[kept], s=size, color=series(colour), linewidths=0.7)


def sites_figure(rows: Sequence[KeptRow], sparsity: float, places: Mapping[str, int]) -> Drawing:
    """The fraction of nodes that arms keep at each site, at one sparsity."""
    here = [row for row in rows if row.sparsity == sparsity and row.arm in places]
    sites = list(dict.fromkeys(row.site for row in here))
    drawn = list(dict.fromkeys(row.arm for row in here))
    kept = {(row.arm, row.site): row.mean for row in here}
    values = {places[arm]: [kept.get((arm, site), math.nan) for site in sites] for arm in drawn}
    said = "; ".join(
        f"{arm} {', '.join(f'{site} {kept[arm, site]:.3g}' for site in sites if (arm, site) in kept)}" for arm in drawn
    )
    return Drawing(
        "sites",
        "Fraction of nodes kept at each site",
        "Means over the repeats.",
        [
            Panel(
                where(sparsity),
                f"Fraction kept at each site, {where(sparsity)}: {said}.",
                lambda axes: markers(axes, sites, values, "fraction of nodes kept"),
                90 + 14 * len(sites) * max(1, len(drawn)),
            )
        ],
        [Entry(arm, places[arm], None, places[arm]) for arm in drawn],
    )


def maps_figure(shown: Sequence[Shown]) -> Drawing | None:
    """For sites that are images: at each place the fraction of channels kept; None where no site is one."""
    images = [
        site for site, mask in (shown[0].masks if shown else {}).items() if mask.ndim == 3 and mask[..., 0].size > 1
    ]
    if not images:
        return None
    step = max(1, math.ceil(len(images) / _MAPS))
    return Drawing(
        "maps",
        "Where nodes are kept in images",
        "At each place of an image the fraction of its channels that are kept: dark is none, light is all. Of the "
        f"network of repeat {shown[0].repeat}, one of several.",
        [
            Panel(
                f"{one.arm}, {site}, {where(one.sparsity)}",
                f"{one.arm} keeps between {fraction.min():.3g} and {fraction.max():.3g} of the channels at the places "
                f"of {site}, an image of {fraction.shape[0]} by {fraction.shape[1]}.",
                lambda axes, fraction=fraction: _map(axes, fraction),
                260,
            )
            for site in images[::step]
            for one in shown
            for fraction in [one.masks[site].mean(axis=-1)]
        ],
    )


def _map(axes: Any, fraction: np.ndarray) -> None:
    image = axes.imshow(fraction, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="fraction of channels kept")
    axes.set_axis_off()

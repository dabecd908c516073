"""Figure 1 of the paper from real masks: which nodes two networks keep, and how many each site keeps."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weedout_core.lab.report.charts import markers
from weedout_core.lab.report.drawing import Drawing, Entry, Panel
from weedout_core.lab.report.kept import KeptRow, Shown
from weedout_core.lab.report.nodes import draw_nodes
from weedout_core.lab.report.texts import count, where

_NODES, _SITES = 1200, 6  # of a network, up to which each node is drawn
_MAPS = 4


def nodes_figure(shown: Sequence[Shown], places: Mapping[str, int]) -> Drawing | None:
    """The nodes that networks keep, side by side; None if there are too many to draw, or there is no mask."""
    if not shown or any(len(one.masks) > _SITES or _size(one) > _NODES for one in shown):
        return None
    return Drawing(
        "masks",
        "Which nodes are kept (Figure 1 of the paper)",
        "Nodes in colour are kept, those in grey or hollow are removed. Each block is a site, a place where an "
        "activation is multiplied by a mask, in the order of the layers. Of the network of repeat "
        f"{shown[0].repeat} alone.",
        [
            Panel(
                f"{one.arm}, {where(one.sparsity)}",
                f"{one.arm} keeps {_said(one)}.",
                lambda axes, one=one: draw_nodes(axes, one.masks, places[one.arm]),
                260,
            )
            for one in shown
        ],
    )


def _size(one: Shown) -> int:
    return sum(mask.size for mask in one.masks.values())


def _said(one: Shown) -> str:
    return ", ".join(f"{int(mask.sum())} of {count(mask.size, 'node')} at {site}" for site, mask in one.masks.items())


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
        f"network of repeat {shown[0].repeat} alone.",
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

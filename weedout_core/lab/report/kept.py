"""Which nodes the arms keep: the fraction at each site, and the masks of single networks to look at."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core.lab.experiment.groups import Group


class KeptRow(NamedTuple):
    """The nodes of a site that an arm keeps, as a fraction: mean, least and most over its networks."""

    sparsity: float
    arm: str
    site: str
    nodes: int
    networks: int
    mean: float
    least: float
    most: float


class Shown(NamedTuple):
    """The masks of one network: bool ``shape`` by site, in the order of the sites."""

    sparsity: float
    arm: str
    repeat: int
    masks: Mapping[str, np.ndarray]


Masks = Mapping[str, np.ndarray]


def kept_rows(groups: Iterable[tuple[Group, Masks]], arms: Sequence[str], sites: Sequence[str]) -> list[KeptRow]:
    """The fraction kept by each arm at each site, by sparsity, arm and site.

    Args:
        groups: each group with its masks {arm/repeat/site: bool ``shape``}.
        arms, sites: in the order of the rows. Arms whose networks have no mask are left out.
    """
    cells: dict[tuple[float, str, str, int], list[float]] = {}
    for group, masks in groups:
        for path, mask in masks.items():
            arm, _, site = path.split("/", 2)
            cells.setdefault((group.sparsity, arm, site, mask.size), []).append(float(mask.mean()))
    order = {name: place for names in (arms, sites) for place, name in enumerate(names)}
    return [
        KeptRow(*cell, len(found := cells[cell]), float(np.mean(found)), min(found), max(found))
        for cell in sorted(cells, key=lambda cell: (cell[0], order[cell[1]], order.get(cell[2], len(order)), cell[2]))
    ]


def shown_masks(group: Group, masks: Masks, arms: Sequence[str], sites: Sequence[str]) -> tuple[Shown, ...]:
    """The masks of the first two arms that have some, in the first repeat of a group."""
    found = [
        Shown(
            group.sparsity,
            arm,
            group.first,
            {site: masks[path] for site in sites if (path := f"{arm}/{group.first}/{site}") in masks},
        )
        for arm in arms
    ]
    return tuple(one for one in found if one.masks)[:2]

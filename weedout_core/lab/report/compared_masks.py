"""The masks of the networks that were chosen, cell by cell in two runs, bit for bit."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core.lab.report.compared import Run, arms, paired
from weedout_core.lab.report.sentences import close_searches


class MaskRow(NamedTuple):
    """The masks of one cell in two runs.

    Attributes:
        run, first, sparsity, arm, repeat: the cell.
        nodes, different: the nodes of the network, and how many of them are kept in one run alone.
        searched: whether a search chose the network in one of the runs.
        close: whether that search was decided by fitness that differs by less than rounding may change it.
    """

    run: str
    first: str
    sparsity: float
    arm: str
    repeat: int
    nodes: int
    different: int
    searched: bool
    close: bool


class MaskCount(NamedTuple):
    """All repeats of one arm at one sparsity in two runs.

    Attributes:
        run, first, sparsity, arm: what is compared.
        masks, equal: the networks that both have, and how many of them are the same, bit for bit.
        nodes, most: the nodes of a network, and in how many two networks differ at most.
        searched, close: of the networks that differ, those that a search chose, and those of a close search.
    """

    run: str
    first: str
    sparsity: float
    arm: str
    masks: int
    equal: int
    nodes: int
    most: int
    searched: int
    close: int


_Cell = tuple[str, int]
_Place = tuple[float, str, int]
_Masks = Mapping[str, np.ndarray]


def mask_rows(runs: Sequence[Run]) -> list[MaskRow]:
    """The cells in which a run and the first run have masks of the same sites and shapes, by run and sparsity.

    Of the runs whose repeats are pairs with those of the first. One sparsity is in memory at a time.
    """
    first, order = runs[0], arms(runs)
    rows: list[MaskRow] = []
    for run in paired(runs):
        close, searched = (_either(places, first, run) for places in (_close, _searched))
        for sparsity in sorted({group.sparsity for group in first.source.done}):
            one, other = _masks(first, sparsity), _masks(run, sparsity)
            for arm, repeat in sorted(one, key=lambda cell: (order.index(cell[0]), cell[1])):
                masks, others = one[arm, repeat], other.get((arm, repeat), {})
                if _shapes(masks) != _shapes(others):
                    continue
                place = (sparsity, arm, repeat)
                different = sum(int((mask != others[site]).sum()) for site, mask in masks.items())
                nodes = sum(mask.size for mask in masks.values())
                chosen = place in searched, place in close
                rows.append(MaskRow(run.name, first.name, sparsity, arm, repeat, nodes, different, *chosen))
    return rows


def _either(places: Callable[[Run], set[_Place]], first: Run, other: Run) -> set[_Place]:
    return places(first) | places(other)


def _searched(run: Run) -> set[_Place]:
    return {(row.sparsity, row.arm, row.repeat) for row in run.source.results if row.stopped is not None}


def _close(run: Run) -> set[_Place]:
    source = run.source
    close = {*close_searches(source.config, source.searches, source.results)}
    return {place for place in _searched(run) if (place[0], place[2]) in close}


def _masks(run: Run, sparsity: float) -> dict[_Cell, dict[str, np.ndarray]]:
    """The masks of all cells of a sparsity that are done, by arm and repeat, and by site."""
    cells: dict[_Cell, dict[str, np.ndarray]] = {}
    for group in run.source.done:
        if group.sparsity == sparsity:
            for path, mask in run.source.masks(group).items():
                arm, repeat, site = path.split("/", 2)
                cells.setdefault((arm, int(repeat)), {})[site] = mask
    return cells


def _shapes(masks: _Masks) -> dict[str, tuple[int, ...]]:
    return {site: mask.shape for site, mask in masks.items()}


def mask_counts(rows: Sequence[MaskRow]) -> list[MaskCount]:
    """The counts of each arm at each sparsity, in the order of the rows."""
    places: dict[tuple[str, str, float, str], list[MaskRow]] = {}
    for row in rows:
        places.setdefault(row[:4], []).append(row)
    counts: list[MaskCount] = []
    for place, cells in places.items():
        unequal = [row for row in cells if row.different]
        counts.append(
            MaskCount(
                *place,
                len(cells),
                len(cells) - len(unequal),
                max(row.nodes for row in cells),
                max(row.different for row in cells),
                sum(row.searched for row in unequal),
                sum(row.close for row in unequal),
            )
        )
    return counts

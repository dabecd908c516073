"""How many nodes a threshold of scores does not tell apart: in another backend, or because their scores are equal."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weedout_core import near_threshold
from weedout_core._algorithm.agreement import score_agreement
from weedout_core.backend import MaskPlan, SitePlan
from weedout_core.lab.experiment.arms import Arm, Cell


class ThresholdRow(NamedTuple):
    """One site of one cell whose masks were made of scores.

    Attributes:
        sparsity, arm, repeat: the cell.
        site: the place where its mask acts.
        nodes, kept: of the site.
        drawn: how many of the nodes have one score, with which some are kept and some removed: which ones was drawn at
            random. All of them where all scores are equal.
        near_threshold: how many of the nodes another backend may keep or remove instead, because its scores differ in
            the last bits (``wc.near_threshold``). It speaks of the scores that the masks were made of: those of
            SynFlow's last step, not of the nodes that were removed before it. None where a network was trained before
            the nodes were rated: what a training makes of the last bits grows with its steps, and has no bound.
    """

    sparsity: float
    arm: str
    repeat: int
    site: str
    nodes: int
    kept: int
    drawn: int
    near_threshold: int | None


def threshold_rows(sparsity: float, cells: Sequence[Cell], arms: Sequence[Arm], plan: MaskPlan) -> list[ThresholdRow]:
    """The rows of a group in thresholds.csv, for each cell that has scores, by cell and then by site.

    Args:
        sparsity: of the group.
        cells: of the group, in the order of the rows.
        arms: of the run, each after those that it reads.
        plan: by which masks are made of scores at this sparsity.
    """
    behind: dict[str, set[str]] = {}
    for arm in arms:
        behind[arm.name] = {arm.name}.union(*(behind[name] for name in arm.reads))
    steps = {(cell.arm, cell.repeat): cell.start.spent.steps for cell in cells}
    return [
        ThresholdRow(
            sparsity, cell.arm, cell.repeat, site.site, site.nodes, site.kept,
            _drawn(scores[site.site], site),
            None if any(steps.get((arm, cell.repeat)) for arm in behind[cell.arm]) else _near(scores[site.site], site),
        )
        for cell in cells
        if (scores := cell.start.scores) is not None
        for site in plan.sites
    ]  # fmt: skip


def _drawn(scores: np.ndarray, site: SitePlan) -> int:
    ordered, removed = np.sort(scores, axis=None), site.nodes - site.kept
    lowest = ordered[removed]  # of those that are kept
    return int((ordered == lowest).sum()) if lowest in ordered[:removed] else 0


def _near(scores: np.ndarray, site: SitePlan) -> int:
    return near_threshold({site.site: scores}, MaskPlan((site,)), score_agreement(scores))[site.site]

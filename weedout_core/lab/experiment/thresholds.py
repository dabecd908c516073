"""How many nodes a threshold of scores does not tell apart: in another backend, or because their scores are equal."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.agreement import score_agreement
from weedout_core._masks.scored import parts, rivals
from weedout_core.backend import MaskPlan
from weedout_core.lab.experiment.arms import Arm, Cell
from weedout_core.scores import near_threshold

Scores = Mapping[str, np.ndarray]


class ThresholdRow(NamedTuple):
    """One site of one cell whose masks were made of scores.

    Attributes:
        sparsity, arm, repeat: the cell.
        site: the place where its mask acts.
        nodes, kept: of the site.
        drawn: how many of the nodes have one score, with which some are kept and some removed: which ones was drawn at
            random. All of them where all scores are equal.
        near_threshold: how many of the nodes another backend may keep or remove instead, because its scores differ in
            the last bits (``wc.scores.near_threshold``). It speaks of the scores that the masks were made of: those of
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
    rows: list[ThresholdRow] = []
    for cell in cells:
        if (scores := cell.start.scores) is None:
            continue
        trained = any(steps.get((arm, cell.repeat)) for arm in behind[cell.arm])
        kept = [(cell.start.network.mask or {})[site.site].reshape(-1) for site in plan.sites]
        drawn, near = _drawn(scores, kept, plan), None if trained else _near(scores, plan)
        rows += [
            ThresholdRow(
                sparsity, cell.arm, cell.repeat, site.site, site.nodes, int(mask.sum()), drawn[place],
                None if near is None else near[site.site],
            )
            for place, (site, mask) in enumerate(zip(plan.sites, kept, strict=True))
        ]  # fmt: skip
    return rows


def _drawn(scores: Scores, kept: Sequence[np.ndarray], plan: MaskPlan) -> list[int]:
    rated = np.concatenate([np.zeros(0), *(scores[site.site].reshape(-1) for site in plan.sites)])
    drawn = np.zeros(len(rated), np.bool_)
    for stays, goes in rivals(kept, plan):
        drawn |= (stays | goes) & np.isin(rated, np.intersect1d(rated[stays], rated[goes]))
    return [int(one.sum()) for one in parts(drawn, plan)]


def _near(scores: Scores, plan: MaskPlan) -> dict[str, int]:
    """By site. Where nodes of all sites compete, each score may differ by as much as the largest of them may."""
    if plan.total is not None:
        return near_threshold(scores, plan, max(map(score_agreement, scores.values()), default=0.0))
    found: dict[str, int] = {}
    for site in plan.sites:
        one = {site.site: scores[site.site]}
        found |= near_threshold(one, MaskPlan((site,)), score_agreement(scores[site.site]))
    return found

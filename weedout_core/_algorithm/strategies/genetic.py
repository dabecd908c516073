"""A genetic algorithm: two winners of tournaments are crossed, and their child is mutated (Holland, 1975)."""

import numpy as np

from weedout_core._algorithm.strategies.breeding import crossed, mutated, tournaments
from weedout_core._algorithm.strategies.checks import Masks
from weedout_core._masks.plan import MaskPlan
from weedout_core._random.stream import fold_in, split


def genetic(
    key: np.ndarray, plan: MaskPlan, masks: Masks, fitness: np.ndarray, count: int, mutation: float
) -> dict[str, np.ndarray]:
    """The masks of the children: see ``Breed``.

    Tournaments draw from ``fold_in(key, 0)``, the first ``count`` of them the mothers. Child i mutates by
    ``fold_in(fold_in(key, 1), i)``, after it is crossed by ``fold_in(fold_in(key, 2), i)``.
    """
    mothers, fathers = tournaments(fold_in(key, 0), fitness, 2 * count).reshape(2, count)
    children = crossed(
        split(fold_in(key, 2), count),
        {site: mask[mothers] for site, mask in masks.items()},
        {site: mask[fathers] for site, mask in masks.items()},
        plan,
    )
    return mutated(split(fold_in(key, 1), count), children, plan, mutation)

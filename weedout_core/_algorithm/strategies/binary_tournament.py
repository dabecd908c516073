"""Binary tournament: each child is the fitter of two candidates, mutated (De Jong, Evolutionary Computation, 2016)."""

import numpy as np

from weedout_core._algorithm.strategies.breeding import mutated, tournaments
from weedout_core._algorithm.strategies.checks import Masks
from weedout_core._masks.plan import MaskPlan
from weedout_core._random.stream import fold_in, split


def binary_tournament(
    key: np.ndarray, plan: MaskPlan, masks: Masks, fitness: np.ndarray, count: int, mutation: float
) -> dict[str, np.ndarray]:
    """The masks of the children: see ``Breed``.

    Tournaments draw from ``fold_in(key, 0)``. Child i mutates by ``fold_in(fold_in(key, 1), i)``.
    """
    parents = tournaments(fold_in(key, 0), fitness, count)
    return mutated(split(fold_in(key, 1), count), {site: mask[parents] for site, mask in masks.items()}, plan, mutation)

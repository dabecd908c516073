"""(1 + lambda): every child is the elite, mutated; the elite stays until a child is fitter (Rechenberg, 1973)."""

import numpy as np

from weedout_core._algorithm.strategies.anew import select
from weedout_core._algorithm.strategies.breeding import mutated
from weedout_core._algorithm.strategies.checks import Masks
from weedout_core._masks.plan import MaskPlan
from weedout_core._random.stream import fold_in, split


def one_plus_lambda(
    key: np.ndarray, plan: MaskPlan, masks: Masks, fitness: np.ndarray, count: int, mutation: float
) -> dict[str, np.ndarray]:
    """The masks of the m − 1 children: see ``Breed``. Child i mutates by ``fold_in(fold_in(key, 1), i)``."""
    elite = np.full(count, int(select(fitness)))
    return mutated(split(fold_in(key, 1), count), {site: mask[elite] for site, mask in masks.items()}, plan, mutation)

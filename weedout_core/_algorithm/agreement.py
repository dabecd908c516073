"""How closely backends agree on the fitness of a candidate, and so when two candidates are too close to rank.

The conformance kit holds backends to bounds for the worst case, derived in ``weedout_core.testing.tolerances``.
What is seen in a search is far below them.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

#: The difference to expect between two backends, by fitness function. For cross-entropy, in nats, it was measured, with
#: the differences of initial weights and of sums. Accuracy counts examples, and its ties go to the lowest candidate in
#: every backend.
FITNESS_AGREEMENT: Mapping[str, float] = MappingProxyType({"negative_cross_entropy": 1e-6, "accuracy": 0.0})


def margin(fitness: np.ndarray) -> float | None:
    """By how much the fittest candidate leads the second. Fitness is ``(m,)``; None if fewer than two are finite."""
    ranked = np.sort(fitness[np.isfinite(fitness)])
    return float(ranked[-1] - ranked[-2]) if len(ranked) > 1 else None


def too_close(fitness: str) -> float:
    """Candidates whose fitness differs by less than this may rank the other way round in another backend."""
    return 2 * FITNESS_AGREEMENT[fitness]

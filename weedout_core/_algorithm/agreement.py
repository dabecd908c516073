"""How closely backends agree on the fitness of candidates and the scores of nodes, and so what is too close to rank.

The conformance kit holds backends to bounds for the worst case, derived in ``weedout_core.testing.tolerances``.
What is seen in a search is far below them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

#: The difference to expect between two backends, by fitness function. For cross-entropy, in nats, it was measured, with
#: the differences of initial weights and of sums. Accuracy counts examples, and its ties go to the lowest candidate in
#: every backend.
FITNESS_AGREEMENT: Mapping[str, float] = MappingProxyType({"negative_cross_entropy": 1e-6, "accuracy": 0.0})

#: The difference to expect between two backends in the score of a node, as a fraction of the largest of its site.
#:
#: Scores are computed in float64 everywhere, so that what differs are the initial weights, by at most 1.1e-5 of each
#: (``tolerances.WEIGHTS``), and in few weights by that much. A sum of positive terms keeps such a relative difference:
#: that of magnitude is at most that of its weights, that of SynFlow the sum of those along a path. SNIP's terms have
#: signs and cancel: its small scores are off by up to a third of themselves, yet by no more than others in the units
#: of the terms, which the largest score of a site is made of. So the scale is the largest score, which is right for all
#: three; where terms are positive it is generous, by what the largest score is above the threshold.
#:
#: Measured, over magnitude, SNIP and SynFlow in numpy, jax, torch and torch_xla, each with its own initial weights of
#: one key: up to 0.9e-6 in a Wide ResNet (10, 1) with masks of nodes and of channels, 1.7e-6 in perceptrons of 64 and
#: 784 inputs, and 2.7e-6 where four weights lead to a node, so that one of them is much of its score.
SCORE_AGREEMENT = 5e-6


def margin(fitness: np.ndarray) -> float | None:
    """By how much the fittest candidate leads the second. Fitness is ``(m,)``; None if fewer than two are finite."""
    ranked = np.sort(fitness[np.isfinite(fitness)])
    return float(ranked[-1] - ranked[-2]) if len(ranked) > 1 else None


def too_close(fitness: Any) -> float:
    """Candidates whose fitness differs by less than this may rank the other way round in another backend.

    0 for a function of the user's: how far its values differ between backends is not known.
    """
    return 2 * FITNESS_AGREEMENT.get(fitness, 0.0)


def score_agreement(scores: np.ndarray) -> float:
    """By how much each score of a site may differ in another backend. Scores have any shape; infinite ones stay so."""
    return SCORE_AGREEMENT * float(np.abs(scores[np.isfinite(scores)]).max(initial=0.0))

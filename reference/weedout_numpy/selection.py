"""Selection: which candidates go on. Paper, Algorithm 1, lines 9 and 11; section 3.

"Random Search selects the fittest solution in the population … and passes it on to the next generation, while
creating (m − 1) new random solutions."
"""

import math
from collections.abc import Sequence


def select(fitness: Sequence[float]) -> int:
    """The index of the fittest candidate, the lowest of equals. What is NaN or infinite is never fitter.

    Where no fitness is finite, 0.
    """
    winner, best = 0, -math.inf
    for i, value in enumerate(fitness):
        if math.isfinite(value) and value > best:
            winner, best = i, value
    return winner

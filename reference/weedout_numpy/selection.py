"""Selection: who goes on. Paper, Algorithm 1, lines 9 and 11.

Section 3: "Random Search selects the fittest solution in the population … and passes it on to the next generation,
while creating (m − 1) new random solutions."
"""

import math
from collections.abc import Sequence

from weedout_core.errors import SearchError
from weedout_numpy.candidates import Candidate


def select(fitness: Sequence[float]) -> int:
    """The index of the largest fitness, the lowest of equals. One that is NaN or infinite is never selected.

    Where no fitness is finite, 0.
    """
    winner, best = 0, -math.inf
    for i, value in enumerate(fitness):
        if math.isfinite(value) and value > best:
            winner, best = i, value
    return winner


def fittest(population: Sequence[Candidate]) -> Candidate:
    """The candidate with the largest fitness, the first of equals. Those that are not measured yet have none.

    Raises:
        SearchError: no fitness is finite.
    """
    best = population[select([candidate.fitness for candidate in population])]
    if not math.isfinite(best.fitness):
        generation = population[-1].origin.generation  # the last one is always drawn in it
        raise SearchError(f"no candidate of generation {generation} has a finite fitness. Check inputs and weights.")
    return best

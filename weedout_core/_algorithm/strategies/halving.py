"""Successive halving: the fitter half goes on, to be scored on twice the examples (Jamieson and Talwalkar, 2016)."""

from typing import Any

import numpy as np

from weedout_core._algorithm.strategies.anew import ranked


def fitter_half(key: Any, fitness: np.ndarray) -> np.ndarray:
    """The fitter half of the candidates, fittest first, at least one: int64 indices of float64 ``(candidates,)``."""
    del key  # nothing is drawn
    return ranked(fitness)[: max(1, len(fitness) // 2)]


def halved(population: int, generation: int) -> int:
    """The candidates of a generation, of m in generation 0: m / 2^generation, rounded down, at least one."""
    return max(1, population >> generation)


def doubled(examples: int, generation: int) -> int:
    """The examples that a generation is scored on, of which generation 0 has so many."""
    return examples << generation

"""Random Search, the paper's strategy: the elite survives, and all others are drawn anew."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from weedout_core._guard.guarded import guarded
from weedout_core._guard.traced import Floats, beside
from weedout_core.errors import ConfigError


@guarded
def select(fitness: Floats) -> Any:
    """The index of the fittest candidate; of equal ones the lowest. NaN and infinities rank below any finite fitness.

    Written out because ``argmax`` of ties and NaN differs between libraries.

    Args:
        fitness: float ``(*batch, candidates)``.
    Returns:
        int32 ``(*batch,)``; 0 where no fitness is finite.
    Raises:
        ConfigError: fitness is not an array of floats, or there is no candidate.
    """
    xp = array_namespace(fitness)
    if 0 in fitness.shape:
        raise ConfigError(f"there must be a candidate to select; got fitness of shape {tuple(fitness.shape)}.")
    usable = xp.where(xp.isfinite(fitness), fitness, xp.full_like(fitness, -xp.inf))
    best = usable == xp.max(usable, axis=-1, keepdims=True)
    index = xp.arange(fitness.shape[-1], dtype=xp.int32, **beside(fitness))
    return xp.min(xp.where(best, index, xp.full_like(index, fitness.shape[-1])), axis=-1)


def ranked(fitness: np.ndarray) -> np.ndarray:
    """The indices of candidates, fittest first: of equal ones the lower index, and what is not finite last."""
    return np.argsort(-np.where(np.isfinite(fitness), fitness, -np.inf), kind="stable")


@guarded
def random_search(key: Any, fitness: Floats) -> Any:
    """Keep only the elite. Paper, section 3: pass the fittest on and create m − 1 new random solutions.

    Args:
        key: uint32 ``(2,)``; not used, because Random Search makes no random choice among scored candidates.
        fitness: float ``(candidates,)``.
    Returns:
        the index of the elite, int32 ``(1,)``.
    Raises:
        ConfigError: fitness is not one float for each candidate.
    """
    del key
    if len(fitness.shape) != 1:
        raise ConfigError(f"fitness must be one float for each candidate; got shape {tuple(fitness.shape)}.")
    xp = array_namespace(fitness)
    return xp.reshape(select(fitness), (1,))

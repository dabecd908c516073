"""Gradual sparsity: it rises while weights train, fast at first, when much can be removed, and then ever slower."""

from collections.abc import Mapping
from typing import overload

from weedout_core._masks.allocation import Space, Sparsity, by_site


@overload
def gradual(space: Space, initial: float, final: float, step: int, steps: int) -> float: ...
@overload
def gradual(space: Space, initial: Sparsity, final: Sparsity, step: int, steps: int) -> Sparsity: ...
def gradual(space: Space, initial: Sparsity, final: Sparsity, step: int, steps: int) -> Sparsity:
    """The sparsity after a step: ``η_f + (η_i − η_f) · (1 − t/n)³`` (Zhu & Gupta, 2017, equation 1).

    Args:
        space: {site: shape of its mask}, the sites of which a mapping has an entry each.
        initial, final: the sparsities η_i before the first step and η_f after the last one.
        step, steps: t in [0, n], and n ≥ 1.
    Raises:
        ConfigError: a mapping has no entry for a site, or one for an unknown site.
    """
    left = (1 - step / steps) ** 3
    if not isinstance(initial, Mapping) and not isinstance(final, Mapping):
        return final + (initial - final) * left
    begins, ends = by_site(space, initial), by_site(space, final)
    return {site: ends[site] + (begins[site] - ends[site]) * left for site in space}

"""A strategy of the user's own: what it breeds is held to what is true of the library's own strategies."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from weedout_core._algorithm.strategies.checks import Masks, checked_bred
from weedout_core._guard.hosted import frozen
from weedout_core._guard.own_functions import call_own, place_of_own
from weedout_core._masks.plan import MaskPlan
from weedout_core.errors import ConfigError


@runtime_checkable
class Breed(Protocol):
    """How a strategy breeds the candidates of the next generation, all but the elite, which survives by itself."""

    def __call__(
        self, key: np.ndarray, plan: MaskPlan, masks: Masks, fitness: np.ndarray, count: int, mutation: float
    ) -> Mapping[str, np.ndarray]:
        """The masks of the children: {site: bool ``(count, nodes)``}.

        A pure function: what is drawn comes from the key, so that the same search breeds the same masks again. Children
        keep as many nodes as the plan says: at each site ``plan.counts``, over all sites ``plan.total`` where there is
        one; and at least one at each site.

        Args:
            key: uint32 ``(2,)``, another one in each generation.
            plan: how many nodes are kept, and of which sites.
            masks: of the m candidates that were scored, {site: bool ``(m, nodes)``}, read-only.
            fitness: theirs, float64 ``(m,)``, higher is fitter; NaN and infinities are never the elite's.
            count: the number of children, ≥ 1.
            mutation: ``SearchConfig.mutation``, in (0, 1].
        """
        ...


def own_children(
    breed: Breed, key: np.ndarray, plan: MaskPlan, masks: Masks, fitness: np.ndarray, count: int, mutation: float
) -> dict[str, np.ndarray]:
    """What a function of the user's breeds, after checking it.

    Raises:
        ConfigError: it failed, or gives other masks the second time.
        MaskError: it returned no masks, or masks that do not keep what the plan says.
    """
    name = f"the strategy {place_of_own(breed)}"
    given = {site: frozen(mask) for site, mask in masks.items()}
    children, again = (_children(name, breed, key, plan, given, fitness, count, mutation) for _ in range(2))
    if any(not np.array_equal(children[site], again[site]) for site in children):
        raise ConfigError(
            f"{name} bred other masks when it was called a second time for the same generation. Draw from the key, and "
            "keep nothing from call to call."
        )
    return children


def _children(name: str, breed: Breed, key: np.ndarray, plan: MaskPlan, *rest: Any) -> dict[str, np.ndarray]:
    masks, fitness, count, mutation = rest
    made = call_own(breed, name, frozen(key), plan, masks, frozen(fitness), count, mutation)
    return checked_bred(f"what {name} returns", made, plan, count)

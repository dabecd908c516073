"""Masks of several candidates, in breeding: do they keep what a plan says?"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from weedout_core._guard.hosted import hosted
from weedout_core._guard.showing import shown
from weedout_core._masks.plan import MaskPlan
from weedout_core.errors import MaskError

#: The masks of several candidates, {site: bool ``(candidates, nodes)``}.
Masks = Mapping[str, np.ndarray]


def checked_bred(name: str, given: Any, plan: MaskPlan, rows: int) -> dict[str, np.ndarray]:
    """Masks of ``rows`` candidates, after checking them.

    Args:
        name: what errors call them.
        given: {site: bool ``(rows, nodes)``}, of any framework.
        plan: how many nodes they keep: at each site, over all sites, or any number, but one of each site at least.
    Raises:
        MaskError: they are no masks, or a mask does not keep what the plan says.
    """
    wanted = [site.site for site in plan.sites]
    made = cast(Mapping[str, Any], given) if isinstance(given, Mapping) else None
    if made is None or {*made} != {*wanted}:
        got = shown(given) if made is None else sorted(map(str, made))
        raise MaskError(f"{name} must be a mask for each of the sites {sorted(wanted)}; got {got}.")
    masks = {site.site: _checked(name, site.site, made[site.site], (rows, site.nodes)) for site in plan.sites}
    _check_counts(name, masks, plan)
    return masks


def _checked(name: str, site: str, mask: Any, shape: tuple[int, int]) -> np.ndarray:
    try:
        array = hosted(mask)
    except Exception:
        array = np.empty(0)
    if array.dtype != np.bool_ or array.shape != shape:
        got = f"{array.dtype} {array.shape}" if hasattr(mask, "dtype") else shown(mask)
        raise MaskError(f"{name} must be booleans {shape}, (candidates, nodes), at site {site!r}; got {got}.")
    return array


def _check_counts(name: str, masks: Masks, plan: MaskPlan) -> None:
    """Raise MaskError unless each candidate keeps what the plan says, and at least one node of each site."""
    kept = {site: np.count_nonzero(mask, axis=1) for site, mask in masks.items()}
    for site, each in kept.items():
        wanted = plan.counts.get(site)
        wrong = each[each < 1] if wanted is None else each[each != wanted]
        if wrong.size:
            must = "at least one node" if wanted is None else f"{wanted} nodes"
            raise MaskError(f"{name} must keep {must} of site {site!r} in each candidate; got {wrong[0]} in one.")
    total = np.sum([*kept.values()], axis=0)
    if plan.total is not None and (total != plan.total).any():
        other = total[total != plan.total][0]
        raise MaskError(f"{name} must keep {plan.total} nodes over all sites in each candidate; got {other} in one.")

"""From masks, scores or a network to a start, after checking that it removes what the task asks for."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from weedout_core import Subnetwork, masks_from_scores
from weedout_core.backend import MaskPlan, host_view
from weedout_core.errors import MaskError
from weedout_core.lab.experiment.arms import Start, Task
from weedout_core.nn import initial_statistics


def start_of(made: Any, task: Task) -> Start:
    """A start from what a function made.

    Args:
        made: masks {site: bool ``shape``}, True where a node is kept; scores {site: float ``shape``}, of which the
            highest are kept; or a ``wc.Subnetwork`` of the task's network, or a result that has one.
        task: what the function was handed.
    Raises:
        MaskError: it is none of these, may be masks or scores, or does not fit the network or the sparsity.
    """
    network = getattr(made, "network", made)
    if isinstance(network, Subnetwork):
        if network.net != task.net:
            raise MaskError("it returned a sparse network of another parent. Make it of task.net.")
        check_masks(full(task.plan) if network.mask is None else network.mask, task.plan)
        return Start(network)
    if not isinstance(made, Mapping):
        raise MaskError(
            f"it must return masks or scores, a mapping from each site to an array, or a wc.Subnetwork; got "
            f"{type(made).__name__}. The sites of the network are {sorted(task.plan.kept)}."
        )
    arrays = {str(site): host_view(value) for site, value in made.items()}
    if are_scores(arrays):
        return scored(arrays, task)
    check_masks(arrays, task.plan)
    return masked(arrays, task)


def are_scores(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether arrays are scores, False if they are masks. Raises MaskError if they are neither, or may be both."""
    kinds = {array.dtype.kind for array in arrays.values()}
    if kinds not in ({"b"}, {"f"}):
        raise MaskError(
            "it must be masks, arrays of booleans, or scores, arrays of floats, at each site; got "
            f"{', '.join(f'{site}: {array.dtype}' for site, array in sorted(arrays.items())) or 'nothing'}. For masks "
            "write mask.astype(bool), for scores score.astype(float)."
        )
    if kinds == {"f"} and all(np.isin(array, (0, 1)).all() for array in arrays.values()):
        raise MaskError(
            "it must be masks, arrays of booleans, or scores; floats that are all 0 or 1 may be either. For masks "
            "write mask.astype(bool); scores of two values leave most nodes to chance: if meant, write score - 0.5."
        )
    return kinds == {"f"}


def check_masks(masks: Mapping[str, np.ndarray], plan: MaskPlan) -> None:
    """Raise MaskError unless masks fit a plan: its sites and shapes, and as many nodes removed in all.

    How the nodes are divided among sites is the method's own: only the sum counts, give or take one for each site,
    because a plan rounds at each.
    """
    shapes = {site.site: site.shape for site in plan.sites}
    if set(masks) != set(shapes):
        raise MaskError(
            f"masks must be of the sites {sorted(shapes)}; got {sorted(masks)}. "
            "Give an entry for each node of every site, not for each weight."
        )
    for site, shape in shapes.items():
        if masks[site].shape != shape:
            raise MaskError(f"the mask of site {site!r} must have shape {shape}; got {masks[site].shape}.")
    kept, wanted = sum(int(np.count_nonzero(mask)) for mask in masks.values()), plan.nodes_kept
    if abs(kept - wanted) > len(shapes):
        raise MaskError(
            f"masks must keep {wanted:,} of {plan.nodes:,} nodes, sparsity {1 - wanted / plan.nodes:.4g}, give or take "
            f"{len(shapes)} for the rounding of each site; these keep {kept:,}, sparsity {1 - kept / plan.nodes:.4g}."
        )


def full(plan: MaskPlan) -> dict[str, np.ndarray]:
    """Masks that keep every node."""
    return {site.site: np.ones(site.shape, np.bool_) for site in plan.sites}


def scored(scores: Mapping[str, np.ndarray], task: Task) -> Start:
    """Keep the nodes with the highest scores, as the plan says: at each site, or of all sites together."""
    return masked(masks_from_scores(scores, task.plan, task.key), task)._replace(scores=scores)


def masked(masks: Mapping[str, np.ndarray] | None, task: Task) -> Start:
    """Masks, or none, on the initial weights of the task."""
    return Start(Subnetwork(task.net, task.params, masks, initial_statistics(task.net) or None))

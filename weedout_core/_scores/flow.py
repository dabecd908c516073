"""SynFlow: nodes are rated by what flows through them, without data."""

from dataclasses import replace

import numpy as np

from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive
from weedout_core._masks.plan import MaskPlan
from weedout_core._masks.scored import check_exact, masks_from_scores
from weedout_core._networks.network import Network, mask_space
from weedout_core._random.annotations import Key
from weedout_core._scores.incoming import HostedParameters
from weedout_core._scores.sensitivity import mask_gradient
from weedout_core.errors import ConfigError


@guarded
def synflow(
    net: Network,
    params: HostedParameters,
    plan: MaskPlan,
    *,
    backend: str | Backend,
    key: Key,
    steps: Positive = 100,
) -> dict[str, np.ndarray]:
    """m · ∂R/∂m, where R is the sum of the logits of the network with the absolute values of all its weights.

    SynFlow (Tanaka, Kunin, Yamins, Ganguli, "Pruning neural networks without any data by iteratively conserving
    synaptic flow", NeurIPS 2020, algorithm 1), for nodes and with the counts of a plan. The input is one example of
    ones; batch normalisation takes its initial running statistics. Nodes are removed in steps: after step k of n a
    site that keeps a fraction d of its nodes in the end still has the fraction d^(k/n), and all is rated anew; under a
    plan with a total all sites together have.
    ``near_threshold`` sees the threshold of the last step alone. Where nodes lie near that of an earlier step, another
    backend may remove others there, and then rates what is left without them.

    Args:
        net: the network.
        params: its initial weights.
        plan: how many nodes each site keeps in the end, from ``wc.mask_plan`` with exact sampling.
        backend: what computes; it must have a gradient of masks.
        key: orders nodes of equal scores, as in ``masks_from_scores``.
        steps: n ≥ 1.
    Returns:
        the scores of the last step, {site: float64 ``shape``}, ≥ 0 and 0 for what was removed before it:
        ``masks_from_scores`` makes the masks of them, with the same plan and key.
    Raises:
        ConfigError, MaskError, BackendError: an argument does not fit, or the backend has no gradient of masks.
    """
    backend, space = load_backend(backend), mask_space(net)
    check_exact(plan)
    if {site.site: site.shape for site in plan.sites} != space:
        raise ConfigError(
            f"the plan must be one for the network's sites {space}; make it with wc.mask_plan(wc.mask_space(net), "
            "sparsity)."
        )
    sizes = {path: np.abs(np.asarray(value, dtype=np.float32)) for path, value in params.items()}
    gradient, ones = mask_gradient(net, sizes, backend), np.ones((1, *net.input_shape), np.float32)
    masks = {site: np.ones(shape, np.bool_) for site, shape in space.items()}
    scores = {site: np.ones(shape) for site, shape in space.items()}
    for step in range(1, steps + 1):
        found = gradient(masks, ones, None)
        scores = {site: mask * found[site] for site, mask in masks.items()}
        masks = masks_from_scores(scores, _after(plan, step / steps), key)
    return scores


def _after(plan: MaskPlan, done: float) -> MaskPlan:
    """The plan when a fraction of the steps is done: an exponential path from all nodes to those that are kept."""

    def left(nodes: int, kept: int) -> int:
        return max(kept, round(nodes * (kept / nodes) ** done))

    sites = tuple(replace(site, kept=left(site.nodes, site.kept)) for site in plan.sites)
    return MaskPlan(sites, None if plan.total is None else left(plan.nodes, plan.total))

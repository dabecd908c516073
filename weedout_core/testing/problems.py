"""Inputs for the checks, drawn by Hypothesis: a *problem* is a network with weights, masks and examples."""

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from weedout_core._compaction.compaction import compact, kept_indices
from weedout_core._contract.record import Backend
from weedout_core._masks.allocation import Sparsity
from weedout_core._masks.plan import MaskPlan, mask_plan, masks_from_keys
from weedout_core._networks.layers import Gather, every_layer
from weedout_core._networks.network import Network, initial_statistics, mask_space, parameter_shapes
from weedout_core._random.stream import split
from weedout_core.testing.examples import keys, last_node_kept
from weedout_core.testing.networks import (
    COMPACTED_SPARSITY,
    SPARSITIES,
    networks,
    smaller,
)
from weedout_core.testing.written import written


class Problem(NamedTuple):
    """A network with float32 weights (biases too), a batch, and a population's masks.

    Attributes:
        net: the network.
        params: {path: float32 ``shape``}.
        x, y: 24 examples or more, float32 ``(24, *input_shape)``, and their labels, int32 ``(24,)``.
        statistics: statistics for batch normalisation, {path: float32 ``(channels,)``}; {} for a network without it.
        sparsity, plan: the plan by which the masks were drawn, and its η.
        keys: the keys of six candidates or more, uint32 ``(6, 2)``; the last is the first once more.
        masks: {site: bool ``(6, *shape)``}; for a compacted network also the indices of its Gather layers, {name: int32
            ``(6, count)``}.
    """

    net: Network
    params: dict[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray
    statistics: dict[str, np.ndarray]
    sparsity: Sparsity
    plan: MaskPlan
    keys: np.ndarray
    masks: dict[str, np.ndarray]

    def __repr__(self) -> str:
        """The values that decide all others, so that a failure does not print thousands of numbers."""
        return f"Problem(net={written(self.net)}, candidate_keys={self.keys.tolist()}, kept={self.plan.kept})"

    @property
    def gathers(self) -> bool:
        """Whether the network has Gather layers, whose indices are among the masks: without masks it is none."""
        return any(isinstance(layer, Gather) for layer in every_layer(self.net.layers))

    def one(self, index: int = 0) -> dict[str, np.ndarray]:
        """One candidate's masks."""
        return {site: mask[index] for site, mask in self.masks.items()}

    def uneven(self) -> dict[str, np.ndarray]:
        """Masks of which the first keeps half of the nodes, the second all, the third a quarter, and so on.

        Those of the plan all keep as many, so that what one of them keeps may be taken for what another keeps.
        """
        rng, shares = np.random.default_rng(self.keys[-1]), np.resize([0.5, 1, 0.25], len(self.keys))
        return {site: _keeping(rng, mask, shares) for site, mask in self.masks.items()}


def _keeping(rng: np.random.Generator, mask: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Masks like these, of which each keeps about its share of the nodes, and at least one; indices as they are."""
    if mask.dtype != bool:
        return mask
    order = rng.random(mask.shape).reshape(len(mask), -1).argsort(axis=1).argsort(axis=1)
    return (order < np.maximum(1, shares * order.shape[1]).round()[:, None]).reshape(mask.shape)


def problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """For each network whose layers a backend computes, a strategy for problems with any weights and batch."""
    return [problem(net) for net in networks(backend)]


def compacted_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same as ``problems``, for the networks that compaction makes smaller."""
    return [problem(net, COMPACTED_SPARSITY) for net in smaller(backend)]


def compacted(one: Problem) -> list[Problem]:
    """A problem for each candidate: its smaller network and weights; all share the stacked masks and indices."""
    small = compact(one.net, one.plan.kept)
    kept = [kept_indices(one.one(index)) for index in range(len(one.keys))]
    masks = [small.gather_masks(one.one(index), indices) for index, indices in enumerate(kept)]
    together = {name: np.stack([candidate[name] for candidate in masks]) for name in masks[0]}
    return [
        one._replace(
            net=small.net,
            params=small.gather(one.params, indices),
            statistics=small.gather(one.statistics, indices),
            masks=together,
        )
        for indices in kept
    ]


@st.composite
def problem(
    draw: Any, net: Network, sparsity: Sparsity | None = None, examples: int = 24, candidates: int = 6
) -> Problem:
    """A problem with any weights and batch for a network. Masks are exact, at the given sparsity or the network's."""
    key = draw(keys())
    rng = np.random.default_rng(key)
    params = drawn_weights(rng, net)
    statistics = {
        path: (value + 0.3 * rng.uniform(-1, 1, value.shape)).astype(np.float32)
        for path, value in initial_statistics(net).items()
    }
    x = rng.standard_normal((examples, *net.input_shape)).astype(np.float32)
    y = rng.integers(0, net.classes, examples).astype(np.int32)
    sparsity = SPARSITIES.get(net, 0.5) if sparsity is None else sparsity
    with last_node_kept():
        plan, each = mask_plan(mask_space(net), sparsity), split(key, candidates)
    each = np.concatenate([each[:-1], each[:1]])  # a candidate may be drawn twice
    indices = {
        layer.name: rng.integers(0, net.input_shape[-1], (candidates, layer.count)).astype(np.int32)
        for layer in every_layer(net.layers)
        if isinstance(layer, Gather)  # of as many nodes as there are inputs; in any order, and some come twice
    }
    return Problem(net, params, x, y, statistics, sparsity, plan, each, masks_from_keys(each, plan) | indices)


def drawn_weights(rng: np.random.Generator, net: Network) -> dict[str, np.ndarray]:
    """Weights and biases, {path: float32 ``shape``}."""
    return {path: _drawn(rng, path, shape) for path, shape in parameter_shapes(net).items()}


def _drawn(rng: np.random.Generator, path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep activations of order 1: kernels scaled by their fan-in, γ near 1, all others near 0."""
    normal = rng.standard_normal(shape)
    if path.endswith("/kernel"):
        return (normal * 1.2 / math.sqrt(math.prod(shape[:-1]))).astype(np.float32)
    return (0.2 * normal + (1 if path.endswith("/scale") else 0)).astype(np.float32)

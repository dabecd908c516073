"""Inputs for the checks, drawn by Hypothesis: a *problem* is a network with weights, masks and examples."""

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from weedout_core._compaction.compaction import compact, kept_indices
from weedout_core._contract.record import Backend, missing_layers
from weedout_core._masks.plan import MaskPlan, mask_plan, masks_from_keys
from weedout_core._networks.architectures import mlp
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
)
from weedout_core._networks.network import Network, initial_statistics, mask_space, parameter_shapes
from weedout_core._random.stream import split
from weedout_core.testing.examples import keys


class Problem(NamedTuple):
    """A network with float32 weights (biases too), a batch, and a population's masks.

    Attributes:
        net: the network.
        params: {path: float32 ``shape``}.
        x, y: 24 examples, float32 ``(24, *input_shape)``, and their labels, int32 ``(24,)``.
        statistics: statistics for batch normalisation, {path: float32 ``(channels,)``}; {} for a network without it.
        sparsity, plan: the plan by which the masks were drawn, and its η.
        keys: the keys of six candidates, uint32 ``(6, 2)``.
        masks: {site: bool ``(6, *shape)``}; for a compacted network also the indices of its Gather layers, {name: int32
            ``(6, count)``}.
    """

    net: Network
    params: dict[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray
    statistics: dict[str, np.ndarray]
    sparsity: float
    plan: MaskPlan
    keys: np.ndarray
    masks: dict[str, np.ndarray]

    def __repr__(self) -> str:
        """The values that decide all others, so that a failure does not print thousands of numbers."""
        return f"Problem(net={self.net}, candidate_keys={self.keys.tolist()}, kept={self.plan.kept})"

    def one(self, index: int = 0) -> dict[str, np.ndarray]:
        """One candidate's masks."""
        return {site: mask[index] for site, mask in self.masks.items()}


#: Few and fixed networks, because a compiled backend compiles for each: one with two hidden layers, one that rescales,
#: one with a mask on its input images, a residual network with masks of nodes and of channels and a stride that does
#: not divide the image, and one with pooling and an identity shortcut.
NETWORKS = (
    mlp(7, (12, 9), 5),
    mlp(6, (10,), 3, rescale=True),
    Network(
        (
            Mask("image"), Flatten(), Dense("one", 11), Relu(), Mask("one"), Dense("two", 8), Mask("two"),
            Dense("out", 4),
        ),
        (2, 3, 2),
    ),
    Network(
        (
            Conv("first", 4),
            BatchNorm("first_norm", momentum=0.5),
            Relu(),
            Mask("nodes"),
            Residual(
                (Conv("second", 5, stride=2), BatchNorm("second_norm"), Relu(), Mask("channels", granularity="channel"),
                 Conv("third", 5)),
                (Conv("shortcut", 5, kernel_size=1, stride=2),),
            ),
            GlobalAveragePool(),
            Mask("pooled"),
            Dense("out", 3),
        ),
        (5, 4, 2),
    ),
    Network(
        (
            Conv("first", 4, kernel_size=5),
            Relu(),
            Mask("channels", rescale=True, granularity="channel"),
            MaxPool(2),
            Residual((BatchNorm("norm", epsilon=1e-3), Relu(), Mask("inside"), Conv("second", 4, kernel_size=1))),
            Flatten(),
            Dense("out", 4),
        ),
        (4, 6, 3),
    ),
)  # fmt: skip


#: One for each network, because each is a program to compile. No network keeps as many nodes as it loses at every site.
SPARSITIES = dict(zip(NETWORKS, (0.6, 0.3, 0.3, 0.5, 0.6), strict=True))


#: Without batch normalisation, which divides by a deviation and so may enlarge the errors of bfloat16 without bound.
PLAIN = (
    NETWORKS[0],
    Network(
        (
            Conv("first", 4),
            Relu(),
            Mask("channels", granularity="channel"),
            Conv("second", 5, stride=2),
            Relu(),
            GlobalAveragePool(),
            Mask("pooled"),
            Dense("out", 3),
        ),
        (5, 4, 2),
    ),
)


#: Networks from which compaction makes every kind of its layers: gathering from inputs and from the stream of a
#: residual network, and scaling by the factor of a mask that is gone or that follows another mask.
COMPACTABLE = (
    Network(
        (
            Mask("image", rescale=True),
            Flatten(),
            Dense("one", 12),
            Relu(),
            BatchNorm("norm", momentum=0.5, epsilon=0.1),
            Residual((Mask("branch", rescale=True), Dense("two", 12))),
            Relu(),
            Mask("sum"),
            Dense("out", 4),
        ),
        (2, 3, 2),
    ),
    Network(
        (
            Conv("first", 7),
            Residual(
                (BatchNorm("norm"), Relu(), Mask("branch", rescale=True, granularity="channel"), Conv("second", 7))
            ),
            BatchNorm("last_norm", momentum=0.5, epsilon=0.1),
            Relu(),
            Mask("sum", granularity="channel"),
            Flatten(),
            Relu(),
            Mask("nodes", rescale=True),
            Dense("out", 3),
        ),
        (3, 4, 2),
    ),
)  # fmt: skip


#: Two masks on the same stream keep 5 of 12 or 3 of 7 nodes each: together fewer than all, so that the rest is removed.
COMPACTED_SPARSITY = 0.6


def networks(backend: Backend) -> tuple[Network, ...]:
    """The networks whose layers a backend computes."""
    return tuple(net for net in NETWORKS if not missing_layers(backend, net))


def problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """For each network whose layers a backend computes, a strategy for problems with any weights and batch."""
    return [problem(net) for net in networks(backend)]


def plain_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same as ``problems``, for the networks without batch normalisation."""
    return [problem(net) for net in PLAIN if not missing_layers(backend, net)]


def normed_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same as ``problems``, for the networks with batch normalisation only."""
    return [problem(net) for net in networks(backend) if initial_statistics(net)]


def compactable_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same as ``problems``, for the networks that compaction makes smaller, if a backend computes their layers."""
    return [problem(net, COMPACTED_SPARSITY) for net in COMPACTABLE if not missing_layers(backend, net)]


def compacted_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same as ``compactable_problems``, if a backend also computes the layers of the smaller networks."""
    plans = {net: mask_plan(mask_space(net), COMPACTED_SPARSITY) for net in COMPACTABLE}
    smaller = {net: compact(net, plan.kept).net for net, plan in plans.items()}
    return [
        problem(net, COMPACTED_SPARSITY)
        for net, small in smaller.items()
        if not missing_layers(backend, net) and not missing_layers(backend, small)
    ]


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
def problem(draw: Any, net: Network, sparsity: float | None = None) -> Problem:
    """A problem with any weights and batch for a network. Masks are exact, at the given sparsity or the network's."""
    key = draw(keys())
    rng = np.random.default_rng(key)
    params = {path: _drawn(rng, path, shape) for path, shape in parameter_shapes(net).items()}
    statistics = {
        path: (value + 0.3 * rng.uniform(-1, 1, value.shape)).astype(np.float32)
        for path, value in initial_statistics(net).items()
    }
    x = rng.standard_normal((24, *net.input_shape)).astype(np.float32)
    y = rng.integers(0, net.classes, 24).astype(np.int32)
    sparsity = SPARSITIES.get(net, 0.5) if sparsity is None else sparsity
    plan = mask_plan(mask_space(net), sparsity)
    candidates = split(key, 6)
    return Problem(net, params, x, y, statistics, sparsity, plan, candidates, masks_from_keys(candidates, plan))


def _drawn(rng: np.random.Generator, path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep activations of order 1: kernels scaled by their fan-in, γ near 1, all others near 0."""
    normal = rng.standard_normal(shape)
    if path.endswith("/kernel"):
        return (normal * 1.2 / math.sqrt(math.prod(shape[:-1]))).astype(np.float32)
    return (0.2 * normal + (1 if path.endswith("/scale") else 0)).astype(np.float32)

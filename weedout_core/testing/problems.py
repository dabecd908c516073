"""Problems for the checks, drawn by Hypothesis: a network, its weights, masks and examples."""

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
        x, y: 24 examples.
        statistics: what batch normalisation may take, {path: float32 ``(channels,)``}; {} without any.
        plan: how the masks were drawn.
        keys: uint32 ``(6, 2)``, the candidates' keys.
        masks: {site: bool ``(6, *shape)``}; of a compacted network, {name: int32 ``(6, count)``} too.
    """

    net: Network
    params: dict[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray
    statistics: dict[str, np.ndarray]
    plan: MaskPlan
    keys: np.ndarray
    masks: dict[str, np.ndarray]

    def __repr__(self) -> str:
        """What decides the rest: a failure prints this, not thousands of numbers."""
        return f"Problem(net={self.net}, candidate_keys={self.keys.tolist()}, kept={self.plan.kept})"

    def one(self, index: int = 0) -> dict[str, np.ndarray]:
        """One candidate's masks."""
        return {site: mask[index] for site, mask in self.masks.items()}


#: Few and fixed, because a compiled backend compiles for each: deep, rescaled, with axes, masked at the input; a
#: residual network with nodes, channels and a stride that leaves a rest; pooled, its blocks the input plus something.
NETWORKS = (
    mlp(7, (12, 9), 5),
    mlp(6, (10,), 3, rescale=True),
    Network(
        (
            Mask("image"),
            Flatten(),
            Dense("one", 11),
            Relu(),
            Mask("one"),
            Dense("two", 8),
            Mask("two"),
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


#: Without batch normalisation, whose division by a small deviation enlarges the roundings of bfloat16 without bound.
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


#: What compaction turns into every kind of its layers: parts gathered from inputs, and from what the branches of a
#: residual read together; factors of masks that are gone, and of one that stays behind another.
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


#: Of 12 or 7 nodes two parts of 5 or 3 are kept: fewer than all of them, so that these alone are computed.
COMPACTED_SPARSITY = 0.6


def networks(backend: Backend) -> tuple[Network, ...]:
    """Those that a backend has the layers for."""
    return tuple(net for net in NETWORKS if not missing_layers(backend, net))


def problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """Any weights and batch for each network that a backend has the layers for."""
    return [problem(net) for net in networks(backend)]


def plain_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same for networks without batch normalisation."""
    return [problem(net) for net in PLAIN if not missing_layers(backend, net)]


def normed_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same for the networks with batch normalisation."""
    return [problem(net) for net in networks(backend) if initial_statistics(net)]


def compactable_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same for the networks that compaction makes smaller, and their parents' layers."""
    return [problem(net, COMPACTED_SPARSITY) for net in COMPACTABLE if not missing_layers(backend, net)]


def compacted_problems(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """The same where a backend has the layers of what is left, too."""
    plans = {net: mask_plan(mask_space(net), COMPACTED_SPARSITY) for net in COMPACTABLE}
    smaller = {net: compact(net, plan.kept).net for net, plan in plans.items()}
    return [
        problem(net, COMPACTED_SPARSITY)
        for net, small in smaller.items()
        if not missing_layers(backend, net) and not missing_layers(backend, small)
    ]


def compacted(one: Problem) -> list[Problem]:
    """Each candidate's smaller network, with what it keeps of weights and statistics; masks and indices are all's."""
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
    """Any weights and batch for a network. Plans are exact, at the sparsity given or one of two."""
    key = draw(keys())
    rng = np.random.default_rng(key)
    params = {path: _drawn(rng, path, shape) for path, shape in parameter_shapes(net).items()}
    statistics = {
        path: (value + 0.3 * rng.uniform(-1, 1, value.shape)).astype(np.float32)
        for path, value in initial_statistics(net).items()
    }
    x = rng.standard_normal((24, *net.input_shape)).astype(np.float32)
    y = rng.integers(0, net.classes, 24).astype(np.int32)
    # One for images: each is a program to compile, and convolutions take long.
    usual = draw(st.sampled_from([0.3, 0.6])) if len(net.input_shape) == 1 else 0.5
    plan = mask_plan(mask_space(net), usual if sparsity is None else sparsity)
    candidates = split(key, 6)
    return Problem(net, params, x, y, statistics, plan, candidates, masks_from_keys(candidates, plan))


def _drawn(rng: np.random.Generator, path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep activations of order 1: kernels by their fan, γ near 1, anything else near 0."""
    normal = rng.standard_normal(shape)
    if path.endswith("/kernel"):
        return (normal * 1.2 / math.sqrt(math.prod(shape[:-1]))).astype(np.float32)
    return (0.2 * normal + (1 if path.endswith("/scale") else 0)).astype(np.float32)

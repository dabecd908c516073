"""The check of sizes that coincide, structures at their limits, and names that resemble one another.

An array along a wrong axis fits where two sizes are equal, and goes unnoticed where all are 1. So everything has one
size here: networks, examples, batches, steps, candidates, nodes, channels, height and width.
"""

from dataclasses import replace
from itertools import cycle
from typing import Any, NamedTuple

from hypothesis import strategies as st

from weedout_core._contract.record import Backend
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
)
from weedout_core._networks.network import Network, initial_statistics, mask_space
from weedout_core.testing.courses import PLAINEST, Course
from weedout_core.testing.forward import predicted_alike
from weedout_core.testing.networks import networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.scores import Asked, fitness_agrees
from weedout_core.testing.sensitivities import gradients_agree
from weedout_core.testing.training import epochs_agree


class Alike(NamedTuple):
    """A network of one size.

    Attributes:
        layers: its layers before the last.
        shape: of its inputs.
        last: the name of its last layer.
        sgd: options of its training.
    """

    layers: tuple[Any, ...]
    shape: tuple[int, ...]
    last: str
    sgd: dict[str, Any]

    @property
    def size(self) -> int:
        """Its last size, which is every size; but a network has at least two classes."""
        return self.shape[-1]

    @property
    def net(self) -> Network:
        """The network."""
        return Network((*self.layers, Dense(self.last, max(2, self.size))), self.shape)


#: Layers are named as parameters are, or as another one begins, or differ in a character that is none in a module's
#: name, and their names sort otherwise than they stand. Masks stand first, last, and behind one another.
_ALIKE = (
    Alike(
        (
            Mask("a.b"), Dense("kernel", 4), Relu(), Mask("a_b", rescale=True), Mask("a", rescale=True),
            Dense("a.b", 4), Dense("a_b", 4), Relu(), Dense("a/kernel", 4), Dense("a", 4), Relu(), Dense("scale/1", 4),
            Mask("kernel"), Dense("scale/0", 4), Mask("scale", rescale=True),
        ),
        (4,), "bias", {"weight_decay": 0.1, "momentum": 0.9, "learning_rate": 1.0},
    ),
    Alike(
        (
            Residual((), ()), Residual((Residual(()), Dense("mean", 4)), (Residual((Mask("a/b"),)),)),
            BatchNorm("a.variance", epsilon=0.1), BatchNorm("variance", epsilon=0.1), Relu(), Mask("a"),
            Residual(
                (Mask("first"), Dense("bias", 4), Mask("last", rescale=True)),
                (Relu(), Dense("a.kernel", 4, connections=True)),
            ),
            Residual((Residual((), (Relu(),)),)),
        ),
        (4,), "kernel", {"weight_decay": 1.5, "decayed": "all", "batch_norm_group": 4, "learning_rate": 1e-3},
    ),
    Alike(
        (
            Mask("x"), BatchNorm("kernel", epsilon=0.1), MaxPool(1), Residual((), ()), Conv("bias", 4, kernel_size=5),
            Relu(), Mask("n"), Mask("c", rescale=True, granularity="channel"),
            Residual(
                (Conv("scale", 4, kernel_size=1), MaxPool(2), BatchNorm("mean", momentum=0.0, epsilon=0.1)),
                (Conv("norm.1", 4, stride=2, connections=True), Mask("side", granularity="channel")),
            ),
            GlobalAveragePool(), Mask("pooled", rescale=True), Relu(),
        ),
        (4, 4, 4), "norm_1", {"weight_decay": 0.1, "nesterov": True, "momentum": 0.5, "batch_norm_group": 1},
    ),
    Alike(
        (Gather("some", 4), Mask("m"), Scale(-0.3), Dense("one", 4), Gather("some", 4), Gather("more", 4), Scale(1.7)),
        (4,), "out", {},
    ),
    Alike(
        (Mask("first"), Dense("one", 1), Mask("one", rescale=True)),
        (1,), "out", {"momentum": 0.99, "learning_rate": 2.0},
    ),
    Alike(
        (
            Conv("one", 1), Mask("node"), MaxPool(1), Residual((Conv("two", 1, kernel_size=1),), ()),
            Mask("channel", rescale=True, granularity="channel"), Flatten(),
        ),
        (1, 1, 1), "out", {"weight_decay": 0.1},
    ),
    Alike((BatchNorm("norm", epsilon=0.1), Mask("node"), Conv("one", 1), Flatten()), (1, 2, 1), "out", {}),
)  # fmt: skip


def coinciding_sizes(backend: Backend, reference: Backend) -> None:
    """Networks whose sizes are all equal, or all 1, are predicted, scored, trained and asked for gradients alike."""
    cases = [
        st.tuples(problem(alike.net, _uneven(alike.net), max(4, alike.size**2), 4), st.just(alike))
        for alike in _ALIKE
        if networks(backend, (alike.net,))
    ]

    @across(cases, once=True)
    def agree(case: tuple[Problem, Alike]) -> None:
        one, size = case[0], case[1].size
        few = _first(one, size, size)
        _forward_alike(backend, reference, few, _first(one, 2 * size, size))
        if not one.gathers and backend.mask_gradient is not None:
            gradients_agree(backend, reference, few, one.one(), labelled=True)
        config = replace(PLAINEST, epochs=1, batch_size=size, **case[1].sgd)
        epochs_agree(backend, reference, _first(one, size**2, 4), Course(one.net, config, size))

    agree()


def _uneven(net: Network) -> dict[str, float]:
    """Sites of one shape that keep different numbers of nodes."""
    return dict(zip(mask_space(net), cycle((0.3, 0.5, 0.0)), strict=False))


def _first(one: Problem, examples: int, candidates: int) -> Problem:
    """The problem with its first examples and candidates alone."""
    masks = {site: mask[:candidates] for site, mask in one.masks.items()}
    return one._replace(x=one.x[:examples], y=one.y[:examples], keys=one.keys[:candidates], masks=masks)


def _forward_alike(backend: Backend, reference: Backend, few: Problem, twice: Problem) -> None:
    """Assert that as many networks as examples predict and score alike, by given masks and by drawn weights."""
    size, norm = len(few.y), "recalibrated" if initial_statistics(few.net) else "batch"
    predicted_alike(backend, reference, few, size)
    fitness_agrees(backend, reference, twice, Asked(candidates="host masks", chunk=size, scored=1 / 2))
    if not few.gathers:  # without their indices its layers compute nothing
        predicted_alike(backend, reference, few, size, masked=False)
        drawn = Asked("accuracy", "per_candidate", chunk=size, statistics=norm, scored=1 / 2)
        fitness_agrees(backend, reference, twice, drawn)

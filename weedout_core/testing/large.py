"""Checks of sizes beyond those of the other checks, where what works in parts, tiles or small integers fails.

Each is one case, with the smallest network that shows it: there is a program to compile for each.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._contract.record import Backend
from weedout_core._networks.architectures import mlp
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
)
from weedout_core._networks.network import Network
from weedout_core.testing.courses import PLAINEST, Course
from weedout_core.testing.forward import predicted_alike
from weedout_core.testing.networks import networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.scores import Asked, fitness_agrees
from weedout_core.testing.tolerances import bound
from weedout_core.testing.training import epochs_agree

_SMALL = mlp(4, (6,), 3)
_WIDE = mlp(1100, (600,), 3, rescale=True)
_CLASSES = mlp(40, (70,), 140)
_DEEP = Network(
    (Dense("in", 8), BatchNorm("norm", epsilon=0.1), Relu(), Mask("in"), *mlp(8, (9, 8, 7, 6, 5), 3).layers), (4,)
)
_SQUARE = Network(
    (Conv("one", 36), BatchNorm("norm", epsilon=0.1), Relu(), Mask("one"), Conv("two", 4, stride=2), Relu(),
     Mask("two"), GlobalAveragePool(), Dense("out", 3)),
    (17, 17, 2),
)  # fmt: skip
_LONG = Network(
    (Conv("one", 3, kernel_size=5), Relu(), Mask("one"), MaxPool(2), Flatten(), Dense("out", 3)), (6, 32, 3)
)
_HIGH = Network(
    (Conv("one", 2), MaxPool(2), Relu(), Mask("one"), Conv("two", 2), Flatten(), Dense("out", 3)), (34, 4, 1)
)
_NORMED = Network((Dense("one", 5), BatchNorm("norm", epsilon=0.1), Relu(), Mask("one"), Dense("out", 3)), (4,))
_GATHERING = Network((Gather("some", 40), Dense("out", 3)), (300,))


#: Those that are wide, of many classes, deep or of larger images.
_SHAPES = (_WIDE, _CLASSES, _DEEP, _SQUARE, _LONG, _HIGH)


def large_predictions(backend: Backend, reference: Backend) -> None:
    """Logits of thousands of examples, of nine networks, of more than a hundred classes, and of larger images agree."""
    cases = [((_SMALL, 4_201, 9), 9), *(((net, 131, 6), 2) for net in (*_SHAPES, _GATHERING))]

    @across(_fitting(backend, cases), once=True)
    def agree(case: tuple[Problem, int]) -> None:
        predicted_alike(backend, reference, *case)

    agree()


def large_populations(backend: Backend, reference: Backend) -> None:
    """The fitness of more than a hundred candidates on thousands of examples agrees."""
    recalibrated, given = Asked(statistics="recalibrated"), Asked(candidates="masks")
    asked = (Asked(), Asked("accuracy"), recalibrated, Asked(candidates="bernoulli"), given, Asked())
    # Eight devices divide 144 candidates, and of 384 examples what is scored and what is left for calibration.
    cases = [
        ((_SMALL, 8_000, 131), Asked("accuracy", chunk=50)),
        ((_SMALL, 8_000, 144), Asked(weights="per_candidate", candidates="masks", chunk=144)),
        ((_NORMED, 12_000, 3), Asked(chunk=3)),  # the statistics are those of thousands of examples
        *(((net, 384, 6), how) for net, how in zip(_SHAPES, asked, strict=True)),
    ]

    @across(_fitting(backend, cases), once=True)
    def agree(case: tuple[Problem, Asked]) -> None:
        fitness_agrees(backend, reference, _learned(case[0]), case[1])

    agree()


def _learned(one: Problem) -> Problem:
    """The problem with the labels that the first candidate predicts, so that no class goes without being right."""
    logits, _ = bound("apply")(one.net, one.params, one.one(), one.x)
    return one._replace(y=logits.argmax(axis=1).astype(np.int32))


def large_epochs(backend: Backend, reference: Backend) -> None:
    """An epoch of many steps over tens of thousands of examples agrees for nine networks; and one of larger images."""
    cases = [((_SMALL, 33_000, 9), (9, 800)), *(((net, 259, 6), (2, 256)) for net in (*_SHAPES, _GATHERING))]

    @across(_fitting(backend, cases), once=True)
    def agree(case: tuple[Problem, tuple[int, int]]) -> None:
        one, (count, batch_size) = case
        config = replace(PLAINEST, epochs=1, batch_size=batch_size, learning_rate=0.02, momentum=0.9, schedule="cosine")
        epochs_agree(backend, reference, one, Course(one.net, config, count))

    agree()


def _fitting(backend: Backend, cases: list[tuple[tuple[Network, int, int], Any]]) -> list[st.SearchStrategy[Any]]:
    """Problems of these sizes, (network, examples, candidates), where the backend computes the network."""
    return [
        st.tuples(problem(net, None, examples, candidates), st.just(how))
        for (net, examples, candidates), how in cases
        if networks(backend, (net,))
    ]

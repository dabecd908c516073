"""The check of numbers that have few bits: rounding the operands of products changes none of them.

Where a device may round operands, only loose bounds hold. But small integers have at most the 8 bits of bfloat16, and
dividing by a power of 2 leaves them so: of these the logits are those of float32, however products are computed, and
whatever else a backend does otherwise at full speed shows.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from weedout_core._algorithm.schedule import epoch_batches, train_plan
from weedout_core._contract.record import Backend, stack
from weedout_core._networks.layers import Conv, Dense, GlobalAveragePool, Mask, MaxPool, Relu, Residual
from weedout_core._networks.network import Network
from weedout_core.testing.comparing import within
from weedout_core.testing.courses import PLAINEST
from weedout_core.testing.lessons import Lesson, hosted, learn
from weedout_core.testing.networks import networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.scores import Asked, fitness_agrees
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trying import NothingToTry, unless_refused

#: Their masks keep a power of 2 of the nodes, and an average is one of 4 numbers.
FEW_BITS = (
    Network(
        (
            Mask("x"), Dense("one", 8), Relu(), Mask("one", rescale=True), Dense("two", 8), Relu(),
            Mask("two", rescale=True), Dense("out", 5),
        ),
        (8,),
    ),
    Network(
        (
            Conv("one", 4), Relu(), Mask("channels", rescale=True, granularity="channel"), MaxPool(2),
            Residual((Mask("nodes"), Conv("two", 4, kernel_size=1), Relu())), GlobalAveragePool(),
            Mask("pooled", rescale=True), Dense("out", 3),
        ),
        (4, 4, 2),
    ),
)  # fmt: skip


def few_bits(one: Problem) -> Problem:
    """The problem with small integers as inputs, weights and biases."""
    rng = np.random.default_rng(one.keys[1])

    def small(value: np.ndarray) -> np.ndarray:
        return rng.integers(-1, 2, value.shape).astype(np.float32)

    return one._replace(params={path: small(value) for path, value in one.params.items()}, x=small(one.x))


def _beyond_halves(one: Problem) -> Problem:
    """The problem with inputs that float16 has not, and without biases, so that all numbers grow by one power of 2."""
    still = {path: value * (not path.endswith("/bias")) for path, value in one.params.items()}
    return one._replace(params=still, x=one.x * np.float32(2**17))


def numbers_of_few_bits(backend: Backend, reference: Backend) -> None:
    """Fitness and losses in every precision are those of float32, where rounding operands changes nothing."""

    @across([problem(net, None, 16) for net in networks(backend, FEW_BITS)], once=True)
    def agree(one: Problem) -> None:
        one = few_bits(one)
        asked = Asked(candidates="host masks", chunk=4, precision="default")
        fitness_agrees(backend, reference, one, asked, rounds=False)
        fitness_agrees(backend, reference, _beyond_halves(one), asked, rounds=False)
        _losses_agree(backend, reference, one, precision="default")
        with suppress(NothingToTry), unless_refused():
            _losses_agree(backend, reference, one, precision="default", compute="bfloat16")

    agree()


def _losses_agree(backend: Backend, reference: Backend, one: Problem, **products: Any) -> None:
    """Assert that two networks have the losses and counts of float32 in the first step, by these options of SGD."""
    plan = train_plan(replace(PLAINEST, epochs=1, batch_size=len(one.y), **products), len(one.y))
    keys, params, masks = one.keys[:2], [one.params, few_bits(one._replace(keys=one.keys[1:])).params], one.uneven()
    lesson = Lesson(one, plan, {site: mask[:2] for site, mask in masks.items()}, epoch_batches(list(keys), 0, plan))

    def learnt(by: Backend) -> Any:
        state = by.train_init(one.net, plan, keys, stack(by, params), {})
        return hosted(by, learn(by, lesson, state)[1])

    got, wanted = learnt(backend), learnt(reference)
    bounds = [
        bound("train losses")(one.net, params[row], {site: mask[row] for site, mask in masks.items()}, one.x, None, 1)
        for row in range(2)
    ]
    losses, correct, _ = zip(*bounds, strict=True)
    within(f"losses with {products}", got.loss[:, 0], wanted.loss[:, 0], np.array(losses))
    within(f"correct with {products}", got.correct[:, 0], wanted.correct[:, 0], np.array(correct))

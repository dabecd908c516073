"""Limited training beside the kit: a candidate that is kept, and what the check of it holds."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.core.test_limited_training import as_trained, found
from tests.mutants.one_by_one import OneByOne, with_own
from weedout_core._algorithm.limited import Leg, LimitedTraining, legs
from weedout_core._phases import limited_training
from weedout_core.lab.commands.conform import fixed_examples
from weedout_core.lab.commands.outcome import judge


def reason(backend: wc.backend.Backend) -> str:
    """Why the check fails, in its first line; empty if it passes. Nothing is shrunk."""
    with fixed_examples(10) as checks:
        check = checks["limited_training_agrees"]
        return judge("", check, backend, wc.load_backend("numpy")).reason.partition("\n")[0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "torch_xla"])
def test_k_steps_of_one_candidate_are_those_of_training_to_the_bit(backend: str) -> None:
    there = connected(backend)
    kept, reset = (found(there, training_steps=6, trained_weights=weights) for weights in ("kept", "reset"))
    assert kept.origin == reset.origin
    assert kept.network == as_trained(6, 2, reset.network, there), "one candidate alone is trained as by wc.train"


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_score_trained_of_ones_own_that_is_right_passes(backend: str) -> None:
    assert reason(with_own(connected(backend), OneByOne)) == ""


def test_what_is_composed_of_train_epoch_is_held_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(limited: LimitedTraining, networks: int) -> Iterator[Leg]:
        return legs(limited._replace(steps=limited.plan.config.epochs * limited.plan.steps), networks)

    monkeypatch.setattr(limited_training, "legs", whole)
    assert "fitness after steps of train_epoch: off by" in reason(with_own(wc.load_backend("numpy"), OneByOne))


#: Another number each time.
NOISE = count(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fitness: fitness.astype(np.float32), "score_trained gives float64 in NumPy; got float32"),
        (lambda fitness: fitness.tolist(), "score_trained gives float64 in NumPy; got list"),
        (lambda fitness: fitness[:-1], "score_trained: shape"),
        (lambda fitness: fitness + next(NOISE) * 1e-9, "the same call of score_trained: 5 of 5 elements differ"),
    ],
)
def test_the_form_of_an_answer_is_held(change: Any, message: str) -> None:
    class Changed(OneByOne):
        def __call__(self, net: Any, params: Any, population: Any, batch: Any, scoring: Any, limited: Any) -> Any:
            return change(super().__call__(net, params, population, batch, scoring, limited))

    assert message in reason(with_own(wc.load_backend("numpy"), Changed))

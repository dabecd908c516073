"""Limited training on every backend: k steps of one candidate are k steps of ``wc.train``."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.core.test_limited_training import DATA, KEY, as_trained, found


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "torch_xla"])
def test_k_steps_of_one_candidate_are_those_of_training_to_the_bit(backend: str) -> None:
    there = connected(backend)
    kept, reset = (found(there, training_steps=6, trained_weights=weights) for weights in ("kept", "reset"))
    assert kept.origin == reset.origin
    expected = as_trained(6, 2, reset.network, there)
    assert kept.network == expected, "one candidate alone is trained as by wc.train"
    x, y = DATA
    batch = wc.ask_tell.validation_batch(KEY, 2, 40, kept.config)
    loss = wc.evaluate(expected, (x[batch], y[batch]), backend=there).loss
    # Side by side, a product may be summed in another order: some tens of roundings of 6e-8 in each of six steps, of
    # numbers of about 1, which later steps carry on.
    assert kept.fitness == pytest.approx(-loss, abs=2e-5)


@pytest.mark.parametrize("more", [{}, {"weights": "per_candidate"}, {"allocation": "global", "strategy": "genetic"}])
@pytest.mark.parametrize("backend", ["jax", "torch", "torch_xla"])
def test_a_search_has_the_elites_of_the_reference(backend: str, more: dict[str, Any]) -> None:
    there, true = connected(backend), found("numpy", **more)
    got = found(there, **more)
    for one, two in zip(got.history, true.history, strict=True):
        # Initial weights agree within 1.1e-5 of themselves, and four steps carry that on; the fitness is about 1 nat.
        np.testing.assert_allclose(one.fitness, two.fitness, rtol=0, atol=2e-4)
        assert two.margin is not None
        if two.margin < 4e-4:
            return  # from here on the two searches may differ without a fault
        assert one.elite == two.elite

"""Scoring: a population is scored as its candidates are, one by one."""

import math
from typing import Any

import numpy as np
import pytest

from weedout_core import ConfigError, Population, mlp
from weedout_numpy.fitness import accuracy, negative_cross_entropy
from weedout_numpy.masks import draw_masks, mask_plan, masks_from_keys
from weedout_numpy.network import draw_parameters, forward, he_normal, mask_space
from weedout_numpy.randomness import VALIDATION_BATCHES, fold_in, key, random_bits, split
from weedout_numpy.scoring import score_population, validation_batch

NET = mlp(6, (8, 4), 3)
SPECS = he_normal(NET)
SHARED = draw_parameters(key(0), SPECS)
PLAN = mask_plan(mask_space(NET), 0.5, "exact")
X = np.random.default_rng(0).normal(size=(30, 6))
Y = np.random.default_rng(1).integers(3, size=30)
MASK_KEYS, WEIGHT_KEYS = split(key(1), 5), split(key(2), 5)
for array in (X, Y, MASK_KEYS, WEIGHT_KEYS, *SHARED.values()):
    array.setflags(write=False)


def scored(params: Any, population: Population, fitness: str = "negative_cross_entropy", chunk: int = 5) -> np.ndarray:
    return score_population(NET, params, population, X, Y, fitness, "highest", chunk)


@pytest.mark.parametrize(
    ("name", "function"), [("negative_cross_entropy", negative_cross_entropy), ("accuracy", accuracy)]
)
def test_each_candidate_is_measured_under_its_mask(name: str, function: Any) -> None:
    found = scored(SHARED, Population(5, PLAN, MASK_KEYS, None, None), name)
    expected = [function(forward(NET, SHARED, draw_masks(one, PLAN), X)[0], Y) for one in MASK_KEYS]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64
    assert len(set(found.tolist())) > 1, "different masks, different fitness"


def test_explicit_masks_score_as_their_keys_do() -> None:
    masks = masks_from_keys(MASK_KEYS, PLAN)
    by_masks = scored(SHARED, Population(5, None, None, None, masks))
    np.testing.assert_array_equal(by_masks, scored(SHARED, Population(5, PLAN, MASK_KEYS, None, None)))


def test_weight_keys_give_each_candidate_its_own_weights() -> None:
    found = scored(SPECS, Population(5, PLAN, MASK_KEYS, WEIGHT_KEYS, None))
    for i in range(5):
        own = draw_parameters(WEIGHT_KEYS[i], SPECS)
        logits, _ = forward(NET, own, draw_masks(MASK_KEYS[i], PLAN), X)
        assert found[i] == negative_cross_entropy(logits, Y), f"candidate {i}"


def test_permuting_candidates_permutes_fitness_and_chunks_change_nothing() -> None:
    order = [3, 0, 4, 1, 2]
    found = scored(SHARED, Population(5, PLAN, MASK_KEYS, None, None))
    permuted = scored(SHARED, Population(5, PLAN, MASK_KEYS[order], None, None), chunk=2)
    np.testing.assert_array_equal(permuted, found[order])


def test_a_candidate_that_overflows_has_no_fitness_and_spares_the_others() -> None:
    """Only the first candidate keeps the node whose weights overflow."""
    params = {**SHARED, "dense_0/bias": np.array([1e200] + [0.0] * 7), "dense_1/kernel": np.full((8, 4), 1e200)}
    masks = {"hidden_0": np.eye(2, 8, dtype=bool), "hidden_1": np.ones((2, 4), dtype=bool)}
    params["dense_0/kernel"] = np.zeros((6, 8))
    first, second = scored(params, Population(2, None, None, None, masks))
    assert math.isnan(first), "an infinite logit leaves no fitness"
    assert math.isfinite(second), "the removed node is absent"


def test_a_population_must_say_how_masks_and_weights_are_drawn() -> None:
    with pytest.raises(ConfigError, match="must have masks, or a plan and mask_keys; got neither"):
        scored(SHARED, Population(5, None, None, None, None))
    with pytest.raises(ConfigError, match="the population must have weight_keys, got None"):
        scored(SPECS, Population(5, PLAN, MASK_KEYS, None, None))


def test_a_validation_batch_is_the_examples_with_the_smallest_words() -> None:
    words = random_bits(fold_in(fold_in(key(3), VALIDATION_BATCHES), 2), 50)
    batch = validation_batch(key(3), 2, 50, 10)
    np.testing.assert_array_equal(batch, np.sort(np.argsort(words)[:10]), "in order, without repeats")
    assert not np.array_equal(batch, validation_batch(key(3), 1, 50, 10)), "each generation draws a fresh batch"
    for size in (50, 60):
        np.testing.assert_array_equal(
            validation_batch(key(3), 2, 50, size), np.arange(50), "a small split is used whole"
        )

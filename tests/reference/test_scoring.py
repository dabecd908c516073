"""Scoring: a population is scored as its candidates are, one by one."""

import math
from typing import Any

import numpy as np
import pytest

from weedout_core import Network, mlp
from weedout_core.backend import Population, ScoredBatch, Scoring
from weedout_core.errors import ConfigError
from weedout_core.nn import BatchNorm, Dense, Mask, Relu
from weedout_core.random import split
from weedout_numpy.fitness import accuracy, negative_cross_entropy
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.masks import draw_masks, mask_plan
from weedout_numpy.network import forward
from weedout_numpy.randomness import key
from weedout_numpy.scoring import masks_from_keys, score_population
from weedout_numpy.shapes import mask_space

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
    return score_population(NET, params, population, ScoredBatch(X, Y), Scoring(fitness, "highest", chunk))


@pytest.mark.parametrize(
    ("name", "function"), [("negative_cross_entropy", negative_cross_entropy), ("accuracy", accuracy)]
)
def test_each_candidate_is_measured_under_its_mask(name: str, function: Any) -> None:
    found = scored(SHARED, Population(5, PLAN, MASK_KEYS, None, None), name)
    expected = [function(forward(NET.layers, SHARED, draw_masks(one, PLAN), X)[0], Y) for one in MASK_KEYS]
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
        logits, _ = forward(NET.layers, own, draw_masks(MASK_KEYS[i], PLAN), X)
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


# A network whose statistics depend on the mask: batch normalisation comes after it.
NORMED = Network((Dense("d", 8), Relu(), Mask("m"), Dense("e", 5), BatchNorm("n"), Relu(), Dense("logits", 3)), (6,))
NORMED_PLAN = mask_plan(mask_space(NORMED), 0.5, "exact")
NORMED_PARAMS = draw_parameters(key(4), he_normal(NORMED))
CALIBRATION = np.random.default_rng(2).normal(size=(12, 6)) + 1
for array in (CALIBRATION, *NORMED_PARAMS.values()):
    array.setflags(write=False)


def normed(population: Population, params: Any = NORMED_PARAMS, **norm: Any) -> np.ndarray:
    """Scored with statistics or inputs for calibration, or with neither."""
    scoring = Scoring("negative_cross_entropy", "highest", 5)
    return score_population(NORMED, params, population, ScoredBatch(X, Y, **norm), scoring)


def statistics_by_hand(params: dict[str, np.ndarray], mask: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    kept = np.maximum(x @ params["d/kernel"] + params["d/bias"], 0) * mask
    z = kept @ params["e/kernel"] + params["e/bias"]
    return {"n/mean": z.mean(axis=0), "n/variance": ((z - z.mean(axis=0)) ** 2).mean(axis=0)}


@pytest.mark.parametrize("own", [False, True], ids=["shared weights", "own weights"])
def test_recalibrated_is_running_with_each_candidates_own_statistics(own: bool) -> None:
    weight_keys = WEIGHT_KEYS if own else None
    specs = he_normal(NORMED)
    population = Population(5, NORMED_PLAN, MASK_KEYS, weight_keys, None)
    found = normed(population, specs if own else NORMED_PARAMS, calibration=CALIBRATION)
    for i in range(5):
        params = draw_parameters(WEIGHT_KEYS[i], specs) if own else NORMED_PARAMS
        statistics = statistics_by_hand(params, draw_masks(MASK_KEYS[i], NORMED_PLAN)["m"], CALIBRATION)
        one = Population(1, NORMED_PLAN, MASK_KEYS[i : i + 1], None, None)
        alone = normed(one, params, statistics=statistics)
        assert found[i] == alone[0], f"candidate {i}"
    assert len(set(found.tolist())) == 5, "different masks, different statistics"


def test_the_statistics_of_the_batch_are_those_of_the_batch() -> None:
    population = Population(5, NORMED_PLAN, MASK_KEYS, None, None)
    itself = normed(population, calibration=X)
    np.testing.assert_array_equal(normed(population), itself, "recalibrated on the batch itself")
    ways: list[dict[str, Any]] = [{}, {"statistics": initial_statistics(NORMED)}, {"calibration": CALIBRATION}]
    by_three_ways = [normed(population, **norm) for norm in ways]
    assert len({scores.tobytes() for scores in by_three_ways}) == 3, "the three meanings differ"


def test_a_calibration_that_overflows_leaves_no_fitness() -> None:
    population = Population(5, NORMED_PLAN, MASK_KEYS, None, None)
    assert np.isnan(normed(population, calibration=np.full((3, 6), 1e300))).all(), "no warning and no error"


def test_running_statistics_are_taken_as_they_are_given() -> None:
    population = Population(5, NORMED_PLAN, MASK_KEYS, None, None)
    given = {"n/mean": np.full(5, 0.5), "n/variance": np.full(5, 2.0)}
    found = normed(population, statistics=given)
    for i in range(5):
        logits, _ = forward(NORMED.layers, NORMED_PARAMS, draw_masks(MASK_KEYS[i], NORMED_PLAN), X, given)
        assert found[i] == negative_cross_entropy(logits, Y), f"candidate {i}"


def test_a_candidate_does_not_depend_on_the_others() -> None:
    plan = mask_plan({"a": (5,), "b": (2, 2)}, 0.5, "exact")
    keys = split(key(5), 6)
    keys.setflags(write=False)
    masks = masks_from_keys(keys, plan)
    assert {site: mask.shape for site, mask in masks.items()} == {"a": (6, 5), "b": (6, 2, 2)}
    for site, mask in masks_from_keys(keys[[4, 2]], plan).items():
        np.testing.assert_array_equal(mask, masks[site][[4, 2]], f"site {site} depends on the other candidates")


def test_no_candidates_and_no_sites_are_fine() -> None:
    assert masks_from_keys(split(key(0), 0), mask_plan({"a": (5,)}, 0.5, "exact"))["a"].shape == (0, 5)
    assert masks_from_keys(split(key(0), 2), mask_plan({}, 0.5, "exact")) == {}

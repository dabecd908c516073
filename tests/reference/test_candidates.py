"""Candidates: what is drawn, from which stream, and whose weights it has."""

import math

import numpy as np

import weedout_core as wc
from weedout_core.backend import Origin
from weedout_numpy.candidates import Candidate, initialised, random_sub_network
from weedout_numpy.initial import draw_parameters, he_normal
from weedout_numpy.masks import draw_masks, mask_plan
from weedout_numpy.randomness import MASKS, WEIGHTS, fold_in, key
from weedout_numpy.shapes import mask_space

NET = wc.mlp(6, (10, 4), 3)
ROOT = key(5)
PARENT = initialised(NET, ROOT)
SHARED, OWN = wc.SearchConfig(), wc.SearchConfig(reading="section3")


def drawn(origin: Origin, config: wc.SearchConfig = SHARED, sparsity: float | dict[str, float] = 0.5) -> Candidate:
    return random_sub_network(PARENT, sparsity, config, ROOT, origin)


def test_the_parent_is_drawn_from_the_stream_of_weights() -> None:
    for path, weights in draw_parameters(fold_in(ROOT, WEIGHTS), he_normal(NET)).items():
        np.testing.assert_array_equal(PARENT.params[path], weights, path)


def test_a_mask_is_drawn_from_the_path_of_its_origin() -> None:
    candidate = drawn(Origin(3, 2))
    plan = mask_plan(mask_space(NET), 0.5, "exact")
    for site, mask in draw_masks(fold_in(fold_in(fold_in(ROOT, MASKS), 3), 2), plan).items():
        np.testing.assert_array_equal(candidate.mask[site], mask, site)
    assert candidate.origin == (3, 2)
    for other in (Origin(2, 3), Origin(3, 1)):
        assert not np.array_equal(drawn(other).mask["hidden_0"], candidate.mask["hidden_0"]), other


def test_sparsity_is_the_fraction_removed_one_for_all_or_one_a_site() -> None:
    for sparsity, kept in ((0.5, (5, 2)), ({"hidden_0": 0.1, "hidden_1": 0.75}, (9, 1))):
        mask = drawn(Origin(0, 0), sparsity=sparsity).mask
        assert (mask["hidden_0"].sum(), mask["hidden_1"].sum()) == kept, sparsity


def test_the_sampling_of_the_configuration_is_followed() -> None:
    config = wc.SearchConfig(sampling="bernoulli")
    counts = {int(drawn(Origin(0, i), config).mask["hidden_0"].sum()) for i in range(20)}
    assert len(counts) > 1, "the count differs from mask to mask"


def test_candidates_share_the_weights_of_the_parent_or_have_their_own() -> None:
    first, second = (drawn(Origin(1, i)) for i in range(2))
    assert first.params is second.params is PARENT.params
    own = drawn(Origin(1, 2), OWN)
    for path, weights in draw_parameters(fold_in(fold_in(fold_in(ROOT, WEIGHTS), 1), 2), he_normal(NET)).items():
        np.testing.assert_array_equal(own.params[path], weights, path)
    assert not np.array_equal(own.params["dense_0/kernel"], PARENT.params["dense_0/kernel"])


def test_a_candidate_has_no_fitness_before_it_is_measured() -> None:
    assert math.isnan(drawn(Origin(0, 0)).fitness)

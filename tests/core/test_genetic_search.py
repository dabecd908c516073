"""Genetic search of masks of weights on untrained weights finds what drawing does not: a small problem of two classes.

The setting is that of Altmann, Schönberger, Zorn, Gabor, "Finding strong lottery ticket networks with genetic
algorithms" (NCTA 2024): a mask of each weight, with as many kept as turn out to be good, weights that are never
trained, and accuracy as the fitness.
"""

from math import comb
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import make_moons

import weedout_core as wc

SEEDS = range(10, 20)
#: Biases are 0 before training: an input that is 1 lets hidden units have a threshold.
NET = wc.mlp(3, (20, 20), 2, granularity="connection")


class Both(NamedTuple):
    """What both strategies find from one seed, in 30 generations of 20 candidates."""

    bred: wc.SearchResult
    drawn: wc.SearchResult


@pytest.fixture(scope="module")
def searches() -> list[Both]:
    x, y = make_moons(200, noise=0.1, random_state=0)
    data = np.concatenate([x, np.ones((200, 1))], axis=1).astype(np.float32), y
    both = ("genetic", "random_search")
    configs = [
        wc.SearchConfig(
            population=20, generations=30, strategy=name, fitness="accuracy", sampling="bernoulli", batch_policy="whole"
        )
        for name in both
    ]
    return [
        Both(*(wc.search(NET, data, sparsity=0.5, backend="numpy", key=wc.key(seed), config=one) for one in configs))
        for seed in SEEDS
    ]


@pytest.mark.slow
def test_best_and_mean_accuracy_rise_over_the_generations(searches: list[Both]) -> None:
    """From seed to seed the mean rises from 0.42 … 0.57 to 0.69 … 0.82, the best from 0.50 … 0.88 to 0.91 … 0.98."""
    for one in searches:
        best = [generation.best for generation in one.bred.history]
        mean = [generation.mean for generation in one.bred.history]
        assert best == sorted(best), "the whole split is one batch, so that the elite is never lost"
        assert best[-1] > best[0]
        # Of 30 means of 20 candidates each, those of the last ten generations are above those of the first ten.
        assert min(np.mean(mean[-10:]), mean[-1]) > np.mean(mean[:10]) > mean[0]


@pytest.mark.slow
def test_it_ends_above_random_search_at_as_many_evaluations(searches: list[Both]) -> None:
    """It is above from all of ten seeds (one-sided sign test: p = 0.001), by 0.05 in the mean: 0.941 against 0.891.

    Nine of ten, with p = 0.011, and half of the difference are what is asked. The network was chosen on ten other
    seeds: from eight of them it was above, in 30 generations of 30.
    """
    assert all(one.bred.evaluations == one.drawn.evaluations == 600 for one in searches)
    differences = np.array([one.bred.fitness - one.drawn.fitness for one in searches])
    above = int((differences > 0).sum())
    p = sum(comb(len(differences), more) for more in range(above, len(differences) + 1)) / 2 ** len(differences)
    assert p < 0.02, differences
    assert differences.mean() > 0.025


@pytest.mark.slow
def test_how_many_weights_are_kept_is_free(searches: list[Both]) -> None:
    """Of 500 weights 250 are expected, with a standard deviation of 11; winners keep different numbers of them."""
    kept = [{site: int(mask.sum()) for site, mask in (one.bred.network.mask or {}).items()} for one in searches]
    totals = [sum(one.values()) for one in kept]
    assert all(abs(total - 250) < 5 * 11.2 for total in totals)
    assert len(set(totals)) > len(totals) // 2

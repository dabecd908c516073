"""A search that was cut goes on to the same end, without scoring again what was scored."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

NET = wc.mlp(inputs=5, hidden=(8, 6), classes=3)
NORMED = wc.Network((wc.nn.Dense("first", 8), wc.nn.BatchNorm("norm"), *NET.layers[1:]), (5,))
X = np.random.default_rng(1).normal(size=(40, 5))
Y = np.random.default_rng(2).integers(0, 3, size=40)
KEY = wc.key(17)
CONFIGS = {
    "default": {},
    "section3": {"reading": "section3"},
    "cache": {"elite": "cache", "batch_policy": "fixed"},
    "cache, whole": {"elite": "cache", "batch_policy": "whole", "validation_batch": 1024},
    "rescored": {"winner": "rescored"},
    "patience": {"patience": 2, "batch_policy": "fixed"},
    "budget": {"generations": None, "budget": 20, "elite": "cache", "batch_policy": "fixed"},
    "running": {"batch_norm": "running"},
    "recalibrated": {"batch_norm": "recalibrated"},
}


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


def config(**fields: Any) -> wc.SearchConfig:
    return wc.SearchConfig(**{"population": 6, "generations": 4, "validation_batch": 16, **fields})


def counting(backend: wc.backend.Backend, sizes: list[int]) -> wc.backend.Backend:
    """The backend; each population that it scores leaves its size."""

    def score_population(net: Any, params: Any, population: wc.backend.Population, *rest: Any) -> Any:
        sizes.append(population.size)
        return backend.score_population(net, params, population, *rest)

    return dataclasses.replace(backend, score_population=score_population)


def assert_same(found: wc.SearchResult, expected: wc.SearchResult) -> None:
    """Equal to the bit."""
    for name in ("mask", "params", "moving"):
        one, other = getattr(found.network, name), getattr(expected.network, name)
        assert set(one) == set(other)
        for path, value in one.items():
            np.testing.assert_array_equal(value, other[path], f"{name} {path}")
    assert found.network.net == expected.network.net
    assert found.network.sparsity == expected.network.sparsity
    plain = ("fitness", "origin", "stopped", "evaluations", "validation_batch", "config")
    assert [getattr(found, name) for name in plain] == [getattr(expected, name) for name in plain]
    assert len(found.history) == len(expected.history)
    for one, other in zip(found.history, expected.history, strict=True):
        np.testing.assert_array_equal(one.fitness, other.fitness, f"generation {one.generation}")
        assert one._replace(fitness=other.fitness) == other


@pytest.mark.parametrize("name", CONFIGS)
def test_a_search_goes_on_from_every_cut(backend: wc.backend.Backend, name: str) -> None:
    options, sizes = config(**CONFIGS[name]), []
    net = NORMED if "batch_norm" in CONFIGS[name] else NET
    whole = wc.search(net, (X, Y), sparsity=0.5, backend=counting(backend, sizes), key=KEY, config=options)
    told = list(sizes)
    assert len(told) >= 3, "there is something to cut"
    for cut in range(len(whole.history) + 1):
        sizes.clear()
        seen: list[wc.Generation] = []
        scored = [generation.fitness for generation in whole.history[:cut]]
        resumed = wc.search(
            net, (X, Y), sparsity=0.5, backend=counting(backend, sizes), key=KEY, config=options, scored=scored,
            on_generation=seen.append,
        )  # fmt: skip
        assert_same(resumed, whole)
        assert (resumed.network.statistics is None) == (net is NET), "those of batch normalisation alone"
        assert sizes == told[cut:], "only the generations after the cut are scored"
        assert [generation.generation for generation in seen] == list(range(cut, len(whole.history)))


def test_generations_that_were_scored_decide_what_comes(backend: wc.backend.Backend) -> None:
    """What is handed in is believed: another fitness elects another elite."""
    first = np.asarray([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    result = wc.search(NET, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config(), scored=[first])
    assert result.history[0].elite == wc.backend.Origin(0, 5)
    assert result.history[0].best == 1.0


@pytest.mark.parametrize("size", [0, 5, 7])
def test_scored_generations_of_another_population_are_an_error(backend: wc.backend.Backend, size: int) -> None:
    message = rf"tell needs one fitness for each of 6 candidates; got shape \({size},\)\."
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.search(NET, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config(), scored=[np.zeros(size)])


def test_more_scored_generations_than_the_search_has_are_an_error(backend: wc.backend.Backend) -> None:
    fitness = np.arange(6.0)
    with pytest.raises(
        wc.errors.ConfigError, match=r"generations of this very search, which ends before \(generations\)"
    ):
        wc.search(
            NET, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config(generations=2), scored=[fitness] * 3
        )

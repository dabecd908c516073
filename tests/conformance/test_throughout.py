"""The search throughout training on every backend: it elects what the reference elects, and the kit holds it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.conformance.wrappers import with_arguments
from tests.core.test_throughout import CONFIG, KEY, search, train
from weedout_core.backend import Backend, ScoredBatch, map_tree
from weedout_core.lab.commands.conform import fixed_examples
from weedout_core.lab.commands.outcome import judge


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch", "torch_xla"])
@pytest.mark.parametrize("compaction", [True, False])
def test_every_backend_elects_what_the_reference_elects(backend: str, compaction: bool) -> None:
    """21 steps of at most 12 · 8 products a weight: relative errors of 2^-24 grow to some 1e-5 in the weights."""
    found, config = search(strategy="one_plus_lambda"), replace(CONFIG, compaction=compaction, precision="highest")
    wanted = train(found, config=config, sparsity=0.75)
    got = train(found, config=config, sparsity=0.75, backend=connected(backend))
    for one, other in zip(wanted.generations, got.generations, strict=True):
        assert one.margin is not None
        assert one.margin > 1e-3, "no other elite is near"
        assert one.elite == other.elite
        np.testing.assert_allclose(other.fitness, one.fitness, rtol=1e-4)
    assert wanted.network.mask is not None
    assert got.network.mask is not None
    for site, mask in wanted.network.mask.items():
        np.testing.assert_array_equal(got.network.mask[site], mask)
    for path, value in wanted.network.params.items():
        np.testing.assert_allclose(got.network.params[path], value, rtol=1e-4, atol=1e-5)


def reason(backend: Backend) -> str:
    """Why the check fails, in its first line; empty if it passes."""
    with fixed_examples(10) as checks:
        found = judge("", checks["throughout_agrees"], backend, wc.load_backend("numpy"))
        return found.reason.partition("\n")[0]


def weights_of_the_first_score(backend: Backend) -> Backend:
    kept: dict[Any, Any] = {}

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        return net, kept.setdefault(net, params), *rest

    return with_arguments(backend, "score_population", change)


def statistics_before_training(backend: Backend) -> Backend:
    kept: dict[Any, Any] = {}

    def change(net: Any, params: Any, population: Any, batch: ScoredBatch, scoring: Any) -> tuple[Any, ...]:
        statistics = kept.setdefault(net, batch.statistics)
        return net, params, population, batch._replace(statistics=statistics), scoring

    return with_arguments(backend, "score_population", change)


def masks_of_the_first_plan(backend: Backend) -> Backend:
    kept: dict[Any, Any] = {}

    def change(net: Any, params: Any, population: Any, *rest: Any) -> tuple[Any, ...]:
        if population.masks is None:
            return net, params, population, *rest
        masks = kept.setdefault(net, map_tree(np.copy, population.masks))
        return net, params, population._replace(masks=masks), *rest

    return with_arguments(backend, "score_population", change)


@pytest.mark.parametrize("wrong", [weights_of_the_first_score, statistics_before_training, masks_of_the_first_plan])
def test_the_kit_catches_what_is_kept_from_an_earlier_generation(wrong: Any) -> None:
    assert reason(wc.load_backend("numpy")) == ""
    assert "of training: off by" in reason(wrong(wc.load_backend("numpy")))


def test_the_key_of_the_training_decides_the_order_and_that_of_the_search_the_masks() -> None:
    found = search()
    one, other = train(found, key=KEY), train(found, key=wc.key(8))
    assert one.losses.tolist() != other.losses.tolist()
    assert one.generations[0].fitness[1:].tolist() != other.generations[0].fitness[1:].tolist(), "weights differ"
    assert one.began.searched == other.began.searched

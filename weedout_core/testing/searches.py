"""Checks of whole searches."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.population import Origin
from weedout_core._algorithm.strategies import STRATEGIES
from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.calls import ScoredBatch, Scoring
from weedout_core._contract.record import Backend
from weedout_core._guard.hosted import host_array
from weedout_core._phases.search_phase import SearchResult, search
from weedout_core._random.annotations import Key
from weedout_core._random.stream import key as make_key
from weedout_core.testing.comparing import equal, within
from weedout_core.testing.networks import NETWORKS, masked, networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across, each
from weedout_core.testing.tolerances import bound

#: Weights and strategies, which meet in what is handed to a backend: keys or masks, with keys of weights or without.
_SEARCHES = (
    ("shared", "random_search"),
    ("per_candidate", "random_search"),
    ("shared", "binary_tournament"),
    ("shared", "one_plus_lambda"),
    ("per_candidate", "genetic"),
    ("shared", "successive_halving"),
)


#: Strategies that score every generation on as many examples.
_ON_ONE_BATCH = [name for name, strategy in STRATEGIES.items() if strategy.examples(1, 1) == 1]


def search_agrees(backend: Backend, reference: Backend) -> None:
    """A whole search has the same candidates and finds the same winner, unless two are too close to call."""

    @across(_few(backend), each(*_SEARCHES))
    def agree(problem: Problem, chosen: tuple[str, str]) -> None:
        weights, strategy = chosen
        config = SearchConfig(
            population=6, generations=3, weights=weights, strategy=strategy, validation_batch=len(problem.y)
        )
        got = _searched(backend, problem, problem.keys[0], config)
        bounds: list[float] = []
        wanted = _searched(_measuring(reference, bounds, drawn=True), problem, problem.keys[0], config)
        for one, two, most in zip(got.history, wanted.history, bounds, strict=True):
            top = np.sort(two.fitness)[-2:]
            within("fitness in a search", one.fitness, two.fitness, most)
            if top[1] - top[0] <= 2 * most:
                return  # from here on the two searches may differ without a fault
            assert one.elite == two.elite, f"generation {one.generation} elects {one.elite}, not {two.elite}"
        assert got.origin == wanted.origin, f"the winner is {got.origin}, not {wanted.origin}"
        found, true = got.network.mask, wanted.network.mask
        assert found is not None
        assert true is not None
        for site, mask in true.items():
            equal(f"the winner's mask of {site!r}", found[site], mask)

    agree()


def elite_never_worsens(backend: Backend, reference: Backend) -> None:
    """On a fixed batch the best fitness never falls, and each elite was made in its generation or an earlier one."""
    del reference

    @across(_few(backend), [st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(_ON_ONE_BATCH))])
    def holds(problem: Problem, drawn: tuple[int, str]) -> None:
        seed, strategy = drawn
        config = SearchConfig(
            population=6, generations=4, strategy=strategy, batch_policy="fixed", validation_batch=len(problem.y)
        )
        bounds: list[float] = []
        history = _searched(_measuring(backend, bounds, drawn=False), problem, make_key(seed), config).history
        best = [generation.best for generation in history]
        # If a backend scores candidates one by one, the elite's fitness is equal to the bit each time. If it scores
        # them in batches, the fitness may be off by the bound each time.
        slack = 2 * max(bounds)
        assert all(later >= earlier - slack for earlier, later in itertools.pairwise(best)), f"best: {best}"
        for generation in history:
            origin: Origin = generation.elite
            assert origin.generation <= generation.generation, (
                f"{origin} is elite of generation {generation.generation}"
            )

    holds()


def _few(backend: Backend) -> list[st.SearchStrategy[Problem]]:
    """A flat network and one of images: what is held is the loop's, and each network is a program to compile."""
    nets = masked(networks(backend))
    return [problem(net) for net in ([net for net in nets if net in (NETWORKS[0], NETWORKS[3])] or nets[:1])]


def _searched(backend: Backend, problem: Problem, key: Key, config: SearchConfig) -> SearchResult:
    """A search on a problem's examples and their negatives.

    Half of them, which are the batch of the checks of scores, make a batch here too: the program is one.
    """
    data = np.concatenate([problem.x, -problem.x]), np.concatenate([problem.y, problem.y])
    return search(problem.net, data, sparsity=problem.sparsity, backend=backend, key=key, config=config)


def _measuring(backend: Backend, most: list[float], drawn: bool) -> Backend:
    """The backend, changed to append to ``most`` the largest bound on the fitness of each population that it scores.

    With ``drawn`` the bound includes the error of weights that are drawn by another backend.
    """

    def score_population(net: Any, params: Any, population: Any, batch: ScoredBatch, scoring: Scoring) -> Any:
        masks = population.masks or backend.masks_from_keys(population.mask_keys, population.plan)
        bounds: list[float] = []
        for index in range(population.size):
            own = population.weight_keys
            weights = params if own is None else backend.draw_parameters(own[index], params)
            weights = {path: backend.to_numpy(value) for path, value in weights.items()}
            mask = {site: host_array(value[index]) for site, value in masks.items()}
            off = bound("draw_parameters")(weights) if drawn else None
            logits = bound("apply")(net, weights, mask, backend.to_numpy(batch.x), off)
            bounds.append(bound(str(scoring.fitness))(*logits))
        most.append(max(bounds))
        return backend.score_population(net, params, population, batch, scoring)

    return replace(backend, score_population=score_population)

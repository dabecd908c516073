"""Strategies that breed masks: exact counts, the same masks for the same fitness, and what they are for."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import weedout_core as wc
from weedout_core._algorithm.strategies import STRATEGIES
from weedout_core._algorithm.strategies.breeding import crossed, mutated, smallest, swaps, tournaments
from weedout_core.backend import Origin, SitePlan
from weedout_core.errors import ConfigError

DIRECTED = [name for name, strategy in STRATEGIES.items() if strategy.children is not None]
SPACE = {"one": (40,), "other": (3, 3, 2)}
PLAN = wc.mask_plan(SPACE, 0.7)
M = 8


def parents(seed: int) -> dict[str, NDArray[np.bool_]]:
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), M), PLAN)
    return {site: mask.reshape(M, -1) for site, mask in masks.items()}


# Operators, each against its definition, one child and one node after the other


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.data())
def test_the_smallest_words_among_some_the_first_of_equals(words: list[int], data: st.DataObject) -> None:
    among = np.array(data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words))))
    count = data.draw(st.integers(0, int(among.sum())))
    slowly = sorted((word, place) for place, word in enumerate(words) if among[place])[:count]
    found = smallest(np.array([words], np.uint32), among[None], np.array([count]))
    assert np.flatnonzero(found[0]).tolist() == sorted(place for _, place in slowly)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), min_size=2, max_size=9))
def test_the_fitter_of_two_wins_a_tournament(fitness: list[float]) -> None:
    found = tournaments(wc.key(5), np.array(fitness), 20)
    words = [int(word) for word in wc.random.bits(wc.key(5), 40)]
    for place, winner in enumerate(found):
        one, other = sorted(words[2 * place + which] * len(fitness) >> 32 for which in (0, 1))
        usable = [fitness[index] if np.isfinite(fitness[index]) else -np.inf for index in (one, other)]
        assert winner == (other if usable[1] > usable[0] else one)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1))
def test_a_mutation_swaps_equal_numbers_and_says_how_many(seed: int, mutation: float) -> None:
    masks = parents(seed)
    found = mutated(wc.random.split(wc.key(seed), M), masks, PLAN, mutation)
    for site in PLAN.sites:
        before, after = masks[site.site], found[site.site]
        assert (after.sum(axis=1) == site.kept).all()
        assert ((before & ~after).sum(axis=1) == swaps(site, mutation)).all()


@pytest.mark.parametrize(
    ("kept", "nodes", "mutation", "wanted"),
    [(20, 100, 0.05, 1), (30, 100, 0.05, 2), (3, 100, 0.05, 1), (8, 10, 0.5, 2), (5, 5, 0.5, 0), (4, 9, 1.0, 4)],
)
def test_how_many_nodes_are_swapped(kept: int, nodes: int, mutation: float, wanted: int) -> None:
    """Of 30 · 0.05 = 1.5 two; at least one, but no more than are removed."""
    assert swaps(SitePlan("s", (nodes,), 0, kept, None), mutation) == wanted


@given(st.integers(0, 2**32 - 1))
def test_a_crossover_keeps_what_both_keep_and_half_of_what_one_keeps(seed: int) -> None:
    mothers, fathers = parents(seed), parents(seed + 1)
    keys = wc.random.split(wc.key(seed), M)
    for site in PLAN.sites:
        one, other = mothers[site.site], fathers[site.site]
        child = crossed(keys, mothers, fathers, PLAN)[site.site]
        assert (child.sum(axis=1) == site.kept).all()
        assert (child >= (one & other)).all()
        assert (child <= (one | other)).all()
        for row in range(M):
            words = wc.random.bits(wc.random.fold_in(keys[row], site.code), site.nodes)
            differ = np.flatnonzero(one[row] ^ other[row])
            wanted = sorted(differ, key=lambda node, words=words: (words[node], node))[: len(differ) // 2]
            assert np.flatnonzero(child[row] & ~(one[row] & other[row])).tolist() == sorted(wanted)


# Whole searches, driven by hand


def hidden(state: wc.ask_tell.SearchState) -> NDArray[np.float64]:
    """A problem with a known optimum: how many nodes a candidate shares with a hidden mask."""
    population = wc.ask_tell.ask(state)
    target = wc.backend.masks_from_keys(wc.key(999)[None], PLAN)
    masks: Any = population.masks
    if masks is None:
        masks = wc.backend.masks_from_keys(population.mask_keys, PLAN)
    return sum(
        (masks[site] & target[site]).reshape(population.size, -1).sum(axis=1).astype(np.float64) for site in SPACE
    )  # pyright: ignore[reportReturnType]


def searched(strategy: str, seed: int, generations: int = 12, **more: Any) -> wc.ask_tell.SearchState:
    config = wc.SearchConfig(population=10, generations=generations, strategy=strategy, batch_policy="whole", **more)
    state = wc.ask_tell.init(wc.key(seed), SPACE, 0.7, config)
    while wc.ask_tell.finished(state) is None:
        state, _ = wc.ask_tell.tell(state, hidden(state))
    return state


@pytest.mark.parametrize("elite", ["rescore", "cache"])
@pytest.mark.parametrize("strategy", DIRECTED)
def test_counts_stay_exact_and_the_elite_is_never_lost(strategy: str, elite: str) -> None:
    state = searched(strategy, 3, elite=elite)
    best = [generation.best for generation in state.history]
    assert best == sorted(best)
    population = wc.ask_tell.ask(state)
    assert population.masks is not None
    assert population.plan is population.mask_keys is None
    assert population.size == (9 if elite == "cache" else 10)
    for site in PLAN.sites:
        assert population.masks[site.site].shape == (population.size, *site.shape)
        assert (population.masks[site.site].reshape(population.size, -1).sum(axis=1) == site.kept).all()
    if elite == "rescore":
        assert hidden(state)[0] == best[-1], "the elite opens the next generation, as it was"


@pytest.mark.parametrize("strategy", DIRECTED)
def test_the_masks_of_a_search_follow_from_its_key_and_fitness(strategy: str) -> None:
    assert searched(strategy, 4) == searched(strategy, 4)
    assert searched(strategy, 4).bred != searched(strategy, 5).bred
    assert searched(strategy, 4).bred != searched(strategy, 4, mutation=0.4).bred


@pytest.mark.parametrize("strategy", DIRECTED)
def test_a_directed_strategy_beats_random_search_where_there_is_something_to_find(strategy: str) -> None:
    """At as many evaluations, over twenty seeds: by a sign test, that 16 of 20 are as good is of probability 0.006."""
    better = 0
    for seed in range(20):
        directed, at_random = searched(strategy, seed), searched("random_search", seed)
        assert directed.evaluations == at_random.evaluations
        better += directed.history[-1].best > at_random.history[-1].best
    assert better >= 16, better


#: The masks of site "other" that the last generation of ``searched(strategy, 1, generations=2)`` hands on, as bits.
GOLDEN = {
    "binary_tournament": "0a08c00a40c00305809182009282000a0a80486040c800c0198200078200",
    "one_plus_lambda": "03830002c30002870002838082830003814003c100028380098300078200",
    "genetic": "b801007240000304c0818240c2220003a200486100c020c0198200070280",
}


@pytest.mark.parametrize("strategy", DIRECTED)
def test_golden_masks(strategy: str) -> None:
    """What a seed gives is part of the interface: see CONTRIBUTING.md, "When masks change"."""
    state = searched(strategy, 1, generations=2)
    assert state.bred is not None
    assert state.bred.masks["other"].tobytes().hex() == GOLDEN[strategy]


@pytest.mark.parametrize("drawn", [{"sampling": "bernoulli"}, {"allocation": "global"}], ids=["bernoulli", "global"])
def test_a_search_that_breeds_needs_exact_counts(drawn: dict[str, Any]) -> None:
    config = wc.SearchConfig(strategy="genetic", **drawn)
    with pytest.raises(ConfigError, match=r"strategy='genetic' breeds masks that keep as many nodes at each site"):
        wc.ask_tell.init(wc.key(0), SPACE, 0.7, config)


def test_a_mutation_without_breeding_has_no_effect() -> None:
    with pytest.raises(ConfigError, match=r"mutation=0.2 has no effect without a strategy that breeds masks"):
        wc.SearchConfig(mutation=0.2)


# Whole searches on a backend


NET = wc.mlp(6, (12, 8), 3)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)


def found(strategy: str, scored: Any = (), **more: Any) -> wc.SearchResult:
    config = wc.SearchConfig(population=5, generations=4, strategy=strategy, validation_batch=16, **more)
    return wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=wc.key(7), config=config, scored=scored)


@pytest.mark.parametrize("winner", ["last_generation", "best_overall", "rescored"])
@pytest.mark.parametrize("weights", ["shared", "per_candidate"])
@pytest.mark.parametrize("strategy", DIRECTED)
def test_the_winner_is_the_candidate_that_was_scored(strategy: str, weights: str, winner: str) -> None:
    """Its fitness again, on the batch on which it was chosen."""
    result = found(strategy, weights=weights, winner=winner)
    network, chosen = result.network, 4 if winner == "rescored" else result.history[-1].generation
    if winner == "best_overall":
        chosen = max(result.history, key=lambda generation: generation.best).generation
    batch = wc.ask_tell.validation_batch(wc.key(7), chosen, 40, result.config)
    assert network.mask is not None
    fitness = wc.load_backend("numpy").score(
        NET, network.params, {site: mask[None] for site, mask in network.mask.items()}, DATA[0][batch], DATA[1][batch]
    )
    assert float(fitness[0]) == result.fitness
    assert {site: int(mask.sum()) for site, mask in network.mask.items()} == {"hidden_0": 6, "hidden_1": 4}


@pytest.mark.parametrize("strategy", DIRECTED)
def test_a_search_goes_on_from_generations_that_were_scored(strategy: str) -> None:
    whole = found(strategy, winner="best_overall")
    assert any(generation.elite.generation > 0 for generation in whole.history), "an elite was bred"
    for done in range(4):
        assert found(strategy, whole.history[:done], winner="best_overall") == whole


def test_halving_scores_half_as_many_on_twice_the_examples() -> None:
    """10, 5 and 2 candidates on 4, 8 and 16 of 40 examples, none drawn later; the one that is left needs no score."""
    config = wc.SearchConfig(population=10, generations=9, strategy="successive_halving", validation_batch=4)
    result = wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=wc.key(7), config=config)
    assert [generation.evaluations for generation in result.history] == [10, 5, 2]
    assert result.stopped == "one_left"
    assert all(generation.elite.generation == 0 for generation in result.history)
    batches = [wc.ask_tell.validation_batch(wc.key(7), generation, 40, config) for generation in range(5)]
    assert [len(batch) for batch in batches] == [4, 8, 16, 32, 40]
    again = wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=wc.key(7), config=config, scored=result.history[:2])
    assert again == result


def test_halving_of_a_fixed_batch_adds_examples_to_it() -> None:
    config = wc.SearchConfig(strategy="successive_halving", validation_batch=4, batch_policy="fixed")
    few, more = (set(wc.ask_tell.validation_batch(wc.key(7), generation, 40, config)) for generation in (0, 2))
    assert few < more
    assert len(more) == 16


def test_halving_ends_within_its_budget() -> None:
    config = wc.SearchConfig(
        population=10, generations=None, budget=16, strategy="successive_halving", validation_batch=4
    )
    result = wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=wc.key(7), config=config)
    assert (result.evaluations, result.stopped) == (15, "budget")


@pytest.mark.parametrize("other", [{"batch_policy": "whole"}, {"batch_policy": "fixed", "elite": "cache"}])
def test_halving_needs_other_examples(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match='strategy="successive_halving" scores each generation on twice the examples'):
        wc.SearchConfig(strategy="successive_halving", **other)


def test_a_search_does_not_go_on_with_another_mutation() -> None:
    with pytest.raises(ConfigError, match=r"scored\[0\] must be of this very search, but it began with mutation 0.05"):
        found("genetic", found("genetic").history[:1], mutation=0.2)


def test_origins_tell_the_generation_of_a_child() -> None:
    state = searched("genetic", 1, generations=2)
    assert state.origins[1:] == tuple(Origin(2, place) for place in range(1, 10))

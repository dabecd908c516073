"""Strategies that breed masks: exact counts, the same masks for the same fitness, and what they are for."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import weedout_core as wc
from weedout_core._algorithm.strategies import STRATEGIES
from weedout_core._algorithm.strategies.breeding import crossed, flips, mutated, smallest, swaps, tournaments
from weedout_core.backend import Origin
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
        assert ((before & ~after).sum(axis=1) == swaps(site.kept, site.nodes, mutation)).all()


@pytest.mark.parametrize(
    ("kept", "nodes", "mutation", "wanted"),
    [(20, 100, 0.05, 1), (30, 100, 0.05, 2), (3, 100, 0.05, 1), (8, 10, 0.5, 2), (5, 5, 0.5, 0), (4, 9, 1.0, 4)],
)
def test_how_many_nodes_are_swapped(kept: int, nodes: int, mutation: float, wanted: int) -> None:
    """Of 30 · 0.05 = 1.5 two; at least one, but no more than are removed."""
    assert swaps(kept, nodes, mutation) == wanted


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


# Where the draw says how many nodes each site keeps: over all sites, or each node by itself

#: At sparsity 0.9 six nodes are kept at two sites, one of each at least.
OVER_ALL = wc.mask_plan(SPACE, 0.9, allocation="global")
BERNOULLI = wc.mask_plan(SPACE, 0.7, "bernoulli")


def flat(plan: wc.backend.MaskPlan, seed: int, count: int = M) -> dict[str, NDArray[np.bool_]]:
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), count), plan)
    return {site: mask.reshape(count, -1) for site, mask in masks.items()}


def joined(masks: Any) -> NDArray[np.bool_]:
    return np.concatenate([masks[site] for site in SPACE], axis=1)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1))
def test_over_all_sites_a_mutation_keeps_the_total_and_a_node_of_each(seed: int, mutation: float) -> None:
    masks = flat(OVER_ALL, seed)
    found = mutated(wc.random.split(wc.key(seed), M), masks, OVER_ALL, mutation)
    before, after = joined(masks), joined(found)
    assert OVER_ALL.total == 6
    assert (after.sum(axis=1) == OVER_ALL.total).all()
    assert ((before & ~after).sum(axis=1) == swaps(6, 58, mutation, sites=2)).all()
    assert all(mask.any(axis=1).all() for mask in found.values())


def test_where_each_site_keeps_one_node_a_mutation_over_all_sites_moves_it_within_its_site() -> None:
    plan = wc.mask_plan(SPACE, 0.965, allocation="global")
    assert (plan.total, swaps(2, 58, 1.0, sites=2)) == (2, 1)
    masks = flat(plan, 1)
    found = mutated(wc.random.split(wc.key(1), M), masks, plan, 1.0)
    assert all((mask.sum(axis=1) == 1).all() for mask in found.values())
    assert (joined(found) != joined(masks)).any(axis=1).all()


@given(st.integers(0, 2**32 - 1))
def test_over_all_sites_a_crossover_keeps_the_total_and_a_node_of_each(seed: int) -> None:
    mothers, fathers = flat(OVER_ALL, seed), flat(OVER_ALL, seed + 1)
    child = crossed(wc.random.split(wc.key(seed), M), mothers, fathers, OVER_ALL)
    one, other, after = joined(mothers), joined(fathers), joined(child)
    assert (after.sum(axis=1) == OVER_ALL.total).all()
    assert all(mask.any(axis=1).all() for mask in child.values())
    assert (after >= (one & other)).all()
    assert (after <= (one | other)).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1))
def test_under_bernoulli_sampling_each_node_is_its_mothers_or_fathers_and_flips_by_itself(
    seed: int, mutation: float
) -> None:
    mothers, fathers = flat(BERNOULLI, seed), flat(BERNOULLI, seed + 1)
    keys = wc.random.split(wc.key(seed), M)
    child, mutant = crossed(keys, mothers, fathers, BERNOULLI), mutated(keys, mothers, BERNOULLI, mutation)
    for site in BERNOULLI.sites:
        words = np.stack([wc.random.bits(wc.random.fold_in(key, site.code), site.nodes) for key in keys])
        goes, comes = flips(site, mutation)
        wanted = np.where(words < 2**31, mothers[site.site], fathers[site.site])
        flipped = np.where(mothers[site.site], words >= goes, words < comes)
        for found, expected in ((child, wanted), (mutant, flipped)):
            left = expected.any(axis=1)
            assert (found[site.site][left] == expected[left]).all()
            assert (found[site.site][~left].sum(axis=1) == 1).all(), "where none is left, one stays"


def test_masks_of_bernoullis_law_stay_of_it() -> None:
    """Of 40,000 nodes a share of 0.3 is kept: the standard deviation of that share is 0.0023, and five of it 0.0115."""
    plan = wc.mask_plan({"wide": (40,)}, 0.7, "bernoulli")
    keys = wc.random.split(wc.key(1), 1000)
    children = crossed(keys, flat(plan, 2, 1000), flat(plan, 3, 1000), plan)
    for _ in range(3):
        keys = wc.random.fold_in(keys, 9)
        before, children = children, mutated(keys, children, plan, 0.5)
        assert abs(children["wide"].mean() - 0.3) < 0.0115
        # Half of all nodes are decided anew: of the kept ones 0.7 of these go, 0.35 in all.
        assert abs((before["wide"] & ~children["wide"]).sum() / before["wide"].sum() - 0.35) < 0.025
    (site,) = plan.sites
    assert site.bound is not None
    assert flips(site, 1.0) == (2**32 - 1 - site.bound, site.bound + 1)


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


#: The same under other plans, of site "one".
GOLDEN_OF = {
    ("binary_tournament", "global"):
        "40629982e172910802351a910a803448269982e14062a982e1"
        "1a91280234329108023d229108123540609982e140629982e1",
    ("one_plus_lambda", "global"):
        "40629882e300629a82e340629a80e340669882e34062a882e3"
        "4062b802e340629802eb40629892e240609882e340629882e3",
    ("genetic", "global"):
        "4202ba084408a09b80255e00228044682498c2605a402882e1"
        "48c0a902a51211180a6c4210a0937540609982e12293088235",
    ("binary_tournament", "bernoulli"):
        "1a991882355a991882351a995a001548669982e11a99388235"
        "1a991802351a991882351a9918823540609980e140629982e1",
    ("one_plus_lambda", "bernoulli"):
        "40629882e300629882e34062da80c340669882e34062b882e3"
        "40629882e340629882e340629882e340609880e340629882e3",
    ("genetic", "bernoulli"):
        "1a9918823540c81882b532084ae0437f1418a1401a32b19221"
        "0333192a2752131992211b1a1a821440609980e1100b1882a1",
}  # fmt: skip


@pytest.mark.parametrize(("strategy", "drawn"), GOLDEN_OF)
def test_golden_masks_where_sites_differ_in_what_they_keep(strategy: str, drawn: str) -> None:
    more: dict[str, Any] = {"allocation": "global"} if drawn == "global" else {"sampling": "bernoulli"}
    state = searched(strategy, 1, generations=2, **more)
    assert state.bred is not None
    assert state.bred.masks["one"].tobytes().hex() == GOLDEN_OF[strategy, drawn]
    best = [generation.best for generation in searched(strategy, 1, **more).history]
    assert best == sorted(best)


def test_every_strategy_that_breeds_has_golden_masks() -> None:
    assert set(GOLDEN) == set(DIRECTED)
    assert set(GOLDEN_OF) == set(product(DIRECTED, ("global", "bernoulli")))


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

"""init, ask and tell: who is scored, who survives, when it ends. No backend: the fitness is made up."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._algorithm.population import chunk_size, draw_population
from weedout_core._phases.ask_tell import best_overall
from weedout_core._random.keys import of_candidates

SPACE = {"hidden_0": (6,), "hidden_1": (3,)}
FITNESS = st.floats(-10, 10) | st.sampled_from([math.nan, math.inf, -math.inf])


def begin(**fields: object) -> wc.ask_tell.SearchState:
    return wc.ask_tell.init(wc.key(3), SPACE, 0.5, wc.SearchConfig(**{"population": 4, **fields}))  # pyright: ignore[reportArgumentType]


def play(
    state: wc.ask_tell.SearchState, fitness: Callable[[wc.ask_tell.SearchState], list[float]]
) -> wc.ask_tell.SearchState:
    """Search to the end with a made-up fitness."""
    while wc.ask_tell.finished(state) is None:
        state, _ = wc.ask_tell.tell(state, fitness(state))
    return state


def falling(state: wc.ask_tell.SearchState) -> list[float]:
    """The elite is always the fittest, and its fitness never gets better."""
    return [-float(index) for index in range(state.remembered, len(state.origins))]


def test_generation_0_is_the_candidates_0_to_m() -> None:
    state = begin()
    assert state.origins == tuple(wc.backend.Origin(0, index) for index in range(4))
    assert (state.generation, state.evaluations, state.history) == (0, 0, ())
    assert wc.ask_tell.finished(state) is None, "at least one generation is scored"


def test_a_candidate_is_its_seed_generation_and_index() -> None:
    population = wc.ask_tell.ask(begin())
    assert population.size == 4
    assert population.weight_keys is None, "shared weights are drawn once"
    assert population.masks is None
    assert population.plan == wc.mask_plan(SPACE, 0.5)
    generation_0 = wc.random.fold_in(wc.random.fold_in(wc.key(3), 1), 0)  # stream masks is 1
    np.testing.assert_array_equal(population.mask_keys, wc.random.split(generation_0, 4))


def test_under_per_candidate_weights_each_has_a_weight_key() -> None:
    population = wc.ask_tell.ask(begin(weights="per_candidate"))
    np.testing.assert_array_equal(
        population.weight_keys, wc.random.split(wc.random.fold_in(wc.random.fold_in(wc.key(3), 0), 0), 4)
    )


def test_the_elite_opens_the_next_generation_and_keeps_its_draw() -> None:
    state = begin()
    state, info = wc.ask_tell.tell(state, [0.0, 1.0, 3.0, 2.0])
    assert info.elite == wc.backend.Origin(0, 2)
    assert state.origins == (
        wc.backend.Origin(0, 2),
        wc.backend.Origin(1, 1),
        wc.backend.Origin(1, 2),
        wc.backend.Origin(1, 3),
    ), "the fresh ones are candidates 1 … m−1 of the generation"
    keys = wc.ask_tell.ask(state).mask_keys
    assert keys is not None
    masks_stream = wc.random.fold_in(wc.key(3), 1)
    np.testing.assert_array_equal(keys[0], wc.random.fold_in(wc.random.fold_in(masks_stream, 0), 2))
    np.testing.assert_array_equal(keys[1:], wc.random.split(wc.random.fold_in(masks_stream, 1), 4)[1:])
    state, info = wc.ask_tell.tell(state, [5.0, 1.0, 5.0, 2.0])
    assert info.elite == wc.backend.Origin(0, 2), "a tie goes to the lowest index: the elite stays"
    assert state.origins == (
        wc.backend.Origin(0, 2),
        wc.backend.Origin(2, 1),
        wc.backend.Origin(2, 2),
        wc.backend.Origin(2, 3),
    )


def test_tell_reports_what_the_generation_showed() -> None:
    state, info = wc.ask_tell.tell(begin(), [1.0, math.nan, 4.0, math.inf])
    np.testing.assert_array_equal(info.fitness, [1.0, math.nan, 4.0, math.inf])
    assert (info.generation, info.elite) == (0, wc.backend.Origin(0, 2))
    assert (info.best, info.mean, info.worst) == (4.0, 2.5, 1.0), "over the finite ones"
    assert (info.not_finite, info.evaluations) == (2, 4)
    assert state.history == (info,)
    assert (state.generation, state.evaluations) == (1, 4)


@given(st.lists(st.lists(FITNESS, min_size=4, max_size=4), min_size=1, max_size=4))
def test_what_is_not_finite_is_never_selected_and_always_counted(rows: list[list[float]]) -> None:
    state = begin(generations=100)
    for row in rows:
        finite = [value for value in row if math.isfinite(value)]
        if not finite:
            with pytest.raises(
                wc.errors.SearchError, match=rf"all 4 candidates of generation {state.generation} have a"
            ):
                wc.ask_tell.tell(state, row)
            continue
        before = state
        state, info = wc.ask_tell.tell(state, row)
        assert info.not_finite == 4 - len(finite)
        assert (info.best, info.worst) == (max(finite), min(finite))
        assert info.elite == before.origins[row.index(max(finite))], "the first of the fittest"
        assert before.generation == state.generation - 1, "tell makes a new state and leaves the old one"


def test_a_generation_without_a_finite_fitness_is_an_error_that_says_so() -> None:
    with pytest.raises(wc.errors.SearchError) as caught:
        wc.ask_tell.tell(begin(), [math.nan, math.inf, -math.inf, math.nan])
    assert str(caught.value) == (
        "all 4 candidates of generation 0 have a fitness that is NaN or infinite. "
        "Check the inputs and the scale of the weights."
    )


@pytest.mark.parametrize("fitness", [[1.0, 2.0, 3.0], [1.0] * 5, [[1.0, 2.0, 3.0, 4.0]], 1.0])
def test_tell_needs_one_fitness_for_each_candidate(fitness: object) -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"tell needs one fitness for each of 4 candidates; got shape \("):
        wc.ask_tell.tell(begin(), fitness)


def test_a_cached_elite_is_not_asked_for_again() -> None:
    state = begin(elite="cache", batch_policy="fixed")
    state, _ = wc.ask_tell.tell(state, [0.0, 1.0, 3.0, 2.0])
    assert wc.ask_tell.ask(state).size == 3
    keys = wc.ask_tell.ask(state).mask_keys
    assert keys is not None
    np.testing.assert_array_equal(
        keys, wc.random.split(wc.random.fold_in(wc.random.fold_in(wc.key(3), 1), 1), 4)[1:], "the fresh ones"
    )
    with pytest.raises(wc.errors.ConfigError, match="tell needs one fitness for each of 3 candidates"):
        wc.ask_tell.tell(state, [0.0, 1.0, 3.0, 2.0])
    kept, info = wc.ask_tell.tell(state, [0.0, 3.0, 1.0])
    np.testing.assert_array_equal(info.fitness, [3.0, 0.0, 3.0, 1.0], "the elite keeps its fitness, and its place")
    assert (info.elite, info.evaluations, kept.evaluations) == (wc.backend.Origin(0, 2), 3, 7)
    beaten, info = wc.ask_tell.tell(state, [0.0, 3.5, math.nan])
    assert (info.elite, info.not_finite) == (wc.backend.Origin(1, 2), 1)
    assert beaten.origins[0] == wc.backend.Origin(1, 2)


def test_a_cached_elite_stays_when_all_fresh_ones_fail() -> None:
    state, _ = wc.ask_tell.tell(begin(elite="cache", batch_policy="whole"), [0.0, 1.0, 3.0, 2.0])
    _, info = wc.ask_tell.tell(state, [math.nan] * 3)
    assert (info.elite, info.best, info.not_finite) == (wc.backend.Origin(0, 2), 3.0, 3)


def test_generations_end_a_search() -> None:
    state = play(begin(generations=3), falling)
    assert (wc.ask_tell.finished(state), state.generation, state.evaluations) == ("generations", 3, 12)


def test_patience_ends_a_search_after_so_many_generations_without_a_better_one() -> None:
    state = play(begin(generations=None, patience=2), falling)
    assert (wc.ask_tell.finished(state), state.generation) == ("patience", 3), (
        "generation 0 is the best; 1 and 2 are not"
    )
    best = iter([1.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    state = play(begin(generations=None, patience=2), lambda state: [next(best)] * 4)
    assert state.generation == 6, "a better one starts the count again; an equal one does not"


def test_generations_come_before_patience() -> None:
    assert wc.ask_tell.finished(play(begin(generations=3, patience=2), falling)) == "generations"
    assert wc.ask_tell.finished(play(begin(generations=4, patience=2), falling)) == "patience"


@pytest.mark.parametrize(
    ("fields", "generations"),
    [
        ({"budget": 4}, 1),
        ({"budget": 7}, 1),
        ({"budget": 8}, 2),
        ({"budget": 12}, 3),
        ({"budget": 7, "elite": "cache", "batch_policy": "fixed"}, 2),  # 4 + 3
        ({"budget": 9, "elite": "cache", "batch_policy": "fixed"}, 2),
        ({"budget": 10, "elite": "cache", "batch_policy": "fixed"}, 3),
        ({"budget": 8, "winner": "rescored"}, 1),  # a second generation may take two more to choose the winner
        ({"budget": 10, "winner": "rescored"}, 2),  # 4 + 4 + 2
        ({"budget": 14, "winner": "rescored"}, 2),
        ({"budget": 15, "winner": "rescored"}, 3),  # 4 + 4 + 4 + 3
    ],
)
def test_a_budget_is_never_exceeded(fields: dict[str, object], generations: int) -> None:
    state = play(begin(generations=None, **fields), falling)
    assert (wc.ask_tell.finished(state), state.generation) == ("budget", generations)


def test_the_best_generation_is_the_earliest_of_equals() -> None:
    best = iter([1.0, 3.0, 3.0, 2.0])
    state = play(begin(generations=4), lambda state: [next(best)] * 4)
    assert best_overall(state.history).generation == 1
    lost = state.history[0]._replace(best=float("nan"))  # as while weights that have diverged train
    assert best_overall((lost, *state.history[1:])).generation == 1
    assert best_overall((*state.history[1:], lost)).generation == 1


def test_there_must_be_something_to_search() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"there is nothing to search: the network has no Mask layer\."):
        wc.ask_tell.init(wc.key(0), {}, 0.5)


def test_a_sparsity_for_other_sites_is_an_error_at_init() -> None:
    with pytest.raises(wc.errors.ConfigError, match="per-site sparsity must name the sites"):
        wc.ask_tell.init(wc.key(0), SPACE, {"hidden_0": 0.5})


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 2, math.nan, "0.5", None, {"hidden_0": 0.5, "hidden_1": 2.0}])
def test_a_sparsity_that_cannot_be_is_an_error_at_init(sparsity: Any) -> None:
    eta = "a finite number in [0, 1), the fraction removed"
    with pytest.raises(wc.errors.ConfigError) as caught:
        wc.ask_tell.init(wc.key(0), SPACE, sparsity)
    assert str(caught.value) == (
        f"sparsity['hidden_1'] must be {eta}; got 2.0. Write 80 % as 0.8."
        if isinstance(sparsity, dict)
        else f"sparsity must be the fraction removed, in [0, 1), or one by site; got {sparsity!r}. Write 80 % as 0.8."
    )


def test_without_a_configuration_a_search_begins_with_the_defaults() -> None:
    state = wc.ask_tell.init(wc.key(0), SPACE, {"hidden_0": 0.0, "hidden_1": 0.5})
    assert state.config == wc.SearchConfig()
    assert state.plan.kept == {"hidden_0": 6, "hidden_1": 1}, "of 3 nodes floor(1.5 + 1/2) are removed"


@given(
    st.integers(0, 2**32 - 1), st.lists(st.builds(wc.backend.Origin, st.integers(0, 9), st.integers(0, 9)), min_size=1)
)
def test_candidate_keys_fold_in_stream_generation_and_index(seed: int, origins: list[wc.backend.Origin]) -> None:
    found = of_candidates(wc.key(seed), wc.random.Stream.CONTROL, origins)
    for key, (generation, index) in zip(found, origins, strict=True):
        expected = wc.random.fold_in(wc.random.fold_in(wc.random.fold_in(wc.key(seed), 5), generation), index)
        np.testing.assert_array_equal(key, expected)


def test_a_population_may_be_drawn_in_any_order() -> None:
    config, plan = wc.SearchConfig(), wc.mask_plan(SPACE, 0.5)
    origins = [wc.backend.Origin(2, 3), wc.backend.Origin(0, 0)]
    there = draw_population(wc.key(1), plan, config, origins).mask_keys
    back = draw_population(wc.key(1), plan, config, origins[::-1]).mask_keys
    assert there is not None
    assert back is not None
    np.testing.assert_array_equal(there, back[::-1])


@pytest.mark.parametrize(
    ("nodes", "chunk", "population", "size"),
    [
        (10, None, 100, 100),
        (2**24, None, 100, 1),
        (2**23, None, 100, 2),
        (2**25, None, 100, 1),
        (10, 7, 100, 7),
        (10, 200, 100, 100),
    ],
)
def test_chunks_fit_the_memory_or_the_configuration(nodes: int, chunk: int | None, population: int, size: int) -> None:
    config = wc.SearchConfig(population=population, chunk=chunk)
    assert chunk_size(wc.mask_plan({"a": (nodes,)}, 0.5), config) == size


# The validation batch


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 60), st.integers(1, 80))
def test_a_validation_batch_holds_distinct_examples_in_order(
    seed: int, generation: int, examples: int, batch: int
) -> None:
    config = wc.SearchConfig(validation_batch=batch)
    found = wc.ask_tell.validation_batch(wc.key(seed), generation, examples, config)
    assert len(found) == min(batch, examples), "a batch larger than the split takes all of it"
    assert (np.diff(found) > 0).all(), "no example twice"
    assert ((found >= 0) & (found < examples)).all()
    if batch < examples:
        words = wc.random.bits(wc.random.fold_in(wc.random.fold_in(wc.key(seed), 2), generation), examples)
        np.testing.assert_array_equal(found, np.sort(np.argsort(words, kind="stable")[:batch]))


def test_a_fresh_batch_differs_between_generations_and_a_fixed_one_does_not() -> None:
    fresh = wc.SearchConfig(validation_batch=10)
    fixed = wc.SearchConfig(validation_batch=10, batch_policy="fixed")
    first, second = (wc.ask_tell.validation_batch(wc.key(0), generation, 100, fresh) for generation in (0, 1))
    assert set(first) != set(second)
    for generation in range(3):
        np.testing.assert_array_equal(wc.ask_tell.validation_batch(wc.key(0), generation, 100, fixed), first)


def test_the_whole_split_is_all_of_it() -> None:
    whole = wc.SearchConfig(batch_policy="whole")
    np.testing.assert_array_equal(wc.ask_tell.validation_batch(wc.key(0), 4, 100, whole), np.arange(100))


# The batch on which candidates take their statistics


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 60), st.integers(1, 80))
def test_a_calibration_batch_is_drawn_as_a_validation_batch_from_a_child_of_its_key(
    seed: int, generation: int, examples: int, batch: int
) -> None:
    config = wc.SearchConfig(validation_batch=batch)
    found = wc.ask_tell.calibration_batch(wc.key(seed), generation, examples, config)
    assert len(found) == min(batch, examples), "a batch larger than the split takes all of it"
    assert (np.diff(found) > 0).all(), "no example twice"
    assert ((found >= 0) & (found < examples)).all()
    if batch < examples:
        child = wc.random.fold_in(wc.random.fold_in(wc.random.fold_in(wc.key(seed), 2), generation), 1)
        np.testing.assert_array_equal(
            found, np.sort(np.argsort(wc.random.bits(child, examples), kind="stable")[:batch])
        )


@pytest.mark.parametrize("policy", ["fresh", "fixed"])
def test_a_calibration_batch_is_not_the_validation_batch(policy: Any) -> None:
    config = wc.SearchConfig(validation_batch=10, batch_policy=policy)
    for generation in range(5):
        validation = wc.ask_tell.validation_batch(wc.key(0), generation, 100, config)
        calibration = wc.ask_tell.calibration_batch(wc.key(0), generation, 100, config)
        assert set(validation) != set(calibration), f"generation {generation}: statistics of other examples"


@pytest.mark.parametrize("policy", ["fixed", "whole"])
def test_where_the_validation_batch_stays_the_calibration_batch_stays(policy: Any) -> None:
    config = wc.SearchConfig(validation_batch=10, batch_policy=policy, batch_norm="recalibrated")
    first = wc.ask_tell.calibration_batch(wc.key(0), 0, 100, config)
    assert len(first) == 10
    for generation in range(1, 4):
        np.testing.assert_array_equal(wc.ask_tell.calibration_batch(wc.key(0), generation, 100, config), first)
    fresh = dataclasses.replace(config, batch_policy="fresh")
    assert set(wc.ask_tell.calibration_batch(wc.key(0), 1, 100, fresh)) != set(first)

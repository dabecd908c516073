"""search and draw_control from end to end on the reference backend, small enough to follow by hand."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

import weedout_core as wc
from weedout_core._random.stream import below

NET = wc.mlp(inputs=5, hidden=(8, 6), classes=3)
SPACE = wc.mask_space(NET)
X = np.random.default_rng(1).normal(size=(40, 5))
Y = np.random.default_rng(2).integers(0, 3, size=40)
KEY = wc.key(17)


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


def config(**fields: Any) -> wc.SearchConfig:
    """A small search, of small batches where any are drawn."""
    drawn = fields.get("batch_policy") != "whole" or fields.get("batch_norm") == "recalibrated"
    batch = {"validation_batch": 16} if drawn else {}
    return wc.SearchConfig(**{"population": 6, "generations": 4, **batch, **fields})


def run(backend: wc.backend.Backend, sparsity: wc.backend.Sparsity = 0.5, **fields: Any) -> wc.SearchResult:
    return wc.search(NET, (X, Y), sparsity=sparsity, backend=backend, key=KEY, config=config(**fields))


def masked(network: wc.Subnetwork) -> wc.backend.Masks:
    """The mask of a network that was searched or drawn: it has one."""
    assert network.mask is not None
    return network.mask


def mask_of(origin: wc.backend.Origin, **plan: Any) -> dict[str, np.ndarray]:
    key = wc.random.fold_in(wc.random.fold_in(wc.random.fold_in(KEY, 1), origin.generation), origin.candidate)
    return wc.backend.masks_from_keys(key, wc.mask_plan(SPACE, **{"sparsity": 0.5, **plan}))


def assert_same(found: Mapping[str, np.ndarray], expected: Any, why: str = "") -> None:
    assert set(found) == set(expected)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], f"{name}: {why}")


def fitness_of(backend: wc.backend.Backend, result: wc.SearchResult, generation: int) -> float:
    """The fitness of a result's winner on the batch of a generation."""
    batch = wc.ask_tell.validation_batch(KEY, generation, len(Y), result.config)
    one = {site: mask[None] for site, mask in masked(result.network).items()}
    scored = backend.score(NET, result.network.params, one, X[batch], Y[batch], fitness=result.config.fitness)
    return float(backend.to_numpy(scored)[0])


def with_fitness(backend: wc.backend.Backend, fitness: Callable[[int, int], list[float]]) -> wc.backend.Backend:
    """The backend with a made-up fitness: of the call's number and the population's size."""
    calls = 0

    def score_population(net: Any, params: Any, population: wc.backend.Population, *rest: Any) -> np.ndarray:
        nonlocal calls
        calls += 1
        return np.asarray(fitness(calls - 1, population.size))

    return dataclasses.replace(backend, score_population=score_population)


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


def test_the_winner_is_the_elite_of_the_last_generation(backend: wc.backend.Backend) -> None:
    result = run(backend)
    assert result.origin == result.history[-1].elite
    assert result.fitness == result.history[-1].best
    assert_same(masked(result.network), mask_of(result.origin), "a mask follows from seed, generation and index")
    parents = backend.draw_parameters(wc.random.fold_in(KEY, 0), wc.nn.he_normal(NET))
    assert_same(result.network.params, parents, "the parent's weights")
    assert result.network.net == NET
    assert result.network.statistics is None, "there is no batch normalisation"
    assert result.fitness == fitness_of(backend, result, generation=3)


def test_a_result_says_what_was_done(backend: wc.backend.Backend) -> None:
    result = run(backend)
    assert (result.stopped, result.evaluations, result.validation_batch) == ("generations", 6 * 4, 16)
    assert [generation.generation for generation in result.history] == [0, 1, 2, 3]
    assert result.network.sparsity == 0.5, "4 of 8 and 3 of 6 nodes are removed"
    assert result.network.sparsity == wc.backend.achieved_sparsity(masked(result.network))
    assert result.config == config()


def test_each_generation_scores_its_candidates_on_its_own_batch(backend: wc.backend.Backend) -> None:
    result = run(backend)
    params = backend.draw_parameters(wc.random.fold_in(KEY, 0), wc.nn.he_normal(NET))
    elite = wc.backend.Origin(0, 0)
    for generation in result.history:
        number = generation.generation
        origins = [elite if number and not index else wc.backend.Origin(number, index) for index in range(6)]
        drawn = [mask_of(origin) for origin in origins]
        masks = {site: np.stack([mask[site] for mask in drawn]) for site in SPACE}
        batch = wc.ask_tell.validation_batch(KEY, number, len(Y), result.config)
        expected = backend.to_numpy(backend.score(NET, params, masks, X[batch], Y[batch]))
        np.testing.assert_array_equal(generation.fitness, expected)
        elite = generation.elite
        assert elite == origins[int(np.argmax(expected))]


def test_the_callback_sees_every_generation_as_it_is_scored(backend: wc.backend.Backend) -> None:
    seen: list[wc.Generation] = []
    result = wc.search(NET, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config(), on_generation=seen.append)
    assert tuple(seen) == result.history


def test_the_same_search_twice_gives_the_same(backend: wc.backend.Backend) -> None:
    first, second = run(backend), run(backend)
    assert (first.origin, first.fitness) == (second.origin, second.fitness)
    assert_same(masked(first.network), masked(second.network))
    assert_same(first.network.params, second.network.params)


def test_a_backend_may_be_given_by_name(backend: wc.backend.Backend) -> None:
    assert wc.search(NET, (X, Y), sparsity=0.5, backend="numpy", key=KEY, config=config()).origin == run(backend).origin


def test_the_best_overall_is_the_best_stored_fitness(backend: wc.backend.Backend) -> None:
    best = [3.0, 5.0, 4.0, 5.0]
    fake = with_fitness(backend, lambda call, size: [0.0, best[call], *[0.0] * (size - 2)])
    result = run(fake, winner="best_overall")
    assert (result.origin, result.fitness) == (wc.backend.Origin(1, 1), 5.0), "the earliest of equals"
    assert result.evaluations == 6 * 4
    assert_same(masked(result.network), mask_of(result.origin))
    last = run(fake := with_fitness(backend, lambda call, size: [0.0, best[call], *[0.0] * (size - 2)]))
    assert (last.origin, last.fitness) == (wc.backend.Origin(3, 1), 5.0)


def test_rescored_elites_meet_on_one_more_batch(backend: wc.backend.Backend) -> None:
    seen: list[tuple[int, np.ndarray]] = []

    def score_population(
        net: Any, params: Any, population: wc.backend.Population, batch: wc.backend.ScoredBatch, scoring: Any
    ) -> np.ndarray:
        seen.append((population.size, batch.x))
        if len(seen) <= 4:  # elites 0.1, 0.1, 2.1, 2.1: generations 0 and 1 share one, 2 and 3 another
            return np.asarray([0.5, 1.0, 0.0, 0.0, 0.0, 0.0] if len(seen) in (1, 3) else [1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        return np.asarray([0.25, 0.125])

    result = run(dataclasses.replace(backend, score_population=score_population), winner="rescored")
    assert [size for size, _ in seen] == [6, 6, 6, 6, 2], "each elite is scored once more, not each generation"
    batch = wc.ask_tell.validation_batch(KEY, 4, len(Y), result.config)
    np.testing.assert_array_equal(seen[-1][1], X[batch], "on the batch after the last generation's")
    assert (result.origin, result.fitness) == (wc.backend.Origin(0, 1), 0.25)
    assert result.evaluations == 6 * 4 + 2


def test_a_result_says_by_how_much_its_winner_leads(backend: wc.backend.Backend) -> None:
    """Two of the generations have one elite, so that the second of the best overall is another one's."""

    def fitness(call: int, size: int) -> list[float]:
        match call:
            case 0:
                return [0.0, 5.0, 1.0, 0.0, 0.0, 0.0]
            case 1:
                return [4.75, 4.5, 0.0, 0.0, 0.0, 0.0]  # the elite of before
            case 2:
                return [0.0, 0.0, 4.0, 0.0, math.nan, 0.0]
            case 3:
                return [0.0, 0.0, 0.0, 2.0, 1.875, math.inf]
            case _:
                return [-1.0, -3.0, -1.5]

    def led(winner: str) -> tuple[wc.backend.Origin, float | None]:
        result = run(with_fitness(backend, fitness), winner=winner)
        assert [generation.margin for generation in result.history] == [4.0, 0.25, 4.0, 0.125]
        return result.origin, result.margin

    origin = wc.backend.Origin
    assert led("last_generation") == (origin(3, 3), 0.125)
    assert led("best_overall") == (origin(0, 1), 1.0)
    assert led("rescored") == (origin(0, 1), 0.5)


@pytest.mark.parametrize("winner", ["best_overall", "rescored"])
def test_a_single_elite_leads_nobody(backend: wc.backend.Backend, winner: str) -> None:
    assert run(with_fitness(backend, lambda call, size: [1.0] * size), winner=winner).margin is None


@pytest.mark.parametrize("elite", ["rescore", "cache"])
def test_the_margin_of_a_generation_is_over_the_elite_of_before_too(backend: wc.backend.Backend, elite: str) -> None:
    """On a batch that stays the same the elite of before keeps its fitness, scored again or remembered."""

    def fitness(call: int, size: int) -> list[float]:
        elites = [2.0] if size == 6 and call else []
        return [*elites, *([0.0] * 5 + [2.0] if call == 0 else [1.75, 1.0, 0.0, 0.0, 0.0])]

    result = run(with_fitness(backend, fitness), batch_policy="fixed", elite=elite, generations=2)
    assert [generation.margin for generation in result.history] == [2.0, 0.25]


def test_elites_that_are_not_finite_when_they_are_rescored_elect_nobody(backend: wc.backend.Backend) -> None:
    def fitness(call: int, size: int) -> list[float]:
        """A new elite in the second generation; after the last, nothing that is finite."""
        return [math.nan] * size if call == 4 else [1.0 * (call != 1), 0.5 + call, *[0.0] * (size - 2)]

    with pytest.raises(wc.errors.SearchError, match="elites have a fitness that is NaN or infinite when"):
        run(with_fitness(backend, fitness), winner="rescored")


def test_a_single_elite_needs_no_rescoring(backend: wc.backend.Backend) -> None:
    result = run(with_fitness(backend, lambda call, size: [1.0] * size), winner="rescored")
    assert (result.origin, result.evaluations) == (wc.backend.Origin(0, 0), 6 * 4)


@pytest.mark.slow
def test_rescoring_on_real_fitness_keeps_the_budget(backend: wc.backend.Backend) -> None:
    for budget in range(6, 40):
        result = run(backend, winner="rescored", generations=None, budget=budget)
        assert result.evaluations <= budget
        assert result.stopped == "budget"


def test_on_a_fixed_batch_a_cached_elite_changes_nothing_but_the_cost(backend: wc.backend.Backend) -> None:
    again = run(backend, batch_policy="fixed")
    cached = run(backend, batch_policy="fixed", elite="cache")
    assert cached.origin == again.origin
    for one, other in zip(cached.history, again.history, strict=True):
        np.testing.assert_array_equal(one.fitness, other.fitness)
    assert (again.evaluations, cached.evaluations) == (6 * 4, 6 + 5 * 3)


@pytest.mark.parametrize("policy", ["fixed", "whole"])
def test_where_the_batch_stays_the_best_never_gets_worse(backend: wc.backend.Backend, policy: str) -> None:
    best = [generation.best for generation in run(backend, batch_policy=policy, generations=8).history]
    assert best == sorted(best)


def test_under_per_candidate_weights_the_winner_keeps_its_own(backend: wc.backend.Backend) -> None:
    result = run(backend, weights="per_candidate")
    key = wc.random.fold_in(
        wc.random.fold_in(wc.random.fold_in(KEY, 0), result.origin.generation), result.origin.candidate
    )
    assert_same(result.network.params, backend.draw_parameters(key, wc.nn.he_normal(NET)))
    assert result.fitness == fitness_of(backend, result, generation=3), "the weights it was scored with"


def test_section_3_ranks_by_accuracy_over_all_generations(backend: wc.backend.Backend) -> None:
    result = run(backend, reading="section3")
    assert result.fitness == max(generation.best for generation in result.history)
    assert (result.fitness * 16) % 1 == 0, "a count of 16 examples"
    best = [generation.best for generation in result.history].index(result.fitness)
    assert result.fitness == fitness_of(backend, result, generation=best)


@pytest.mark.parametrize(("fan_counts", "fan_in"), [("parent", 8), ("kept", 4)])
def test_the_fan_counts_the_parents_nodes_or_those_kept(
    backend: wc.backend.Backend, fan_counts: str, fan_in: int
) -> None:
    params = run(backend, fan_counts=fan_counts).network.params
    parent = backend.draw_parameters(wc.random.fold_in(KEY, 0), wc.nn.he_normal(NET))
    # The same normals times sqrt(2 / fan): the ratio is rounded once in each product, 4 · 2^-53.
    ratio = math.sqrt(8 / fan_in)
    np.testing.assert_allclose(params["dense_1/kernel"], ratio * np.asarray(parent["dense_1/kernel"]), rtol=1e-15)


def test_the_fan_may_be_that_of_the_outputs(backend: wc.backend.Backend) -> None:
    expected = backend.draw_parameters(wc.random.fold_in(KEY, 0), wc.nn.he_normal(NET, "fan_out"))
    assert_same(run(backend, fan="fan_out").network.params, expected)


def test_bernoulli_sampling_reaches_the_masks(backend: wc.backend.Backend) -> None:
    result = run(backend, sampling="bernoulli")
    assert_same(masked(result.network), mask_of(result.origin, sampling="bernoulli"))
    assert result.network.sparsity == wc.backend.achieved_sparsity(masked(result.network)), (
        "what was achieved, not what was asked for"
    )


def test_each_site_may_have_its_own_sparsity(backend: wc.backend.Backend) -> None:
    mask = masked(run(backend, sparsity={"hidden_0": 0.0, "hidden_1": 0.5}).network)
    assert (np.count_nonzero(mask["hidden_0"]), np.count_nonzero(mask["hidden_1"])) == (8, 3)


def test_a_batch_larger_than_the_split_takes_all_of_it_and_the_result_says_so(backend: wc.backend.Backend) -> None:
    result = run(backend, validation_batch=1000)
    assert result.validation_batch == len(Y)
    whole = run(backend, batch_policy="whole")
    np.testing.assert_array_equal(result.history[2].fitness, whole.history[2].fitness)


def test_a_candidate_that_is_not_finite_is_never_the_winner(backend: wc.backend.Backend) -> None:
    bad = with_fitness(backend, lambda call, size: [math.nan, math.inf, -1.0, -2.0, math.nan, -math.inf][:size])
    result = run(bad)
    assert [generation.not_finite for generation in result.history] == [4] * 4
    assert all(generation.elite == wc.backend.Origin(generation.generation, 2) for generation in result.history)
    assert result.fitness == -1.0


def test_a_population_of_only_such_candidates_is_an_error(backend: wc.backend.Backend) -> None:
    with pytest.raises(
        wc.errors.SearchError, match="all 6 candidates of generation 1 have a fitness that is NaN or infinite"
    ):
        run(with_fitness(backend, lambda call, size: [math.nan if call else 1.0] * size))


def test_the_backend_is_told_fitness_precision_and_chunk(backend: wc.backend.Backend) -> None:
    seen: list[wc.backend.Scoring] = []

    def score_population(net: Any, params: Any, population: Any, batch: Any, scoring: wc.backend.Scoring) -> np.ndarray:
        seen.append(scoring)
        return np.zeros(population.size)

    fake = dataclasses.replace(backend, score_population=score_population)
    run(fake, fitness="accuracy", precision="default", chunk=4, generations=1)
    run(fake, generations=1)
    assert seen == [
        wc.backend.Scoring("accuracy", "default", 4),
        wc.backend.Scoring("negative_cross_entropy", "highest", 6),
    ]
    assert seen[0].fitness == "accuracy"
    assert (seen[0].precision, seen[0].chunk) == ("default", 4)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ((X[:, :4], Y), "inputs must have shape"),
        ((X, Y + 1), r"labels must be in \[0, 3\)"),
        ((np.where(np.arange(40)[:, None] == 3, np.nan, X), Y), "inputs must be finite; example 3 has NaN or infinity"),
    ],
)
def test_data_that_does_not_fit_is_an_error_before_any_work(backend: wc.backend.Backend, data: Any, error: str) -> None:
    idle = dataclasses.replace(backend, score_population=never, draw_parameters=never)
    with pytest.raises(wc.errors.DataError, match=error):
        wc.search(NET, data, sparsity=0.5, backend=idle, key=KEY, config=config())


def test_a_search_without_sites_or_with_an_unknown_backend_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match="there is nothing to search"):
        wc.search(wc.mlp(5, (), 3), (X, Y), sparsity=0.5, backend="numpy", key=KEY, config=config())
    with pytest.raises(wc.errors.BackendError, match="unknown backend 'torchh'"):
        wc.search(NET, (X, Y), sparsity=0.5, backend="torchh", key=KEY, config=config())


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, math.nan, "0.5", None, {"hidden_0": 0.5, "hidden_1": 2.0}])
def test_a_sparsity_that_cannot_be_is_an_error_before_any_work(backend: wc.backend.Backend, sparsity: Any) -> None:
    idle = dataclasses.replace(backend, score_population=never, draw_parameters=never, masks_from_keys=never)
    eta = "a finite number in [0, 1), the fraction removed"
    for use in (
        lambda: wc.search(NET, (X, Y), sparsity=sparsity, backend=idle, key=KEY),
        lambda: wc.draw_control(NET, sparsity=sparsity, backend=idle, key=KEY),
        lambda: wc.draw_control(NET, sparsity=sparsity, backend=idle, key=KEY, control="independent"),
    ):
        with pytest.raises(wc.errors.ConfigError) as caught:
            use()
        assert str(caught.value) == (
            f"sparsity['hidden_1'] must be {eta}; got 2.0. Write 80 % as 0.8."
            if isinstance(sparsity, dict)
            else "sparsity must be the fraction removed, in [0, 1), or one by site; "
            f"got {sparsity!r}. Write 80 % as 0.8."
        )


def test_a_sparsity_for_other_sites_is_an_error_before_any_work(backend: wc.backend.Backend) -> None:
    idle = dataclasses.replace(backend, score_population=never, draw_parameters=never, masks_from_keys=never)
    with pytest.raises(wc.errors.ConfigError, match="per-site sparsity must name the sites"):
        wc.search(NET, (X, Y), sparsity={"hidden_0": 0.5}, backend=idle, key=KEY)
    with pytest.raises(wc.errors.ConfigError, match="per-site sparsity must name the sites"):
        wc.draw_control(NET, sparsity={"hidden_0": 0.5}, backend=idle, key=KEY)


# Batch normalisation

NORMED = wc.Network(
    (wc.nn.Dense("first", 8), wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("hidden_0"), wc.nn.Dense("logits", 3)),
    (5,),
)


def batches_of(backend: wc.backend.Backend, **fields: Any) -> list[wc.backend.ScoredBatch]:
    """What each call scores on, and where batch normalisation takes its statistics, for scores that change nothing."""
    seen: list[wc.backend.ScoredBatch] = []

    def score_population(
        net: Any, params: Any, population: Any, batch: wc.backend.ScoredBatch, scoring: Any
    ) -> np.ndarray:
        seen.append(batch)
        return np.arange(population.size) / 8  # the last is the fittest: every generation has an elite of its own

    fake = dataclasses.replace(backend, score_population=score_population)
    wc.search(NORMED, (X, Y), sparsity=0.5, backend=fake, key=KEY, config=config(**fields))
    return seen


def test_while_searching_batch_norm_takes_the_statistics_of_the_batch(backend: wc.backend.Backend) -> None:
    seen = batches_of(backend)
    assert [(batch.statistics, batch.calibration) for batch in seen] == [(None, None)] * 4
    for generation, batch in enumerate(seen):
        chosen = wc.ask_tell.validation_batch(KEY, generation, len(Y), config())
        np.testing.assert_array_equal(batch.x, X[chosen], f"generation {generation}")
        np.testing.assert_array_equal(batch.y, Y[chosen], f"generation {generation}")


def test_batch_norm_may_take_the_running_statistics_before_training(backend: wc.backend.Backend) -> None:
    seen = batches_of(backend, batch_norm="running")
    assert len(seen) == 4
    for batch in seen:
        assert batch.calibration is None
        assert batch.statistics is not None
        assert_same(batch.statistics, wc.nn.initial_statistics(NORMED), "mean 0 and variance 1")


@pytest.mark.parametrize("policy", ["fresh", "fixed", "whole"])
def test_batch_norm_may_be_recalibrated_on_another_batch(backend: wc.backend.Backend, policy: Any) -> None:
    fields = {"batch_norm": "recalibrated", "batch_policy": policy, "winner": "rescored"}
    seen = batches_of(backend, **fields)
    assert len(seen) == 5, "four generations, and one more for their elites"
    for generation, batch in enumerate(seen):
        assert batch.statistics is None
        others = wc.ask_tell.calibration_batch(KEY, generation, len(Y), config(**fields))
        np.testing.assert_array_equal(batch.calibration, X[others], f"generation {generation}")


@pytest.mark.parametrize("policy", ["fixed", "whole"])
@pytest.mark.parametrize("norm", ["batch", "running", "recalibrated"])
def test_where_the_batch_stays_a_cached_elite_is_as_good_as_a_rescored_one(
    backend: wc.backend.Backend, policy: str, norm: str
) -> None:
    fields = {"batch_policy": policy, "batch_norm": norm}
    again, cached = (
        wc.search(NORMED, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config(elite=elite, **fields))
        for elite in ("rescore", "cache")
    )
    for one, other in zip(cached.history, again.history, strict=True):
        np.testing.assert_array_equal(one.fitness, other.fitness)
        for kept in (one.fitness, other.fitness):
            with pytest.raises(ValueError, match="WRITEABLE"):
                kept.flags.writeable = True


def test_what_batch_norm_takes_decides_the_fitness(backend: wc.backend.Backend) -> None:
    found = {
        norm: wc.search(NORMED, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config(batch_norm=norm))
        .history[0]
        .fitness
        for norm in ("batch", "running", "recalibrated")
    }
    params = backend.draw_parameters(wc.random.fold_in(KEY, 0), wc.nn.he_normal(NORMED))
    population = wc.ask_tell.ask(wc.ask_tell.init(KEY, wc.mask_space(NORMED), 0.5, config()))
    batch = wc.ask_tell.validation_batch(KEY, 0, len(Y), config())
    other = X[wc.ask_tell.calibration_batch(KEY, 0, len(Y), config())]
    ways: dict[str, dict[str, Any]] = {
        "batch": {},
        "running": {"statistics": wc.nn.initial_statistics(NORMED)},
        "recalibrated": {"calibration": other},
    }
    for norm, given in ways.items():
        expected = backend.score(NORMED, params, population, X[batch], Y[batch], **given)
        np.testing.assert_array_equal(found[norm], backend.to_numpy(expected), norm)
    assert len({fitness.tobytes() for fitness in found.values()}) == 3


def test_a_normed_network_that_was_searched_or_drawn_has_the_statistics_before_training(
    backend: wc.backend.Backend,
) -> None:
    result = wc.search(NORMED, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=config())
    control = wc.draw_control(NORMED, sparsity=0.5, backend=backend, key=KEY, config=config())
    for network in (result.network, control.network):
        assert network.net == NORMED
        assert network.statistics is not None
        assert_same(network.statistics, wc.nn.initial_statistics(NORMED), "mean 0 and variance 1")


# The control


@pytest.mark.slow
def test_a_member_control_is_one_of_the_first_generation(backend: wc.backend.Backend) -> None:
    chosen: set[int] = set()
    for seed in range(40):
        key = wc.key(seed)
        index = below(wc.random.fold_in(key, 5), 6)  # stream control is 5
        chosen.add(index)
        control = wc.draw_control(NET, sparsity=0.5, backend=backend, key=key, config=config())
        first = wc.ask_tell.ask(wc.ask_tell.init(key, SPACE, 0.5, config())).mask_keys
        assert first is not None
        assert_same(masked(control.network), wc.backend.masks_from_keys(first[index], wc.mask_plan(SPACE, 0.5)))
        assert_same(control.network.params, backend.draw_parameters(wc.random.fold_in(key, 0), wc.nn.he_normal(NET)))
        assert control.network.sparsity == 0.5
        assert control.origin == wc.backend.Origin(0, index)
    assert chosen == set(range(6)), "every member has its turn"


def test_an_independent_control_has_a_stream_of_its_own(backend: wc.backend.Backend) -> None:
    control = wc.draw_control(NET, sparsity=0.5, backend=backend, key=KEY, config=config(), control="independent")
    root = wc.random.fold_in(KEY, 5)
    key = wc.random.fold_in(wc.random.fold_in(wc.random.fold_in(root, 1), 0), 0)
    assert_same(masked(control.network), wc.backend.masks_from_keys(key, wc.mask_plan(SPACE, 0.5)))
    assert control.origin is None, "it is no candidate of the search"
    assert_same(control.network.params, run(backend).network.params, "shared weights are the parent's, in both arms")


@pytest.mark.parametrize("control", ["member", "independent"])
def test_under_per_candidate_weights_the_control_has_its_own(backend: wc.backend.Backend, control: str) -> None:
    own = config(weights="per_candidate")
    root = wc.random.fold_in(KEY, 5)
    if control == "member":
        found = wc.draw_control(NET, sparsity=0.5, backend=backend, key=KEY, config=own, control="member")
        expected = wc.random.fold_in(wc.random.fold_in(wc.random.fold_in(KEY, 0), 0), below(root, 6))
    else:
        found = wc.draw_control(NET, sparsity=0.5, backend=backend, key=KEY, config=own, control="independent")
        expected = wc.random.fold_in(wc.random.fold_in(wc.random.fold_in(root, 0), 0), 0)
    assert_same(found.network.params, backend.draw_parameters(expected, wc.nn.he_normal(NET)))


def test_with_a_shared_parent_and_sparsity_0_both_arms_are_the_same_network(backend: wc.backend.Backend) -> None:
    result = run(backend, sparsity=0.0)
    control = wc.draw_control(NET, sparsity=0.0, backend=backend, key=KEY, config=config())
    assert_same(masked(control.network), masked(result.network))
    assert_same(control.network.params, result.network.params)
    assert result.origin == wc.backend.Origin(0, 0), "all candidates tie, and ties go to the lowest index"


@pytest.mark.parametrize("seed", [0, np.array([-1, 0]), np.zeros(2), np.zeros(3, dtype=np.uint32)])
def test_a_key_that_is_none_is_an_error(seed: Any) -> None:
    config, text = wc.SearchConfig(population=2), r"key must be uint32 of shape \(2,\), from wc.key"
    network = wc.Subnetwork(NET, wc.load_backend("numpy").initialise(NET, KEY))
    with pytest.raises(wc.errors.ConfigError, match=text):
        wc.search(NET, (X, Y), sparsity=0.5, backend="numpy", key=seed, config=config)
    with pytest.raises(wc.errors.ConfigError, match=text):
        wc.draw_control(NET, sparsity=0.5, backend="numpy", key=seed, config=config)
    with pytest.raises(wc.errors.ConfigError, match=text):
        wc.train(network, (X, Y), backend="numpy", key=seed, config=wc.TrainConfig(epochs=0))


def test_an_unknown_control_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match="control must be one of 'member', 'independent'; got 'membr'"):
        wc.draw_control(NET, sparsity=0.5, backend="numpy", key=KEY, control=cast(Any, "membr"))


def test_a_compacted_network_is_not_searched() -> None:
    net = wc.wide_resnet(10, 1, 4, (8, 8, 3), granularity="channel")
    small = wc.compact(net, wc.mask_plan(wc.mask_space(net), 0.5).counts).net
    data = np.zeros((4, 8, 8, 3), np.float32), np.arange(4)
    said = r"compacted already\. Search the network that it was made of\.$"
    with pytest.raises(wc.errors.ConfigError, match=said):
        wc.search(small, data, sparsity=0.5, backend="numpy", key=wc.key(0))
    with pytest.raises(wc.errors.ConfigError, match=said):
        wc.draw_control(small, sparsity=0.5, backend="numpy", key=wc.key(0))

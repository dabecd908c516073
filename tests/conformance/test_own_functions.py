"""A strategy and a fitness of the user's own: on every backend as on the reference, and refused by name if wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import weedout_core as wc
from tests.conformance.connected import connected
from weedout_core.errors import ConfigError, MaskError, SearchError, WeedoutError

NET = wc.mlp(6, (12, 8), 3)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)
BACKENDS = ("numpy", "jax", "torch", "torch_xla")


def found(backend: Any = "numpy", scored: Any = (), **more: Any) -> wc.SearchResult:
    config = wc.SearchConfig(**{"population": 6, "generations": 3, "validation_batch": 16, **more})
    return wc.search(NET, DATA, sparsity=0.5, backend=backend, key=wc.key(7), config=config, scored=scored)


# Fitness


def entropy(logits: Any, labels: Any) -> Any:
    """The mean entropy of what is predicted, in nats; labels do not count."""
    xp = array_namespace(logits)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    log = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return -xp.mean(xp.sum(xp.exp(log) * log, axis=-1), axis=-1)


def same_entropy(logits: Any, labels: Any) -> Any:
    return entropy(logits, labels)


def copied(logits: Any, labels: Any) -> Any:
    """The library's own, called by the user's."""
    return wc.backend.negative_cross_entropy(logits, labels)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fitness_of_ones_own_is_computed_in_every_backend(backend: str) -> None:
    there = connected(backend)
    true, got = found(fitness=entropy), found(there, fitness=entropy)
    assert got.origin == true.origin
    for one, two in zip(got.history, true.history, strict=True):
        # Entropies of about 1 nat, in float32: sums of some tens of roundings of 6e-8.
        np.testing.assert_allclose(one.fitness, two.fitness, rtol=0, atol=5e-6)
    own, named = found(there, fitness=copied), found(there)
    assert [one.fitness.tobytes() for one in own.history] == [one.fitness.tobytes() for one in named.history]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_without_a_fitness_has_none_whatever_a_function_says(backend: str) -> None:
    there = connected(backend)
    params = dict(there.initialise(NET, wc.key(1)))
    masks = {site: np.ones((2, *shape), bool) for site, shape in wc.mask_space(NET).items()}
    x, y = DATA
    wild = np.full((8, 3), np.inf)
    scored = [
        there.to_numpy(there.score(NET, {**params, **more}, masks, x, y, fitness=constant)).tolist()
        for more in ({}, {"logits/kernel": there.asarray(wild)})
    ]
    assert scored[0] == [1, 1]
    assert np.isnan(scored[1]).all(), "a logit is not finite"


@pytest.mark.parametrize("chunk", [1, None])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_what_a_fitness_writes_to_its_arguments_reaches_no_other_score(backend: str, chunk: int | None) -> None:
    def writes(logits: Any, labels: Any) -> Any:
        found = wc.backend.accuracy(logits, labels)
        labels[...] = 0
        logits[...] = 0
        return found

    one, other = (found(backend, fitness=fitness, chunk=chunk) for fitness in (writes, "accuracy"))
    assert [generation.best for generation in one.history] == [generation.best for generation in other.history]


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_a_fitness_of_nan_is_named(backend: str) -> None:
    def lost(logits: Any, labels: Any) -> Any:
        return constant(logits, labels) * float("nan")

    with pytest.raises(SearchError, match=r"Check the fitness .*lost, the inputs and the scale of the weights\."):
        found(backend, fitness=lost)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_an_error_of_this_library_in_a_fitness_is_told_with_the_users_line(backend: str) -> None:
    def wrong(logits: Any, labels: Any) -> Any:
        return wc.backend.accuracy(logits[..., 0], labels)

    with pytest.raises(ConfigError, match=r"the fitness .*wrong failed, in .*\.py, line \d+: logits must be"):
        found(backend, fitness=wrong)


def constant(logits: Any, labels: Any) -> Any:
    xp = array_namespace(logits)
    return xp.ones_like(xp.sum(logits, axis=(-2, -1)))


def integers(logits: Any, labels: Any) -> Any:
    xp = array_namespace(logits)
    return xp.astype(constant(logits, labels), xp.int32)


def for_each_example(logits: Any, labels: Any) -> Any:
    return array_namespace(logits).max(logits, axis=-1)


def nothing(logits: Any, labels: Any) -> Any:
    return None


def fails(logits: Any, labels: Any) -> Any:
    raise ArithmeticError("no score today")


@pytest.mark.parametrize(
    ("fitness", "message"),
    [
        (integers, r"the fitness .*integers must return floats.*one for each candidate.*; got "),
        (for_each_example, r"the fitness .*for_each_example must return floats.*one for each candidate.*; got "),
        (nothing, r"the fitness .*nothing must return floats.*one for each candidate.*; got None"),
        (fails, r"the fitness .*fails failed, in .*test_own_functions\.py, line \d+: ArithmeticError: no score today"),
        ("my_module:score", r"the fitness my_module:score is only named\. Hand in the function itself"),
    ],
    ids=["integers", "examples", "nothing", "fails", "named"],
)
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_a_wrong_fitness_is_refused_by_name_before_a_generation_is_told(
    backend: str, fitness: Any, message: str
) -> None:
    there = connected(backend)
    told: list[wc.Generation] = []
    with pytest.raises(ConfigError, match=message):
        wc.search(
            NET, DATA, sparsity=0.5, backend=there, key=wc.key(7), on_generation=told.append,
            config=wc.SearchConfig(population=4, fitness=fitness),
        )  # fmt: skip
    assert not told


def test_a_fitness_in_an_array_of_another_framework_is_said_to_be_one() -> None:
    """NumPy's functions take a tensor and return an array of NumPy, of the dtype and shape that were asked for."""
    pytest.importorskip("torch")
    with pytest.raises(ConfigError, match=r"framework of the logits.*; got float32 \(4,\) of numpy\."):
        wc.search(
            NET, DATA, sparsity=0.5, backend="torch", key=wc.key(7),
            config=wc.SearchConfig(population=4, fitness=lambda logits, labels: np.asarray(logits).mean((-2, -1))),
        )  # fmt: skip


def test_a_fitness_is_handed_classes_last_and_keeps_its_candidates() -> None:
    logits, labels = RNG.normal(size=(4, 5, 3)), RNG.integers(0, 3, 5)
    own = wc.backend.FITNESS[entropy]
    np.testing.assert_array_equal(own(logits.swapaxes(-1, -2), labels, axis=-2), own(logits, labels))
    assert own(logits, labels).shape == (4,)
    assert set(wc.backend.FITNESS) == {"negative_cross_entropy", "accuracy"}


def test_the_reference_spells_out_a_fitness_of_ones_own_too() -> None:
    from weedout_numpy.algorithm1 import weedout

    config = wc.SearchConfig(population=6, generations=3, validation_batch=16, fitness=entropy)
    train = wc.TrainConfig(epochs=1, batch_size=8)
    result = weedout(NET, DATA, DATA, DATA, 0.5, config, train, seed=7)
    assert result.winner.origin == found(fitness=entropy).origin
    np.testing.assert_allclose(result.winner.fitness, found(fitness=entropy).fitness, rtol=0, atol=1e-12)


# Strategies


def two_parents(key: Any, plan: Any, masks: Any, fitness: Any, count: int, mutation: float) -> Mapping[str, Any]:
    """Each child is a crossover of the two fittest, mutated."""
    first, second, *_ = np.argsort(-fitness, kind="stable")
    mothers, fathers = (
        {site: np.repeat(mask[[one]], count, axis=0) for site, mask in masks.items()} for one in (first, second)
    )
    children = wc.ask_tell.crossed(wc.random.split(wc.random.fold_in(key, 0), count), mothers, fathers, plan)
    return wc.ask_tell.mutated(wc.random.split(wc.random.fold_in(key, 1), count), children, plan, mutation)


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [{}, {"allocation": "global"}, {"sampling": "bernoulli"}], ids=str)
def test_a_strategy_of_ones_own_breeds_the_same_masks_in_every_backend(drawn: dict[str, Any]) -> None:
    true = found(strategy=two_parents, winner="best_overall", **drawn)
    assert true.history[-1].best > true.history[0].best or drawn, "an elite was bred"
    for backend in BACKENDS[1:]:
        got = found(connected(backend), strategy=two_parents, winner="best_overall", **drawn)
        assert got.origin == true.origin
        for site, mask in (true.network.mask or {}).items():
            np.testing.assert_array_equal((got.network.mask or {})[site], mask)
    for done in range(3):
        assert found(scored=true.history[:done], strategy=two_parents, winner="best_overall", **drawn) == true


def test_a_function_is_recorded_by_its_place_and_a_search_goes_on_with_no_other() -> None:
    one = found(strategy=two_parents, fitness=entropy)
    began = one.history[0].began
    assert began is not None
    assert began.config.strategy == f"{__name__}:two_parents"
    assert began.config.fitness == f"{__name__}:entropy"
    assert one.config.strategy is two_parents
    with pytest.raises(ConfigError, match=r"it began with fitness .*:entropy"):
        found(scored=one.history[:1], strategy=two_parents, fitness=same_entropy)


def changed(**at: Any) -> Any:
    """A strategy whose children at site hidden_0 are something else."""

    def strategy(key: Any, plan: Any, masks: Any, fitness: Any, count: int, mutation: float) -> Any:
        return at["made"]({site: mask[:count].copy() for site, mask in masks.items()})

    return strategy


def emptied(masks: dict[str, Any]) -> dict[str, Any]:
    masks["hidden_0"][0] = False
    return masks


def one_more(masks: dict[str, Any]) -> dict[str, Any]:
    for mask in masks.values():
        mask[0, np.flatnonzero(~mask[0])[:1]] = True
    return masks


def at_random(masks: dict[str, Any]) -> dict[str, Any]:
    return {site: np.random.default_rng().permuted(mask, axis=1) for site, mask in masks.items()}


@pytest.mark.parametrize(
    ("made", "drawn", "message"),
    [
        (lambda masks: None, {}, r"must be a mask for each of the sites \['hidden_0', 'hidden_1'\]; got None"),
        (lambda masks: {"hidden_0": masks["hidden_0"]}, {}, r"must be a mask for each of the sites"),
        (
            lambda masks: {**masks, "hidden_0": masks["hidden_0"].astype(int)}, {},
            r"must be booleans \(5, 12\), \(candidates, nodes\), at site 'hidden_0'; got int64 \(5, 12\)",
        ),
        (
            lambda masks: {**masks, "hidden_1": masks["hidden_1"][:, :4]}, {},
            r"must be booleans \(5, 8\), .* at site 'hidden_1'; got bool \(5, 4\)",
        ),
        (one_more, {}, r"must keep 6 nodes of site 'hidden_0' in each candidate; got 7 in one"),
        (one_more, {"allocation": "global"}, r"must keep 10 nodes over all sites in each candidate; got 12"),
        (emptied, {"sampling": "bernoulli"}, r"must keep at least one node of site 'hidden_0' in each c"),
        (at_random, {}, r"bred other masks when it was called a second time for the same generation"),
        (lambda masks: 1 / 0, {}, r"failed, in .*test_own_functions\.py, line \d+: ZeroDivisionError: division by"),
    ],
    ids=["nothing", "a site", "integers", "shape", "counts", "total", "emptied", "at random", "fails"],
)  # fmt: skip
def test_a_wrong_strategy_is_refused_by_name(made: Any, drawn: dict[str, Any], message: str) -> None:
    with pytest.raises(WeedoutError, match=rf"the strategy {__name__}:changed.<locals>.strategy (returns )?{message}"):
        found(strategy=changed(made=made), **drawn)


def test_a_strategy_cannot_write_to_what_it_is_handed() -> None:
    def writes(key: Any, plan: Any, masks: Any, fitness: Any, count: int, mutation: float) -> Any:
        masks["hidden_0"][0, 0] = True

    with pytest.raises(ConfigError, match=r"writes failed, in .*: ValueError: assignment destination is read"):
        found(strategy=writes)


def test_a_strategy_that_is_only_named_is_refused_before_anything_is_scored() -> None:
    with pytest.raises(ConfigError, match="the strategy my_search:breed is only named"):
        found(strategy="my_search:breed")


def test_a_mutation_counts_for_a_strategy_of_ones_own() -> None:
    assert wc.SearchConfig(strategy=two_parents, mutation=0.2).mutation == 0.2
    assert found(strategy=two_parents, mutation=0.9).history != found(strategy=two_parents).history


def test_what_is_public_of_breeding_checks_what_it_is_handed() -> None:
    plan = wc.mask_plan(wc.mask_space(NET), 0.5)
    keys = wc.random.split(wc.key(0), 2)
    masks = wc.backend.masks_from_keys(keys, plan)
    with pytest.raises(MaskError, match=r"masks must be booleans \(2, 8\), \(candidates, nodes\), at site 'hidd"):
        wc.ask_tell.mutated(keys, {**masks, "hidden_1": masks["hidden_0"]}, plan, 0.5)
    with pytest.raises(MaskError, match=r"masks must be a mask for each of the sites .*; got \['hidden_0'\]"):
        wc.ask_tell.crossed(keys, masks, {"hidden_0": masks["hidden_0"]}, plan)
    with pytest.raises(ConfigError, match="fitness must be at least one float"):
        wc.ask_tell.tournaments(wc.key(0), np.zeros(0), 2)

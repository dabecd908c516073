"""The methods on the contract: what they draw, what they hand on, what they check."""

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

NET = wc.mlp(inputs=3, hidden=(4, 2), classes=2)
SPACE = wc.mask_space(NET)
#: With a batch norm: flat, so that the reference is quick.
NORMED = wc.Network(
    (wc.nn.Dense("first", 4), wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("hidden"), wc.nn.Dense("logits", 2)),
    (3,),
)
STATISTICS = {"norm/mean": np.linspace(-1, 1, 4), "norm/variance": np.linspace(0.5, 4, 4)}
X = np.linspace(-1, 1, 15).reshape(5, 3)
Y = np.asarray([0, 1, 0, 1, 1])


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def params(backend: wc.backend.Backend) -> Any:
    return backend.initialise(NET, wc.key(0))


@pytest.fixture(scope="module")
def normed(backend: wc.backend.Backend) -> Any:
    return backend.initialise(NORMED, wc.key(0))


def test_sample_masks_draws_candidate_i_from_fold_in_i(backend: wc.backend.Backend) -> None:
    masks = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3)
    expected = wc.backend.masks_from_keys(wc.random.split(wc.key(4), 3), wc.mask_plan(SPACE, 0.5))
    assert set(masks) == set(SPACE)
    for site in SPACE:
        np.testing.assert_array_equal(backend.to_numpy(masks[site]), expected[site])
    bernoulli = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3, sampling="bernoulli")
    expected = wc.backend.masks_from_keys(wc.random.split(wc.key(4), 3), wc.mask_plan(SPACE, 0.5, "bernoulli"))
    for site in SPACE:
        np.testing.assert_array_equal(backend.to_numpy(bernoulli[site]), expected[site])


def test_initialise_draws_he_normal_unless_told_otherwise(backend: wc.backend.Backend) -> None:
    params = backend.initialise(NET, wc.key(1))
    assert {path: np.shape(value) for path, value in params.items()} == wc.nn.parameter_shapes(NET)
    kept = backend.initialise(NET, wc.key(1), wc.nn.he_normal(NET, kept={"hidden_0": 1}))
    # std = sqrt(2 / fan): counting 1 of 4 inputs doubles the same normals; doubling is exact in binary.
    np.testing.assert_allclose(kept["dense_1/kernel"], 2 * np.asarray(params["dense_1/kernel"]), rtol=1e-15)


def test_apply_without_masks_is_apply_with_all_ones(backend: wc.backend.Backend, params: Any) -> None:
    ones = {site: np.ones(shape, dtype=bool) for site, shape in SPACE.items()}
    parent = backend.to_numpy(backend.apply(NET, params, X))
    assert parent.shape == (5, 2)
    np.testing.assert_array_equal(backend.to_numpy(backend.apply(NET, params, X, ones)), parent)


def test_apply_to_a_network_without_sites_takes_no_masks(backend: wc.backend.Backend) -> None:
    net = wc.mlp(3, (), 2)
    params = backend.initialise(net, wc.key(0))
    np.testing.assert_array_equal(backend.apply(net, params, X, {}), backend.apply(net, params, X))


def test_score_takes_masks_or_a_population(backend: wc.backend.Backend, params: Any) -> None:
    config = wc.SearchConfig(population=4)
    population = wc.ask_tell.ask(wc.ask_tell.init(wc.key(2), SPACE, 0.5, config))
    assert population.mask_keys is not None
    masks = wc.backend.masks_from_keys(population.mask_keys, wc.mask_plan(SPACE, 0.5))
    by_masks = backend.to_numpy(backend.score(NET, params, masks, X, Y))
    assert by_masks.shape == (4,)
    np.testing.assert_array_equal(backend.to_numpy(backend.score(NET, params, population, X, Y)), by_masks)
    in_chunks = backend.score(NET, params, population, X, Y, chunk=3)
    np.testing.assert_array_equal(backend.to_numpy(in_chunks), by_masks, "chunks change no result")


def test_apply_and_score_check_what_they_are_given(backend: wc.backend.Backend, params: Any) -> None:
    masks = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3)
    one = {site: mask[0] for site, mask in masks.items()}
    with pytest.raises(wc.errors.MaskError, match="the mask of site 'hidden_0' must have shape"):
        backend.apply(NET, params, X, masks)
    with pytest.raises(wc.errors.MaskError, match="the mask of site 'hidden_0' must have shape"):
        backend.score(NET, params, one, X, Y)
    with pytest.raises(wc.errors.MaskError, match="masks must have exactly the network's sites"):
        backend.apply(NET, params, X, {"hidden_0": one["hidden_0"]})
    with pytest.raises(wc.errors.DataError, match="inputs must have shape"):
        backend.apply(NET, params, X[:, :2], one)
    with pytest.raises(wc.errors.DataError, match="labels must be in"):
        backend.score(NET, params, masks, X, Y + 1)
    with pytest.raises(
        wc.errors.ConfigError, match=r"fitness must be 'negative_cross_entropy', 'accuracy', or a function .*; got 'f1'"
    ):
        backend.score(NET, params, masks, X, Y, fitness="f1")


def test_initialise_begins_batch_norm_at_scale_1(backend: wc.backend.Backend, normed: Any) -> None:
    np.testing.assert_array_equal(backend.to_numpy(normed["norm/scale"]), np.ones(4))
    np.testing.assert_array_equal(backend.to_numpy(normed["norm/bias"]), np.zeros(4))


# What batch normalisation takes


def test_apply_takes_running_statistics_or_those_before_training(backend: wc.backend.Backend, normed: Any) -> None:
    plain = backend.to_numpy(backend.apply(NORMED, normed, X, statistics=wc.nn.initial_statistics(NORMED)))
    # Mean 0 and variance 1: the layer divides by the root of 1 + 1e-5 and does no more.
    hidden = (X @ np.asarray(normed["first/kernel"]) + normed["first/bias"]) / math.sqrt(1 + 1e-5)
    by_hand = np.maximum(hidden, 0) @ np.asarray(normed["logits/kernel"]) + normed["logits/bias"]
    np.testing.assert_allclose(plain, by_hand, rtol=1e-12, atol=1e-12)  # sums of 4 terms, in any order, at 2^-53
    moved = backend.to_numpy(backend.apply(NORMED, normed, X, statistics=STATISTICS))
    assert np.abs(moved - plain).max() > 0.01, "other statistics are another network"
    alone = backend.to_numpy(backend.apply(NORMED, normed, X[:1], statistics=STATISTICS))
    # The other examples of a batch change nothing but the order of sums of 4 terms, at 2^-53.
    np.testing.assert_allclose(alone, moved[:1], rtol=1e-13)


def test_apply_needs_statistics_where_there_is_batch_norm(backend: wc.backend.Backend, normed: Any) -> None:
    """Nobody is given those before training for those that training gave."""
    idle = dataclasses.replace(backend, predict=never)
    masks = {"hidden": np.ones(4, dtype=bool)}
    for use in (
        lambda: idle.apply(NORMED, normed, X),
        lambda: idle.apply(NORMED, normed, X, masks),
        lambda: idle.apply(NORMED, normed, X, masks, None),
    ):
        with pytest.raises(wc.errors.ConfigError) as caught:
            use()
        assert str(caught.value) == (
            "the network has batch normalisation, and its statistics must be given: those that training gave "
            "(trained.network.statistics), or wc.nn.initial_statistics(net) for weights that are not trained."
        )
    with pytest.raises(wc.errors.ConfigError, match="'norm/mean' must have shape"):
        idle.apply(NORMED, normed, X, statistics={})


def test_apply_without_batch_norm_takes_no_statistics(backend: wc.backend.Backend, params: Any) -> None:
    found = backend.to_numpy(backend.apply(NET, params, X, statistics={}))
    np.testing.assert_array_equal(found, backend.to_numpy(backend.apply(NET, params, X)), "none is none")
    with pytest.raises(wc.errors.ConfigError, match="'norm/mean' must not be there"):
        dataclasses.replace(backend, predict=never).apply(NET, params, X, statistics=STATISTICS)


def scored_with(backend: wc.backend.Backend, params: Any, **options: Any) -> wc.backend.ScoredBatch:
    """The batch that ``score_population`` is given; its other arguments have been checked as ever."""
    seen: list[wc.backend.ScoredBatch] = []

    def score_population(
        net: Any, params: Any, population: wc.backend.Population, batch: wc.backend.ScoredBatch, scoring: Any
    ) -> np.ndarray:
        seen.append(batch)
        return np.zeros(population.size)

    fake = dataclasses.replace(backend, score_population=score_population)
    masks = {"hidden": np.ones((3, 4), dtype=bool)}
    fake.score(NORMED, params, masks, X, Y, **options)
    (batch,) = seen
    np.testing.assert_array_equal(batch.x, X)
    np.testing.assert_array_equal(batch.y, Y)
    return batch


def test_score_hands_on_what_batch_norm_takes(backend: wc.backend.Backend, normed: Any) -> None:
    given = scored_with(backend, normed)
    assert (given.statistics, given.calibration) == (None, None), "the statistics of the batch"
    given = scored_with(backend, normed, statistics=STATISTICS)
    assert given.calibration is None
    assert given.statistics is not None
    assert set(given.statistics) == set(STATISTICS)
    for path, value in STATISTICS.items():
        np.testing.assert_array_equal(given.statistics[path], value, path)
    given = scored_with(backend, normed, calibration=2 * X[:3])
    assert given.statistics is None
    np.testing.assert_array_equal(given.calibration, 2 * X[:3], "a batch of any size")
    whole = scored_with(backend, normed, calibration=np.arange(6).reshape(2, 3)).calibration
    assert whole is not None
    assert whole.dtype.kind == "f", "inputs, made floats as all inputs are"


def test_score_takes_statistics_or_inputs_for_calibration_and_not_both(
    backend: wc.backend.Backend, normed: Any
) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        scored_with(dataclasses.replace(backend, asarray=never), normed, statistics=STATISTICS, calibration=X)
    assert str(caught.value) == (
        "batch normalisation takes statistics or inputs for calibration, not both. Leave one out."
    )


def test_score_hands_on_how_a_population_is_scored(backend: wc.backend.Backend, params: Any) -> None:
    seen: list[wc.backend.Scoring] = []

    def score_population(
        net: Any, params: Any, population: wc.backend.Population, batch: Any, scoring: wc.backend.Scoring
    ) -> np.ndarray:
        seen.append(scoring)
        return np.zeros(population.size)

    fake = dataclasses.replace(backend, score_population=score_population)
    masks = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3)
    fake.score(NET, params, masks, X, Y)
    fake.score(NET, params, masks, X, Y, fitness="accuracy", precision="default", chunk=2)
    fake.score(NET, params, masks, X, Y, chunk=7)
    assert seen == [
        wc.backend.Scoring("negative_cross_entropy", "highest", 3),
        wc.backend.Scoring("accuracy", "default", 2),
        wc.backend.Scoring("negative_cross_entropy", "highest", 3),
    ], "a chunk is at most the population"


def test_the_statistics_of_the_scored_batch_itself_are_those_of_the_batch(
    backend: wc.backend.Backend, normed: Any
) -> None:
    masks = backend.sample_masks(wc.key(4), wc.mask_space(NORMED), sparsity=0.5, count=3)
    by_batch = backend.to_numpy(backend.score(NORMED, normed, masks, X, Y))
    recalibrated = backend.to_numpy(backend.score(NORMED, normed, masks, X, Y, calibration=X))
    np.testing.assert_allclose(recalibrated, by_batch, rtol=1e-12)  # sums of 5 examples, in any order, at 2^-53
    hidden = X @ np.asarray(normed["first/kernel"])
    moments = {"norm/mean": hidden.mean(axis=0), "norm/variance": hidden.var(axis=0)}
    fixed = backend.to_numpy(backend.score(NORMED, normed, masks, X, Y, statistics=moments))
    np.testing.assert_allclose(fixed, by_batch, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"statistics": {"norm/mean": STATISTICS["norm/mean"]}},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/variance' must have shape (4,); got nothing.",
        ),
        (
            {"statistics": {**STATISTICS, "norm/mean": np.zeros(3)}},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/mean' must have shape (4,); got (3,).",
        ),
        (
            {"statistics": {}},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/mean' must have shape (4,); got nothing.",
        ),
        (
            {"statistics": {**STATISTICS, "norm/scale": np.ones(4)}},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/scale' must not be there; got (4,).",
        ),
        (
            {"calibration": X[:, :2]},
            wc.errors.DataError,
            "inputs must have shape (examples, *(3,)) and not be empty; got (5, 2).",
        ),
        (
            {"calibration": X[0]},
            wc.errors.DataError,
            "inputs must have shape (examples, *(3,)) and not be empty; got (3,). That is one example: hand in "
            "x[None].",
        ),
        (
            {"calibration": X[:0]},
            wc.errors.DataError,
            "inputs must have shape (examples, *(3,)) and not be empty; got (0, 3).",
        ),
        (
            {"calibration": X * np.nan},
            wc.errors.DataError,
            "inputs must be finite; example 0 has NaN or infinity.",
        ),
    ],
)
def test_score_checks_what_batch_norm_takes(
    backend: wc.backend.Backend, normed: Any, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        scored_with(backend, normed, **given)
    assert str(caught.value) == message


def test_candidates_that_draw_their_own_weights_need_specs(backend: wc.backend.Backend, params: Any) -> None:
    population = wc.ask_tell.ask(
        wc.ask_tell.init(wc.key(2), SPACE, 0.5, wc.SearchConfig(population=4, weights="per_candidate"))
    )
    with pytest.raises(wc.errors.ConfigError) as caught:
        backend.score(NET, params, population, X, Y)
    assert str(caught.value) == (
        "candidates with weight keys draw their own weights: params must be specs of the network's parameters "
        "(wc.nn.he_normal(net))."
    )


# Networks that gather, as compacted ones do

PARENT = wc.Network(
    (
        wc.nn.Dense("first", 5),
        wc.nn.Residual((wc.nn.Mask("inside"), wc.nn.Dense("main", 5))),
        wc.nn.BatchNorm("norm"),
        wc.nn.Mask("out"),
        wc.nn.BatchNorm("last"),
        wc.nn.Dense("logits", 2),
    ),
    (3,),
)  # a mask before a batch norm stays: it removes no weight
INSIDE = np.asarray([True, False, True, True, False])
OUT = np.asarray([[1, 1, 0, 1, 0], [0, 1, 1, 0, 1]]) > 0
SMALL = wc.compact(PARENT, {"inside": 3, "out": 3})
GATHERED: dict[str, np.ndarray] = {"inside": np.asarray([0, 2, 3], np.int32), "out": OUT[0]}
#: Of the parent's batch norms, other ones than before training.
MOVING = {path: value + np.linspace(0, 0.5, value.size) for path, value in wc.nn.initial_statistics(PARENT).items()}


@pytest.fixture(scope="module")
def weights(backend: wc.backend.Backend) -> Any:
    return backend.initialise(PARENT, wc.key(0))


@pytest.fixture(scope="module")
def smaller(weights: Any) -> Any:
    return SMALL.gather(weights, GATHERED)


def test_a_compacted_network_is_applied_scored_trained_and_measured_as_its_masked_parent(
    backend: wc.backend.Backend, weights: Any, smaller: Any
) -> None:
    """The same products, with zeros left out: sums of 5 terms in another order, at 2^-53 each, in a few layers."""
    mask = {"inside": INSIDE, "out": OUT[0]}
    taken = SMALL.gather_masks(mask, wc.backend.kept_indices(mask))
    assert {name: value.tolist() for name, value in taken.items()} == {
        name: value.tolist() for name, value in GATHERED.items()
    }
    before, gone = MOVING, SMALL.gather(MOVING, GATHERED)
    wanted = backend.apply(PARENT, weights, X, mask, before)
    found = backend.apply(SMALL.net, smaller, X, GATHERED, gone)
    np.testing.assert_allclose(backend.to_numpy(found), backend.to_numpy(wanted), rtol=1e-12, atol=1e-12)
    several = {"inside": np.stack([INSIDE] * 2), "out": OUT}
    gathered = {"inside": np.stack([GATHERED["inside"]] * 2), "out": OUT}
    fitness = backend.to_numpy(backend.score(PARENT, weights, several, X, Y))
    assert fitness[0] != fitness[1]
    by_masks = backend.score(SMALL.net, smaller, gathered, X, Y)
    np.testing.assert_allclose(backend.to_numpy(by_masks), fitness, rtol=1e-12)
    by_population = backend.score(SMALL.net, smaller, wc.backend.Population(2, None, None, None, gathered), X, Y)
    np.testing.assert_array_equal(backend.to_numpy(by_population), backend.to_numpy(by_masks))
    large, small = wc.Subnetwork(PARENT, weights, mask, before), wc.Subnetwork(SMALL.net, smaller, GATHERED, gone)
    one, other = (wc.evaluate(network, (X, Y), backend=backend) for network in (large, small))
    assert other.loss == pytest.approx(one.loss, rel=1e-12)
    config = wc.TrainConfig(epochs=3, batch_size=2, learning_rate=0.1)
    parent, trained = (
        wc.train(network, (X, Y), backend=backend, key=wc.key(1), config=config) for network in (large, small)
    )
    np.testing.assert_array_equal(trained.losses, parent.losses, "the parent is compacted, to the same network")
    assert trained.network.net == SMALL.net
    trees = (
        (parent.network.params, trained.network.params),
        (parent.network.moving, trained.network.moving),
        (parent.velocity, trained.velocity),
    )
    for of_parent, of_small in trees:
        kept = SMALL.gather(of_parent, GATHERED)
        assert set(of_small) == set(kept)
        for path, value in kept.items():
            np.testing.assert_array_equal(of_small[path], value, path)


def test_a_subnetwork_is_compacted_as_its_parts_are(weights: Any, smaller: Any) -> None:
    large = wc.Subnetwork(PARENT, weights, {"inside": INSIDE, "out": OUT[0]}, MOVING)
    small = large.compact()
    assert small.net == SMALL.net
    assert small.mask is not None
    assert small.statistics is not None
    for found, wanted in (
        (small.params, smaller),
        (small.mask, GATHERED),
        (small.statistics, SMALL.gather(MOVING, GATHERED)),
    ):
        assert set(found) == set(wanted)
        for path, value in wanted.items():
            np.testing.assert_array_equal(found[path], value, path)
    assert small.compact() is small, "compacted already"


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            None,
            "masks must have the indices of the network's Gather layers ['inside']; got none. Pass what gather_masks "
            "of its CompactedNetwork returns.",
        ),
        (
            {"out": OUT[0]},
            "masks must have exactly the network's sites ['out'] and the indices of its Gather layers ['inside']; got "
            "['out'].",
        ),
        (
            {**GATHERED, "inside": INSIDE},
            "the indices of Gather layer 'inside' must have shape (3,); got (5,).",
        ),
        (
            {**GATHERED, "inside": np.asarray([True, False, True])},
            "the indices of Gather layer 'inside' must be integers; got bool.",
        ),
        (
            {**GATHERED, "inside": np.asarray([0.0, 2.0, 3.0])},
            "the indices of Gather layer 'inside' must be integers; got float64.",
        ),
        (
            {**GATHERED, "inside": np.asarray([0, 2, 5])},
            "the indices of Gather layer 'inside' must be in [0, 5); got values from 0 to 5.",
        ),
        (
            {**GATHERED, "inside": np.asarray([-1, 2, 3])},
            "the indices of Gather layer 'inside' must be in [0, 5); got values from -1 to 3.",
        ),
        (
            {**GATHERED, "out": OUT[0].astype(np.int32)},
            "the mask of site 'out' must be of booleans, True where a node is kept; got int32.",
        ),
    ],
)
def test_what_a_compacted_network_takes_is_checked_before_any_work(
    backend: wc.backend.Backend, smaller: Any, masks: Any, message: str
) -> None:
    idle, statistics = dataclasses.replace(backend, predict=never), SMALL.gather(MOVING, GATHERED)
    for use in (
        lambda: idle.apply(SMALL.net, smaller, X, masks, statistics),
        lambda: wc.Subnetwork(SMALL.net, smaller, masks, statistics),  # which training and evaluation take
    ):
        with pytest.raises(wc.errors.MaskError) as caught:
            use()
        assert str(caught.value) == message


def test_candidates_of_a_compacted_network_are_checked(backend: wc.backend.Backend, smaller: Any) -> None:
    idle = dataclasses.replace(backend, score_population=never)
    several: dict[str, Any] = {name: np.stack([value] * 2) for name, value in GATHERED.items()}
    keyed = wc.ask_tell.ask(wc.ask_tell.init(wc.key(2), wc.mask_space(SMALL.net), 0.5, wc.SearchConfig(population=4)))
    for candidates, message in (
        (keyed, "masks must have the indices of the network's Gather layers ['inside']"),
        ({**several, "out": OUT[:1]}, "the mask of site 'out' must have shape (candidates, *nodes)"),
        (GATHERED, "the indices of Gather layer 'inside' must have shape (candidates, *nodes) with nodes (3,)"),
        ({**several, "inside": several["inside"] + 3}, "the indices of Gather layer 'inside' must be in [0, 5)"),
    ):
        with pytest.raises(wc.errors.MaskError, match=f"^{re.escape(message)}"):
            idle.score(SMALL.net, smaller, candidates, X, Y)


# What is refused


def test_a_population_needs_sites() -> None:
    backend, plain = wc.load_backend("numpy"), wc.mlp(3, (), 2)
    params = backend.initialise(plain, wc.key(0))
    with pytest.raises(wc.errors.MaskError, match="at least one site"):
        backend.score(plain, params, {}, np.zeros((2, 3)), np.zeros(2, dtype=int))


def test_a_chunk_must_be_positive() -> None:
    backend, net = wc.load_backend("numpy"), wc.mlp(3, (4,), 2)
    masks = backend.sample_masks(wc.key(0), wc.mask_space(net), 0.5, 3)
    with pytest.raises(wc.errors.ConfigError, match="chunk must be an integer of at least 1 or None; got -1"):
        backend.score(
            net, backend.initialise(net, wc.key(0)), masks, np.zeros((2, 3)), np.zeros(2, dtype=int), chunk=-1
        )

"""The methods on the contract: what they draw, what they hand on, what they check."""

import dataclasses
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
    config = wc.SearchConfig(sparsity=0.5, population=4)
    population = wc.ask_tell.ask(wc.ask_tell.init(wc.key(2), SPACE, config))
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
        wc.errors.ConfigError, match="fitness must be one of 'negative_cross_entropy', 'accuracy'; got 'f1'"
    ):
        backend.score(NET, params, masks, X, Y, fitness="f1")


def test_initialise_begins_batch_norm_at_scale_1(backend: wc.backend.Backend, normed: Any) -> None:
    np.testing.assert_array_equal(backend.to_numpy(normed["norm/scale"]), np.ones(4))
    np.testing.assert_array_equal(backend.to_numpy(normed["norm/bias"]), np.zeros(4))


# What batch normalisation takes


def test_apply_takes_running_statistics_or_those_before_training(backend: wc.backend.Backend, normed: Any) -> None:
    plain = backend.to_numpy(backend.apply(NORMED, normed, X))
    before = backend.apply(NORMED, normed, X, statistics=wc.nn.initial_statistics(NORMED))
    np.testing.assert_array_equal(backend.to_numpy(before), plain)
    moved = backend.to_numpy(backend.apply(NORMED, normed, X, statistics=STATISTICS))
    assert np.abs(moved - plain).max() > 0.01, "other statistics are another network"
    alone = backend.to_numpy(backend.apply(NORMED, normed, X[:1], statistics=STATISTICS))
    # The other examples of a batch change nothing but the order of sums of 4 terms, at 2^-53.
    np.testing.assert_allclose(alone, moved[:1], rtol=1e-13)


def scored_with(backend: wc.backend.Backend, params: Any, **options: Any) -> Any:
    """What ``score_population`` is given as norm; its other arguments have been checked as ever."""
    seen: list[Any] = []

    def score_population(net: Any, params: Any, norm: Any, population: wc.backend.Population, *rest: Any) -> np.ndarray:
        seen.append(norm)
        return np.zeros(population.size)

    fake = dataclasses.replace(backend, score_population=score_population)
    masks = {"hidden": np.ones((3, 4), dtype=bool)}
    fake.score(NORMED, params, masks, X, Y, **options)
    (norm,) = seen
    return norm


def test_score_hands_on_what_batch_norm_takes(backend: wc.backend.Backend, normed: Any) -> None:
    assert scored_with(backend, normed) is None, "the statistics of the batch"
    given = scored_with(backend, normed, norm=STATISTICS)
    assert set(given) == set(STATISTICS)
    for path, value in STATISTICS.items():
        np.testing.assert_array_equal(given[path], value, path)
    given = scored_with(backend, normed, norm=2 * X[:3])
    np.testing.assert_array_equal(given, 2 * X[:3], "a batch of any size")
    whole = scored_with(backend, normed, norm=np.arange(6).reshape(2, 3))
    assert whole.dtype.kind == "f", "inputs, made floats as all inputs are"


def test_the_statistics_of_the_scored_batch_itself_are_those_of_the_batch(
    backend: wc.backend.Backend, normed: Any
) -> None:
    masks = backend.sample_masks(wc.key(4), wc.mask_space(NORMED), sparsity=0.5, count=3)
    by_batch = backend.to_numpy(backend.score(NORMED, normed, masks, X, Y))
    recalibrated = backend.to_numpy(backend.score(NORMED, normed, masks, X, Y, norm=X))
    np.testing.assert_allclose(recalibrated, by_batch, rtol=1e-12)  # sums of 5 examples, in any order, at 2^-53
    hidden = X @ np.asarray(normed["first/kernel"])
    moments = {"norm/mean": hidden.mean(axis=0), "norm/variance": hidden.var(axis=0)}
    fixed = backend.to_numpy(backend.score(NORMED, normed, masks, X, Y, norm=moments))
    np.testing.assert_allclose(fixed, by_batch, rtol=1e-12)


@pytest.mark.parametrize(
    ("norm", "error", "message"),
    [
        (
            {"norm/mean": STATISTICS["norm/mean"]},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/variance' must have shape (4,); got nothing.",
        ),
        (
            {**STATISTICS, "norm/mean": np.zeros(3)},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/mean' must have shape (4,); got (3,).",
        ),
        (
            {},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/mean' must have shape (4,); got nothing.",
        ),
        (
            {**STATISTICS, "norm/scale": np.ones(4)},
            wc.errors.ConfigError,
            "statistics must be those of the network: 'norm/scale' must not be there; got (4,).",
        ),
        (X[:, :2], wc.errors.DataError, "inputs must have shape (examples, *(3,)) and not be empty; got (5, 2)."),
        (X[0], wc.errors.DataError, "inputs must have shape (examples, *(3,)) and not be empty; got (3,)."),
        (X[:0], wc.errors.DataError, "inputs must have shape (examples, *(3,)) and not be empty; got (0, 3)."),
        (X * np.nan, wc.errors.DataError, "inputs must be finite; example 0 has NaN or infinity."),
    ],
)
def test_score_checks_what_batch_norm_takes(
    backend: wc.backend.Backend, normed: Any, norm: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        scored_with(backend, normed, norm=norm)
    assert str(caught.value) == message


def test_candidates_that_draw_their_own_weights_need_specs(backend: wc.backend.Backend, params: Any) -> None:
    population = wc.ask_tell.ask(
        wc.ask_tell.init(wc.key(2), SPACE, wc.SearchConfig(sparsity=0.5, population=4, weights="per_candidate"))
    )
    with pytest.raises(wc.errors.ConfigError) as caught:
        backend.score(NET, params, population, X, Y)
    assert str(caught.value) == (
        "candidates with weight keys draw their own weights: params must be specs (wc.nn.he_normal)."
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
    wanted, found = backend.apply(PARENT, weights, X, mask), backend.apply(SMALL.net, smaller, X, GATHERED)
    np.testing.assert_allclose(backend.to_numpy(found), backend.to_numpy(wanted), rtol=1e-12, atol=1e-12)
    several = {"inside": np.stack([INSIDE] * 2), "out": OUT}
    gathered = {"inside": np.stack([GATHERED["inside"]] * 2), "out": OUT}
    fitness = backend.to_numpy(backend.score(PARENT, weights, several, X, Y))
    assert fitness[0] != fitness[1]
    by_masks = backend.score(SMALL.net, smaller, gathered, X, Y)
    np.testing.assert_allclose(backend.to_numpy(by_masks), fitness, rtol=1e-12)
    by_population = backend.score(SMALL.net, smaller, wc.backend.Population(2, None, None, None, gathered), X, Y)
    np.testing.assert_array_equal(backend.to_numpy(by_population), backend.to_numpy(by_masks))
    one = wc.evaluate(PARENT, weights, mask, (X, Y), backend=backend)
    small = wc.evaluate(SMALL.net, smaller, GATHERED, (X, Y), backend=backend)
    assert small.loss == pytest.approx(one.loss, rel=1e-12)
    config = wc.TrainConfig(epochs=3, batch_size=2, learning_rate=0.1)
    parent = wc.train(PARENT, weights, mask, (X, Y), config, backend=backend, key=wc.key(1))
    trained = wc.train(SMALL.net, smaller, GATHERED, (X, Y), config, backend=backend, key=wc.key(1))
    np.testing.assert_array_equal(trained.losses, parent.losses, "the parent is compacted, to the same network")
    for name in ("params", "statistics", "velocity"):
        for path, value in SMALL.gather(getattr(parent, name), GATHERED).items():
            np.testing.assert_array_equal(getattr(trained, name)[path], value, path)


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            None,
            "masks must have the indices of the network's Gather layers ['inside']; got none. Give what gather_masks "
            "of its Compaction gives.",
        ),
        (
            {"out": OUT[0]},
            "masks must have exactly the network's sites ['out'] and the indices of its Gather layers ['inside']; got "
            "['out'].",
        ),
        (
            {**GATHERED, "inside": INSIDE},
            "the indices of Gather layer 'inside' must have shape (*nodes) with nodes (3,), and as many candidates as "
            "the others; got (5,).",
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
    idle = dataclasses.replace(backend, predict=never, train_init=never, train_epoch=never)
    config = wc.TrainConfig(epochs=1)
    for use in (
        lambda: idle.apply(SMALL.net, smaller, X, masks),
        lambda: wc.evaluate(SMALL.net, smaller, masks, (X, Y), backend=idle),
        lambda: wc.train(SMALL.net, smaller, masks, (X, Y), config, backend=idle, key=wc.key(0)),
    ):
        with pytest.raises(wc.errors.MaskError) as caught:
            use()
        assert str(caught.value) == message


def test_candidates_of_a_compacted_network_are_checked(backend: wc.backend.Backend, smaller: Any) -> None:
    idle = dataclasses.replace(backend, score_population=never)
    several: dict[str, Any] = {name: np.stack([value] * 2) for name, value in GATHERED.items()}
    keyed = wc.ask_tell.ask(
        wc.ask_tell.init(wc.key(2), wc.mask_space(SMALL.net), wc.SearchConfig(sparsity=0.5, population=4))
    )
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
    with pytest.raises(wc.errors.ConfigError, match="chunk must be an integer of at least 1; got -1"):
        backend.score(
            net, backend.initialise(net, wc.key(0)), masks, np.zeros((2, 3)), np.zeros(2, dtype=int), chunk=-1
        )

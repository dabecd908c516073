"""evaluate: accuracy and loss of networks on a split, with the statistics of training."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

import weedout_core as wc

NET = wc.mlp(inputs=2, hidden=(6,), classes=2)
#: With a batch norm: flat, so that the reference is quick.
NORMED = wc.Network(
    (wc.nn.Dense("first", 6), wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("hidden_0"), wc.nn.Dense("logits", 2)),
    (2,),
)
X = np.random.default_rng(5).normal(size=(30, 2))
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
TEST = (X[20:], Y[20:])
MASK = {"hidden_0": np.asarray([True, True, False, True, True, False])}
KEY = wc.key(23)
#: As far from mean 0 and variance 1 as to change every prediction's loss.
STATISTICS = {"norm/mean": np.linspace(-1, 1, 6), "norm/variance": np.linspace(0.5, 4, 6)}


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def params(backend: wc.backend.Backend) -> dict[str, np.ndarray]:
    return {path: np.asarray(value) for path, value in backend.initialise(NET, wc.key(1)).items()}


@pytest.fixture(scope="module")
def normed(backend: wc.backend.Backend) -> dict[str, np.ndarray]:
    return {path: np.asarray(value) for path, value in backend.initialise(NORMED, wc.key(1)).items()}


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


def test_evaluation_against_scipy(backend: wc.backend.Backend, params: Any) -> None:
    logits = backend.to_numpy(backend.apply(NET, params, X, MASK))
    found = wc.evaluate(wc.Subnetwork(NET, params, MASK), (X, Y), backend=backend)
    np.testing.assert_array_equal(found.predictions, np.argmax(logits, axis=-1))
    assert found.accuracy == np.mean(np.argmax(logits, axis=-1) == Y)
    expected = -np.mean(log_softmax(logits, axis=-1)[np.arange(len(Y)), Y])
    assert found.loss == pytest.approx(expected, rel=1e-12)  # 30 terms, each rounded a few times at 2^-53


def test_evaluation_of_several_is_that_of_each(backend: wc.backend.Backend, params: Any) -> None:
    masks = [MASK, {"hidden_0": ~MASK["hidden_0"]}]
    together = wc.evaluate_together([wc.Subnetwork(NET, params, mask) for mask in masks], TEST, backend="numpy")
    for found, mask in zip(together, masks, strict=True):
        alone = wc.evaluate(wc.Subnetwork(NET, params, mask), TEST, backend=backend)
        assert (found.accuracy, found.loss) == (alone.accuracy, alone.loss)


def test_evaluation_without_a_mask_is_the_parents(backend: wc.backend.Backend, params: Any) -> None:
    ones = {"hidden_0": np.ones(6, dtype=bool)}
    parent = wc.evaluate(wc.Subnetwork(NET, params), TEST, backend=backend)
    assert parent.loss == wc.evaluate(wc.Subnetwork(NET, params, ones), TEST, backend=backend).loss


def test_evaluation_takes_the_statistics_of_training(backend: wc.backend.Backend, normed: Any) -> None:
    """A batch norm with running statistics is a shift and a scale, that the first layer may do as well."""
    found = wc.evaluate(wc.Subnetwork(NORMED, normed, MASK, STATISTICS), (X, Y), backend=backend)
    scale = 1 / np.sqrt(STATISTICS["norm/variance"] + 1e-5)
    hidden = (X @ normed["first/kernel"] + normed["first/bias"] - STATISTICS["norm/mean"]) * scale
    logits = np.maximum(hidden, 0) * MASK["hidden_0"] @ normed["logits/kernel"] + normed["logits/bias"]
    expected = -np.mean(log_softmax(logits, axis=-1)[np.arange(len(Y)), Y])
    assert found.loss == pytest.approx(expected, rel=1e-12)  # sums of 6 and 30 terms, rounded at 2^-53
    untrained = wc.Subnetwork(NORMED, normed, MASK, wc.nn.initial_statistics(NORMED))
    assert found.loss != wc.evaluate(untrained, (X, Y), backend=backend).loss


def test_statistics_must_be_given_where_there_is_batch_normalisation(backend: wc.backend.Backend, normed: Any) -> None:
    """What trained weights compute is nothing without the statistics that they were trained to."""
    idle = dataclasses.replace(backend, predict=never)
    for missing in (
        lambda: wc.Subnetwork(NORMED, normed, MASK),
        lambda: wc.Subnetwork(NORMED, normed),
        lambda: idle.apply(NORMED, normed, X, MASK),
        lambda: idle.apply(NORMED, normed, X),
    ):
        with pytest.raises(wc.errors.ConfigError) as caught:
            missing()
        assert str(caught.value) == (
            "the network has batch normalisation, and its statistics must be given: those that training gave "
            "(trained.network.statistics), or wc.nn.initial_statistics(net) for weights that are not trained."
        )


def test_statistics_before_training_are_mean_0_and_variance_1(backend: wc.backend.Backend, normed: Any) -> None:
    before = wc.nn.initial_statistics(NORMED)
    found = wc.evaluate(wc.Subnetwork(NORMED, normed, MASK, before), TEST, backend=backend)
    plain = {"norm/mean": np.zeros(6), "norm/variance": np.ones(6)}
    assert found.loss == wc.evaluate(wc.Subnetwork(NORMED, normed, MASK, plain), TEST, backend=backend).loss


@pytest.mark.parametrize("statistics", [None, {}])
def test_without_batch_normalisation_there_are_no_statistics(
    backend: wc.backend.Backend, params: Any, statistics: Any
) -> None:
    given = wc.Subnetwork(NET, params, MASK, statistics)
    wanted = wc.evaluate(wc.Subnetwork(NET, params, MASK), TEST, backend=backend)
    assert wc.evaluate(given, TEST, backend=backend).loss == wanted.loss
    np.testing.assert_array_equal(
        backend.to_numpy(backend.apply(NET, params, X, MASK, statistics)),
        backend.to_numpy(backend.apply(NET, params, X, MASK)),
    )


def test_each_of_several_networks_has_its_own_statistics(backend: wc.backend.Backend, normed: Any) -> None:
    moving = [STATISTICS, wc.nn.initial_statistics(NORMED)]
    networks = [wc.Subnetwork(NORMED, normed, statistics=statistics) for statistics in moving]
    together = wc.evaluate_together(networks, TEST, backend=backend)
    for found, network in zip(together, networks, strict=True):
        alone = wc.evaluate(network, TEST, backend=backend)
        assert (found.accuracy, found.loss) == (alone.accuracy, alone.loss)
    assert together[0].loss != together[1].loss


def test_statistics_of_another_network_are_an_error(backend: wc.backend.Backend, params: Any, normed: Any) -> None:
    idle = dataclasses.replace(backend, predict=never)
    mean = {"norm/mean": STATISTICS["norm/mean"]}
    cases = [
        (NET, params, STATISTICS, "'norm/mean' must not be there; got (6,)."),
        (NORMED, normed, mean, "'norm/variance' must have shape (6,); got nothing."),
        (NORMED, normed, {}, "'norm/mean' must have shape (6,); got nothing."),
        (NORMED, normed, {**STATISTICS, "norm/mean": np.zeros(5)}, "'norm/mean' must have shape (6,); got (5,)."),
        (NORMED, normed, {**STATISTICS, "norm/scale": np.ones(6)}, "'norm/scale' must not be there; got (6,)."),
    ]
    for net, weights, statistics, message in cases:
        for measure in (
            lambda: wc.Subnetwork(net, weights, MASK, statistics),  # noqa: B023
            lambda: idle.apply(net, weights, X, MASK, statistics),  # noqa: B023
        ):
            with pytest.raises(wc.errors.ConfigError) as caught:
                measure()
            assert str(caught.value) == f"statistics must be those of the network: {message}"

"""The learning phase: schedules, data order, the loop around a backend's epochs, evaluation, and what it refuses."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

import weedout_core as wc

NET = wc.mlp(inputs=2, hidden=(6,), classes=2)
X = np.random.default_rng(5).normal(size=(30, 2))
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
TEST = (X[20:], Y[20:])
MASK = {"hidden_0": np.asarray([True, True, False, True, True, False])}
KEY = wc.key(23)
CONFIG = wc.TrainConfig(epochs=3, batch_size=8, learning_rate=0.1)


@pytest.fixture(scope="module")
def backend() -> wc.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def params(backend: wc.Backend) -> dict[str, np.ndarray]:
    return {path: np.asarray(value) for path, value in backend.initialise(NET, wc.key(1)).items()}


# Schedules, decay, data order


@pytest.mark.parametrize(
    ("config", "steps", "rates"),
    [
        (wc.TrainConfig(epochs=2, learning_rate=0.5, schedule="constant"), 2, [0.5] * 4),
        (
            wc.TrainConfig(epochs=2, learning_rate=1.0, schedule="cosine"),
            2,
            [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2],
        ),
        (
            wc.TrainConfig(epochs=4, learning_rate=1.0, schedule="step", step_epochs=(1, 3), step_factor=0.1),
            2,
            [1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01],
        ),
        (wc.TrainConfig(epochs=2, learning_rate=0.5, schedule="step"), 1, [0.5, 0.5]),
        (wc.TrainConfig(epochs=0), 5, []),
    ],
)
def test_learning_rates_by_hand(config: wc.TrainConfig, steps: int, rates: list[float]) -> None:
    found = wc.learning_rates(config, steps)
    assert found.dtype == np.float64
    # A cosine and two products, each rounded to 2^-53 of values up to 1.
    np.testing.assert_allclose(found, rates, rtol=1e-14, atol=1e-15)


def test_weight_decay_touches_kernels_or_all() -> None:
    weights = wc.decayed_paths(NET, wc.TrainConfig())
    assert weights == {"dense_0/kernel": True, "dense_0/bias": False, "logits/kernel": True, "logits/bias": False}
    assert all(wc.decayed_paths(NET, wc.TrainConfig(decayed="all")).values())


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 60), st.integers(1, 60))
def test_an_epoch_is_a_permutation_cut_into_full_batches(seed: int, epoch: int, examples: int, batch: int) -> None:
    plan = wc.TrainPlan(CONFIG, examples, min(batch, examples), None)
    order = wc.epoch_order(wc.key(seed), epoch, plan)
    assert order.dtype == np.int32
    assert order.shape == (examples // plan.batch_size, plan.batch_size)
    assert len(set(order.ravel().tolist())) == order.size, "no example twice in an epoch"
    words = wc.bits(wc.fold_in(wc.fold_in(wc.key(seed), 3), epoch), examples)  # stream data order is 3
    np.testing.assert_array_equal(order.ravel(), np.argsort(words, kind="stable")[: order.size])


def test_every_epoch_and_every_key_has_its_own_order() -> None:
    plan = wc.TrainPlan(CONFIG, 50, 10, None)
    orders = [wc.epoch_order(wc.key(seed), epoch, plan) for seed in (0, 1) for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4


# The loop


def test_training_learns_and_says_how(backend: wc.Backend, params: Any) -> None:
    seen: list[wc.Epoch] = []
    config = dataclasses.replace(CONFIG, epochs=12)
    trained = wc.train(NET, params, MASK, (X, Y), config, backend=backend, key=KEY, test=TEST, on_epoch=seen.append)
    assert {path: value.shape for path, value in trained.params.items()} == wc.parameter_shapes(NET)
    assert trained.statistics == {}
    assert trained.losses.shape == (12 * 3,), "30 examples make 3 full batches of 8 an epoch"
    assert tuple(seen) == trained.history
    assert [epoch.epoch for epoch in seen] == list(range(1, 13))
    for index, epoch in enumerate(seen):
        assert epoch.loss == pytest.approx(trained.losses[3 * index : 3 * index + 3].mean(), rel=1e-12)
        assert 0 <= epoch.train_accuracy <= 1
        assert (epoch.train_accuracy * 24) % 1 == pytest.approx(0, abs=1e-9), "a count of 24 examples"
    assert seen[-1].loss < 0.5 * seen[0].loss, "the classes are separable: the loss must fall"
    after = wc.evaluate(NET, trained.params, MASK, TEST, backend=backend)
    assert seen[-1].test_accuracy == after.accuracy, "measured after the epoch, with the same mask"


def test_without_a_test_split_there_is_no_test_accuracy(backend: wc.Backend, params: Any) -> None:
    trained = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    assert all(np.isnan(epoch.test_accuracy).all() for epoch in trained.history)


def test_the_test_split_does_not_change_training(backend: wc.Backend, params: Any) -> None:
    without = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    tested = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY, test=TEST)
    np.testing.assert_array_equal(tested.losses, without.losses)


def test_networks_trained_together_are_those_trained_alone(backend: wc.Backend, params: Any) -> None:
    other = {path: np.asarray(value) for path, value in backend.initialise(NET, wc.key(2)).items()}
    masks = [MASK, {"hidden_0": ~MASK["hidden_0"]}]
    together = wc.train_together(
        NET, [params, other], masks, (X, Y), CONFIG, backend=backend, keys=[KEY, wc.key(4)], test=TEST
    )
    pairs = [(params, KEY), (other, wc.key(4))]
    for index, (start, key) in enumerate(pairs):
        alone = wc.train(NET, start, masks[index], (X, Y), CONFIG, backend=backend, key=key, test=TEST)
        np.testing.assert_array_equal(together.losses[index], alone.losses)
        for path, value in alone.params.items():
            np.testing.assert_array_equal(together.params[path][index], value)
        for one, epoch in zip(alone.history, together.history, strict=True):
            assert np.ravel(one.test_accuracy)[0] == epoch.test_accuracy[index]
            assert np.ravel(one.loss)[0] == epoch.loss[index]


def test_the_key_decides_the_order_of_the_data_and_nothing_else(backend: wc.Backend, params: Any) -> None:
    whole = dataclasses.replace(CONFIG, batch_size=30)
    one, other = (
        wc.train(NET, params, MASK, (X, Y), whole, backend=backend, key=wc.key(seed)).losses for seed in (0, 1)
    )
    # One batch holds all examples, so only the order of a sum of 30 terms differs: a few 2^-53 a step, grown by three
    # steps of SGD at a rate of 0.1.
    np.testing.assert_allclose(one, other, rtol=1e-12)
    small = [wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=wc.key(seed)).losses for seed in (0, 1)]
    assert not np.allclose(small[0], small[1], rtol=1e-3)


def test_a_batch_larger_than_the_split_is_the_split(backend: wc.Backend, params: Any) -> None:
    config = dataclasses.replace(CONFIG, batch_size=1000)
    assert wc.train(NET, params, MASK, (X, Y), config, backend=backend, key=KEY).losses.shape == (3,)


def test_no_epochs_leave_the_weights_as_they_are(backend: wc.Backend, params: Any) -> None:
    trained = wc.train(
        NET, params, MASK, (X, Y), dataclasses.replace(CONFIG, epochs=0), backend=backend, key=KEY, test=TEST
    )
    assert (trained.history, trained.losses.shape) == ((), (0,))
    for path, value in trained.params.items():
        np.testing.assert_array_equal(value, params[path])


def test_training_leaves_what_it_is_given_alone(backend: wc.Backend, params: Any) -> None:
    before = {path: value.copy() for path, value in params.items()}
    frozen = {path: value.copy() for path, value in params.items()}
    for value in frozen.values():
        value.flags.writeable = False
    wc.train(NET, frozen, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    for path, value in before.items():
        np.testing.assert_array_equal(frozen[path], value)


def test_no_mask_is_the_parent(backend: wc.Backend, params: Any) -> None:
    ones = {"hidden_0": np.ones(6, dtype=bool)}
    parent = wc.train(NET, params, None, (X, Y), CONFIG, backend=backend, key=KEY, test=TEST)
    masked = wc.train(NET, params, ones, (X, Y), CONFIG, backend=backend, key=KEY, test=TEST)
    np.testing.assert_array_equal(parent.losses, masked.losses)


# Evaluation


def test_evaluation_against_scipy(backend: wc.Backend, params: Any) -> None:
    logits = backend.to_numpy(backend.apply(NET, params, X, MASK))
    found = wc.evaluate(NET, params, MASK, (X, Y), backend=backend)
    np.testing.assert_array_equal(found.predictions, np.argmax(logits, axis=-1))
    assert found.accuracy == np.mean(np.argmax(logits, axis=-1) == Y)
    expected = -np.mean(log_softmax(logits, axis=-1)[np.arange(len(Y)), Y])
    assert found.loss == pytest.approx(expected, rel=1e-12)  # 30 terms, each rounded a few times at 2^-53


def test_evaluation_of_several_is_that_of_each(backend: wc.Backend, params: Any) -> None:
    masks = [MASK, {"hidden_0": ~MASK["hidden_0"]}]
    together = wc.evaluate_together(NET, [params, params], masks, TEST, backend="numpy")
    for found, mask in zip(together, masks, strict=True):
        alone = wc.evaluate(NET, params, mask, TEST, backend=backend)
        assert (found.accuracy, found.loss) == (alone.accuracy, alone.loss)


def test_evaluation_without_a_mask_is_the_parents(backend: wc.Backend, params: Any) -> None:
    ones = {"hidden_0": np.ones(6, dtype=bool)}
    parent = wc.evaluate(NET, params, None, TEST, backend=backend)
    assert parent.loss == wc.evaluate(NET, params, ones, TEST, backend=backend).loss


def test_evaluation_takes_the_statistics_of_training(backend: wc.Backend, params: Any) -> None:
    trained = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    with_them = wc.evaluate(NET, trained.params, MASK, TEST, backend=backend, statistics=trained.statistics)
    assert with_them.loss == wc.evaluate(NET, trained.params, MASK, TEST, backend=backend).loss


# What is refused


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


def wrong_params(params: Any) -> list[Any]:
    return [
        {path: value for path, value in params.items() if path != "logits/bias"},
        {**params, "logits/scale": np.zeros(2)},
        {**params, "logits/kernel": params["logits/kernel"].T},
        {},
    ]


@pytest.mark.parametrize("case", range(4))
def test_params_of_another_network_are_an_error(backend: wc.Backend, params: Any, case: int) -> None:
    wrong = wrong_params(params)[case]
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.ConfigError, match=r"params must be those of the network, \{'dense_0/kernel': "):
        wc.train(NET, wrong, MASK, (X, Y), CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.ConfigError, match=r"params must be those of the network, \{'dense_0/kernel': "):
        wc.evaluate(NET, wrong, MASK, (X, Y), backend=idle)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"hidden_0": np.ones(5, dtype=bool)}, r"the mask of site 'hidden_0' must have shape \(\*nodes\) with nodes"),
        ({"hidden_0": np.ones((1, 6), dtype=bool)}, r"the mask of site 'hidden_0' must have shape"),
        ({"hidden_1": np.ones(6, dtype=bool)}, r"masks must have exactly the network's sites \['hidden_0'\]"),
        (
            {"hidden_0": np.ones(6, dtype=np.int32)},
            "the mask of site 'hidden_0' must be of booleans",
        ),
        ({}, r"masks must have exactly the network's sites \['hidden_0'\]; got \[\]"),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error(backend: wc.Backend, params: Any, mask: Any, message: str) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.MaskError, match=message):
        wc.train(NET, params, mask, (X, Y), CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.MaskError, match=message):
        wc.evaluate(NET, params, mask, (X, Y), backend=idle)


def test_data_that_does_not_fit_is_an_error(backend: wc.Backend, params: Any) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.DataError, match="inputs must have shape"):
        wc.train(NET, params, MASK, (X[:, :1], Y), CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.DataError, match=r"labels must be in \[0, 2\)"):
        wc.train(NET, params, MASK, (X, Y), CONFIG, backend=idle, key=KEY, test=(X, Y + 1))
    with pytest.raises(wc.DataError, match="inputs must be finite"):
        wc.evaluate(NET, params, MASK, (X * np.inf, Y), backend=idle)


def test_params_masks_and_keys_must_be_as_many(backend: wc.Backend, params: Any) -> None:
    message = "params, masks and keys must have one entry a network; got 2 and 1"
    with pytest.raises(wc.ConfigError, match=message):
        wc.train_together(NET, [params] * 2, [MASK], (X, Y), CONFIG, backend=backend, keys=[KEY] * 2)
    with pytest.raises(wc.ConfigError, match=message):
        wc.train_together(NET, [params] * 2, [MASK] * 2, (X, Y), CONFIG, backend=backend, keys=[KEY])
    with pytest.raises(wc.ConfigError, match=message):
        wc.evaluate_together(NET, [params] * 2, [MASK], TEST, backend=backend)


def test_an_unknown_backend_is_an_error(params: Any) -> None:
    with pytest.raises(wc.BackendError, match="unknown backend 'nmpy'"):
        wc.train(NET, params, MASK, (X, Y), CONFIG, backend="nmpy", key=KEY)
    with pytest.raises(wc.BackendError, match="unknown backend 'nmpy'"):
        wc.evaluate(NET, params, MASK, (X, Y), backend="nmpy")

"""The learning phase: the loop around a backend's epochs, and what it refuses."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

NET = wc.mlp(inputs=2, hidden=(6,), classes=2)
X = np.random.default_rng(5).normal(size=(30, 2))
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
TEST = (X[20:], Y[20:])
MASK = {"hidden_0": np.asarray([True, True, False, True, True, False])}
KEY = wc.key(23)
CONFIG = wc.TrainConfig(epochs=3, batch_size=8, learning_rate=0.1)


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def params(backend: wc.backend.Backend) -> dict[str, np.ndarray]:
    return {path: np.asarray(value) for path, value in backend.initialise(NET, wc.key(1)).items()}


# The loop


def test_training_learns_and_says_how(backend: wc.backend.Backend, params: Any) -> None:
    seen: list[wc.Epoch] = []
    config = dataclasses.replace(CONFIG, epochs=12)
    trained = wc.train(NET, params, MASK, (X, Y), config, backend=backend, key=KEY, test=TEST, on_epoch=seen.append)
    assert {path: value.shape for path, value in trained.params.items()} == wc.nn.parameter_shapes(NET)
    assert {path: value.shape for path, value in trained.velocity.items()} == wc.nn.parameter_shapes(NET)
    assert trained.statistics == {}, "no batch norm, nothing that moves beside the weights"
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


def test_without_a_test_split_there_is_no_test_accuracy(backend: wc.backend.Backend, params: Any) -> None:
    trained = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    assert all(np.isnan(epoch.test_accuracy).all() for epoch in trained.history)


def test_the_test_split_does_not_change_training(backend: wc.backend.Backend, params: Any) -> None:
    without = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    tested = wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=KEY, test=TEST)
    np.testing.assert_array_equal(tested.losses, without.losses)


def test_networks_trained_together_are_those_trained_alone(backend: wc.backend.Backend, params: Any) -> None:
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


def test_the_key_decides_the_order_of_the_data_and_nothing_else(backend: wc.backend.Backend, params: Any) -> None:
    whole = dataclasses.replace(CONFIG, batch_size=30)
    one, other = (
        wc.train(NET, params, MASK, (X, Y), whole, backend=backend, key=wc.key(seed)).losses for seed in (0, 1)
    )
    # One batch holds all examples, so only the order of a sum of 30 terms differs: a few 2^-53 a step, grown by three
    # steps of SGD at a rate of 0.1.
    np.testing.assert_allclose(one, other, rtol=1e-12)
    small = [wc.train(NET, params, MASK, (X, Y), CONFIG, backend=backend, key=wc.key(seed)).losses for seed in (0, 1)]
    assert not np.allclose(small[0], small[1], rtol=1e-3)


def test_a_batch_larger_than_the_split_is_the_split(backend: wc.backend.Backend, params: Any) -> None:
    config = dataclasses.replace(CONFIG, batch_size=1024)
    assert wc.train(NET, params, MASK, (X, Y), config, backend=backend, key=KEY).losses.shape == (3,)


def test_no_epochs_leave_the_weights_as_they_are(backend: wc.backend.Backend, params: Any) -> None:
    trained = wc.train(
        NET, params, MASK, (X, Y), dataclasses.replace(CONFIG, epochs=0), backend=backend, key=KEY, test=TEST
    )
    assert (trained.history, trained.losses.shape) == ((), (0,))
    for path, value in trained.params.items():
        np.testing.assert_array_equal(value, params[path])


def test_training_leaves_what_it_is_given_alone(backend: wc.backend.Backend, params: Any) -> None:
    before = {path: value.copy() for path, value in params.items()}
    frozen = {path: value.copy() for path, value in params.items()}
    for value in frozen.values():
        value.flags.writeable = False
    wc.train(NET, frozen, MASK, (X, Y), CONFIG, backend=backend, key=KEY)
    for path, value in before.items():
        np.testing.assert_array_equal(frozen[path], value)


def test_no_mask_is_the_parent(backend: wc.backend.Backend, params: Any) -> None:
    ones = {"hidden_0": np.ones(6, dtype=bool)}
    parent = wc.train(NET, params, None, (X, Y), CONFIG, backend=backend, key=KEY, test=TEST)
    masked = wc.train(NET, params, ones, (X, Y), CONFIG, backend=backend, key=KEY, test=TEST)
    np.testing.assert_array_equal(parent.losses, masked.losses)


def test_a_backend_is_told_the_plan_and_the_batches_of_each_epoch(backend: wc.backend.Backend) -> None:
    seen: list[wc.backend.Batches] = []

    def train_epoch(
        net: Any, plan: wc.backend.TrainPlan, state: wc.backend.TrainState, masks: Any, x: Any, y: Any, batches: Any
    ) -> Any:
        assert plan == wc.backend.train_plan(config, 30)
        seen.append(batches)
        zeros = np.zeros((2, plan.steps))
        return state._replace(epoch=state.epoch + 1), wc.backend.EpochResult(zeros, zeros)

    net, config = wc.mlp((3, 3, 1), (4,), 2), dataclasses.replace(CONFIG, augmentation="crop_flip")
    data, params = (np.zeros((30, 3, 3, 1)), np.zeros(30, dtype=int)), backend.initialise(net, KEY)
    fake, keys = dataclasses.replace(backend, train_epoch=train_epoch), [KEY, wc.key(4)]
    wc.train_together(net, [params] * 2, None, data, config, backend=fake, keys=keys)
    assert len(seen) == 3
    for epoch, batches in enumerate(seen):
        expected = wc.backend.epoch_batches(keys, epoch, wc.backend.train_plan(config, 30))
        np.testing.assert_array_equal(batches.order, expected.order)
        np.testing.assert_array_equal(batches.crops, expected.crops)


def test_one_of_several_and_back(backend: wc.backend.Backend, params: Any) -> None:
    together = wc.train_together(NET, [params] * 2, None, (X, Y), CONFIG, backend=backend, keys=[KEY, wc.key(4)])
    one = together.one(1)
    assert one.losses.shape == (9,)
    assert one.history == together.history, "the history stays that of all"
    for name in ("params", "statistics", "velocity"):
        tree, all_of_them = getattr(one, name), getattr(together, name)
        assert set(tree) == set(all_of_them)
        for path, value in tree.items():
            np.testing.assert_array_equal(value, all_of_them[path][1])
            np.testing.assert_array_equal(getattr(one.many(), name)[path], all_of_them[path][1:2])
    np.testing.assert_array_equal(one.many().losses, together.losses[1:2])


# What is refused


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.pop("logits/bias"), r"'logits/bias' must have shape \(2,\); got nothing\."),
        (lambda tree: tree.update({"logits/scale": np.zeros(2)}), r"'logits/scale' must not be there; got \(2,\)\."),
        (
            lambda tree: tree.update({"logits/kernel": np.zeros((2, 6))}),
            r"'logits/kernel' must have shape \(6, 2\); got \(2, 6\)\.",
        ),
        (lambda tree: tree.clear(), r"'dense_0/kernel' must have shape \(2, 6\); got nothing\."),
    ],
)
def test_params_of_another_network_are_an_error(
    backend: wc.backend.Backend, params: Any, change: Callable[[Any], None], message: str
) -> None:
    wrong = dict(params)
    change(wrong)
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.errors.ConfigError, match=f"^params must be those of the network: {message}$"):
        wc.train(NET, wrong, MASK, (X, Y), CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.errors.ConfigError, match=f"^params must be those of the network: {message}$"):
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
def test_a_mask_that_does_not_fit_is_an_error(
    backend: wc.backend.Backend, params: Any, mask: Any, message: str
) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.errors.MaskError, match=message):
        wc.train(NET, params, mask, (X, Y), CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.errors.MaskError, match=message):
        wc.evaluate(NET, params, mask, (X, Y), backend=idle)


def test_data_that_does_not_fit_is_an_error(backend: wc.backend.Backend, params: Any) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.errors.DataError, match="inputs must have shape"):
        wc.train(NET, params, MASK, (X[:, :1], Y), CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.errors.DataError, match=r"labels must be in \[0, 2\)"):
        wc.train(NET, params, MASK, (X, Y), CONFIG, backend=idle, key=KEY, test=(X, Y + 1))
    with pytest.raises(wc.errors.DataError, match="inputs must be finite"):
        wc.evaluate(NET, params, MASK, (X * np.inf, Y), backend=idle)


def test_augmentation_of_flat_inputs_is_an_error_before_any_work(backend: wc.backend.Backend, params: Any) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, asarray=never)
    config = dataclasses.replace(CONFIG, augmentation="crop_flip")
    with pytest.raises(wc.errors.ConfigError) as caught:
        wc.train(NET, params, MASK, (X, Y), config, backend=idle, key=KEY)
    assert str(caught.value) == (
        "augmentation needs images (height, width, channels); the network's inputs have shape (2,)."
    )


def test_params_masks_and_keys_must_be_as_many(backend: wc.backend.Backend, params: Any) -> None:
    message = "params, masks, keys and statistics must have one entry a network; got 2 and 1"
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.train_together(NET, [params] * 2, [MASK], (X, Y), CONFIG, backend=backend, keys=[KEY] * 2)
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.train_together(NET, [params] * 2, [MASK] * 2, (X, Y), CONFIG, backend=backend, keys=[KEY])
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.evaluate_together(NET, [params] * 2, [MASK], TEST, backend=backend)


def test_an_unknown_backend_is_an_error(params: Any) -> None:
    with pytest.raises(wc.errors.BackendError, match="unknown backend 'nmpy'"):
        wc.train(NET, params, MASK, (X, Y), CONFIG, backend="nmpy", key=KEY)
    with pytest.raises(wc.errors.BackendError, match="unknown backend 'nmpy'"):
        wc.evaluate(NET, params, MASK, (X, Y), backend="nmpy")

"""The learning phase: the loop around a backend's epochs, and what it refuses."""

import dataclasses
import math
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


@pytest.fixture(scope="module")
def network(params: dict[str, np.ndarray]) -> wc.Subnetwork:
    return wc.Subnetwork(NET, params, MASK)


# The loop


def test_training_learns_and_says_how(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    seen: list[wc.Epoch] = []
    config = dataclasses.replace(CONFIG, epochs=12)
    trained = wc.train(network, (X, Y), backend=backend, key=KEY, config=config, test=TEST, on_epoch=seen.append)
    assert {path: value.shape for path, value in trained.network.params.items()} == wc.nn.parameter_shapes(NET)
    assert {path: value.shape for path, value in trained.velocity.items()} == wc.nn.parameter_shapes(NET)
    assert trained.network.net == NET
    assert trained.network.statistics is None, "no batch norm, nothing that moves beside the weights"
    assert trained.network.mask is not None
    np.testing.assert_array_equal(trained.network.mask["hidden_0"], MASK["hidden_0"])
    assert trained.losses.shape == (12 * 3,), "30 examples make 3 full batches of 8 an epoch"
    assert tuple(seen) == trained.history
    assert [epoch.epoch for epoch in seen] == list(range(1, 13))
    for index, epoch in enumerate(seen):
        assert epoch.loss == pytest.approx(trained.losses[3 * index : 3 * index + 3].mean(), rel=1e-12)
        assert 0 <= epoch.train_accuracy <= 1
        assert (epoch.train_accuracy * 24) % 1 == pytest.approx(0, abs=1e-9), "a count of 24 examples"
    assert seen[-1].loss < 0.5 * seen[0].loss, "the classes are separable: the loss must fall"
    after = wc.evaluate(trained.network, TEST, backend=backend)
    assert seen[-1].test_accuracy == after.accuracy, "measured after the epoch, with the same mask"


def test_without_a_test_split_there_is_no_test_accuracy(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    trained = wc.train(network, (X, Y), config=CONFIG, backend=backend, key=KEY)
    assert all(math.isnan(epoch.test_accuracy) for epoch in trained.history)


def test_the_test_split_does_not_change_training(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    without = wc.train(network, (X, Y), config=CONFIG, backend=backend, key=KEY)
    tested = wc.train(network, (X, Y), config=CONFIG, backend=backend, key=KEY, test=TEST)
    np.testing.assert_array_equal(tested.losses, without.losses)


def test_networks_trained_together_are_those_trained_alone(
    backend: wc.backend.Backend, params: Any, network: wc.Subnetwork
) -> None:
    other = {path: np.asarray(value) for path, value in backend.initialise(NET, wc.key(2)).items()}
    networks = [wc.Subnetwork(NET, params, MASK), wc.Subnetwork(NET, other, {"hidden_0": ~MASK["hidden_0"]})]
    keys, told = [KEY, wc.key(4)], list[tuple[wc.Epoch, ...]]()
    together = wc.train_together(
        networks, (X, Y), backend=backend, keys=keys, config=CONFIG, test=TEST, on_epoch=told.append
    )
    assert len(together) == 2
    assert told == list(zip(*(trained.history for trained in together), strict=True)), "each network's epoch, in order"
    for network, key, found in zip(networks, keys, together, strict=True):
        alone = wc.train(network, (X, Y), backend=backend, key=key, config=CONFIG, test=TEST)
        np.testing.assert_array_equal(found.losses, alone.losses)
        for tree, wanted in ((found.network.params, alone.network.params), (found.velocity, alone.velocity)):
            assert set(tree) == set(wanted)
            for path, value in wanted.items():
                np.testing.assert_array_equal(tree[path], value)
        assert found.network.mask is not None
        assert network.mask is not None
        np.testing.assert_array_equal(found.network.mask["hidden_0"], network.mask["hidden_0"])
        assert found.history == alone.history


def test_the_key_decides_the_order_of_the_data_and_nothing_else(
    backend: wc.backend.Backend, network: wc.Subnetwork
) -> None:
    whole = dataclasses.replace(CONFIG, batch_size=30)
    one, other = (wc.train(network, (X, Y), config=whole, backend=backend, key=wc.key(seed)).losses for seed in (0, 1))
    # One batch holds all examples, so only the order of a sum of 30 terms differs: a few 2^-53 a step, grown by three
    # steps of SGD at a rate of 0.1.
    np.testing.assert_allclose(one, other, rtol=1e-12)
    small = [wc.train(network, (X, Y), config=CONFIG, backend=backend, key=wc.key(seed)).losses for seed in (0, 1)]
    assert not np.allclose(small[0], small[1], rtol=1e-3)


def test_a_batch_larger_than_the_split_is_the_split(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    config = dataclasses.replace(CONFIG, batch_size=1024)
    assert wc.train(network, (X, Y), config=config, backend=backend, key=KEY).losses.shape == (3,)


def test_no_epochs_leave_the_weights_as_they_are(
    backend: wc.backend.Backend, params: Any, network: wc.Subnetwork
) -> None:
    trained = wc.train(
        network, (X, Y), config=dataclasses.replace(CONFIG, epochs=0), backend=backend, key=KEY, test=TEST
    )
    assert (trained.history, trained.losses.shape) == ((), (0,))
    for path, value in trained.network.params.items():
        np.testing.assert_array_equal(value, params[path])


def test_training_leaves_what_it_is_given_alone(backend: wc.backend.Backend, params: Any) -> None:
    before = {path: value.copy() for path, value in params.items()}
    frozen = {path: value.copy() for path, value in params.items()}
    for value in frozen.values():
        value.flags.writeable = False
    wc.train(wc.Subnetwork(NET, frozen, MASK), (X, Y), config=CONFIG, backend=backend, key=KEY)
    for path, value in before.items():
        np.testing.assert_array_equal(frozen[path], value)


def test_no_mask_is_the_parent(backend: wc.backend.Backend, params: Any) -> None:
    ones = {"hidden_0": np.ones(6, dtype=bool)}
    parent = wc.train(wc.Subnetwork(NET, params), (X, Y), config=CONFIG, backend=backend, key=KEY, test=TEST)
    masked = wc.train(wc.Subnetwork(NET, params, ones), (X, Y), config=CONFIG, backend=backend, key=KEY, test=TEST)
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
    data, network = (np.zeros((30, 3, 3, 1)), np.zeros(30, dtype=int)), wc.Subnetwork(net, backend.initialise(net, KEY))
    fake, keys = dataclasses.replace(backend, train_epoch=train_epoch), [KEY, wc.key(4)]
    wc.train_together([network] * 2, data, backend=fake, keys=keys, config=config)
    assert len(seen) == 3
    for epoch, batches in enumerate(seen):
        expected = wc.backend.epoch_batches(keys, epoch, wc.backend.train_plan(config, 30))
        np.testing.assert_array_equal(batches.order, expected.order)
        np.testing.assert_array_equal(batches.crops, expected.crops)


def test_each_of_several_is_a_training_of_its_own(backend: wc.backend.Backend, params: Any) -> None:
    network = wc.Subnetwork(NET, params)
    together = wc.train_together([network] * 2, (X, Y), backend=backend, keys=[KEY, wc.key(4)], config=CONFIG)
    shapes = wc.nn.parameter_shapes(NET)
    for one in together:
        assert one.losses.shape == (9,)
        assert one.losses.dtype == np.float64
        assert [epoch.epoch for epoch in one.history] == [1, 2, 3]
        assert all(type(value) is float for epoch in one.history for value in epoch[1:-2])
        assert all(type(epoch.not_finite) is int for epoch in one.history)
        assert (one.network.net, one.network.mask, one.network.statistics) == (NET, None, None)
        for tree in (one.network.params, one.velocity):
            assert {path: value.shape for path, value in tree.items()} == shapes
    first, second = together
    assert not np.array_equal(first.losses, second.losses), "the keys differ"
    for mine, its in ((first.network.params, second.network.params), (first.velocity, second.velocity)):
        assert all(not np.array_equal(mine[path], its[path]) for path in shapes)
    for trained, key in zip(together, (KEY, wc.key(4)), strict=True):
        again = wc.train_together([network], (X, Y), backend=backend, keys=[key], config=CONFIG)
        assert len(again) == 1
        np.testing.assert_array_equal(again[0].losses, trained.losses)


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
            r"'logits/kernel' must have shape \(6, 2\); got \(2, 6\)\. The outputs come first here: transpose it\.",
        ),
        (lambda tree: tree.clear(), r"'dense_0/kernel' must have shape \(2, 6\); got nothing\."),
    ],
)
def test_params_of_another_network_are_an_error(params: Any, change: Callable[[Any], None], message: str) -> None:
    wrong = dict(params)
    change(wrong)
    with pytest.raises(wc.errors.ConfigError, match=f"^params must be those of the network: {message}$"):
        wc.Subnetwork(NET, wrong, MASK)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"hidden_0": np.ones(5, dtype=bool)}, r"the mask of site 'hidden_0' must have shape \(6,\); got \(5,\)\.$"),
        ({"hidden_0": np.ones((1, 6), dtype=bool)}, r"the mask of site 'hidden_0' must have shape"),
        ({"hidden_1": np.ones(6, dtype=bool)}, r"masks must have exactly the network's sites \['hidden_0'\]"),
        (
            {"hidden_0": np.ones(6, dtype=np.int32)},
            "the mask of site 'hidden_0' must be of booleans",
        ),
        ({}, r"masks must have exactly the network's sites \['hidden_0'\]; got \[\]"),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error(params: Any, mask: Any, message: str) -> None:
    with pytest.raises(wc.errors.MaskError, match=message):
        wc.Subnetwork(NET, params, mask)


def test_data_that_does_not_fit_is_an_error(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never)
    with pytest.raises(wc.errors.DataError, match="inputs must have shape"):
        wc.train(network, (X[:, :1], Y), config=CONFIG, backend=idle, key=KEY)
    with pytest.raises(wc.errors.DataError, match=r"labels must be in \[0, 2\)"):
        wc.train(network, (X, Y), config=CONFIG, backend=idle, key=KEY, test=(X, Y + 1))
    with pytest.raises(wc.errors.DataError, match="inputs must be finite"):
        wc.evaluate(network, (X * np.inf, Y), backend=idle)


def test_augmentation_of_flat_inputs_is_an_error_before_any_work(
    backend: wc.backend.Backend, network: wc.Subnetwork
) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, asarray=never)
    config = dataclasses.replace(CONFIG, augmentation="crop_flip")
    with pytest.raises(wc.errors.ConfigError) as caught:
        wc.train(network, (X, Y), config=config, backend=idle, key=KEY)
    assert str(caught.value) == (
        "augmentation needs images (height, width, channels); the network's inputs have shape (2,)."
    )


def test_keys_must_be_one_for_each_network(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never, asarray=never)
    for count in (1, 3):
        with pytest.raises(wc.errors.ConfigError) as caught:
            wc.train_together([network] * 2, (X, Y), backend=idle, keys=[KEY] * count, config=CONFIG)
        assert str(caught.value) == f"keys must be one for each of 2 networks; got {count}."


def test_networks_trained_or_measured_together_are_of_one_kind(
    backend: wc.backend.Backend, params: Any, network: wc.Subnetwork
) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never, asarray=never)
    net = wc.mlp(inputs=2, hidden=(5,), classes=2)
    other = wc.Subnetwork(net, backend.initialise(net, KEY), {"hidden_0": np.arange(5) < 3})
    for networks, message in (
        ([network, wc.Subnetwork(NET, params)], "of one parent, and all or none of them must have a mask"),
        ([wc.Subnetwork(NET, params), network], "of one parent, and all or none of them must have a mask"),
        ([network, other], "of one parent, and all or none of them must have a mask"),
        ([], "networks must be one or more; got none"),
    ):
        with pytest.raises(wc.errors.ConfigError, match=message):
            wc.train_together(networks, (X, Y), backend=idle, keys=[KEY] * len(networks), config=CONFIG)
        with pytest.raises(wc.errors.ConfigError, match=message):
            wc.evaluate_together(networks, TEST, backend=idle)


def test_what_is_no_subnetwork_is_an_error(backend: wc.backend.Backend, network: wc.Subnetwork) -> None:
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never, asarray=never)
    trained: Any = wc.train(network, (X, Y), backend=backend, key=KEY, config=dataclasses.replace(CONFIG, epochs=1))
    message = r"^network must be a Subnetwork; got Trained\(network=.*…\. Pass its \.network\.$"
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.train(trained, (X, Y), backend=idle, key=KEY, config=CONFIG)
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.evaluate(trained, (X, Y), backend=idle)


def test_an_unknown_backend_is_an_error(network: wc.Subnetwork) -> None:
    with pytest.raises(wc.errors.BackendError, match="unknown backend 'nmpy'"):
        wc.train(network, (X, Y), config=CONFIG, backend="nmpy", key=KEY)
    with pytest.raises(wc.errors.BackendError, match="unknown backend 'nmpy'"):
        wc.evaluate(network, (X, Y), backend="nmpy")

"""What is not finite is counted and never becomes a number: on every backend, wherever it may hide."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected

BACKENDS = ["numpy", "jax", "torch", "torch_xla"]
BAD = [math.nan, math.inf, -math.inf]
#: Every layer that could hide a number: a ReLU and a maximum those below 0, a batch norm what an infinite variance
#: divides, a mask what it removes, a shortcut one of its branches.
NET = wc.Network(
    (
        wc.nn.Conv("first", 4),
        wc.nn.BatchNorm("first_norm"),
        wc.nn.Relu(),
        wc.nn.MaxPool(2),
        wc.nn.Residual(
            (
                wc.nn.Conv("inside", 4),
                wc.nn.BatchNorm("norm"),
                wc.nn.Relu(),
                wc.nn.Mask("site", granularity="channel"),
                wc.nn.Conv("outside", 4),
            ),
            (),
        ),
        wc.nn.GlobalAveragePool(),
        wc.nn.Dense("logits", 3),
    ),
    (4, 4, 2),
)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 4, 4, 2)).astype(np.float32), np.arange(12) % 3
TEST = (X[:6], Y[:6])
KEY = wc.key(3)
ONE_STEP = wc.TrainConfig(epochs=1, batch_size=12, batch_norm_group=12, learning_rate=0.1)


def initial(net: wc.Network) -> dict[str, np.ndarray]:
    """Weights as any backend draws them."""
    return {
        path: np.asarray(value, np.float32) for path, value in wc.load_backend("numpy").initialise(net, KEY).items()
    }


START = wc.Subnetwork(
    NET,
    initial(NET),
    {"site": np.array([True, False, True, False])},
    wc.nn.initial_statistics(NET),
)


def with_value(network: wc.Subnetwork, tree: str, path: str, value: float, channel: int = 0) -> wc.Subnetwork:
    """One value of a weight or a running statistic is another, of the first channel or of a given one."""
    arrays = dict(getattr(network, tree))
    arrays[path] = np.array(arrays[path])
    arrays[path][..., channel] = value
    return dataclasses.replace(network, **{tree: arrays})


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("name", BACKENDS)
def test_no_weight_and_no_statistic_hides(name: str, value: float) -> None:
    """Each array, with one channel that is not finite: no accuracy, no loss, no prediction."""
    trees = [("params", path) for path in START.params] + [("statistics", path) for path in START.moving]
    if value == -math.inf:  # as a variance it is refused
        trees = [(tree, path) for tree, path in trees if not path.endswith("/variance")]
    broken = [with_value(START, tree, path, value) for tree, path in trees]
    *found, whole = wc.evaluate_together([*broken, START], TEST, backend=connected(name))
    assert whole.not_finite == 0, "beside them"
    for (_, path), one in zip(trees, found, strict=True):
        assert one.not_finite == 6, path
        assert math.isnan(one.accuracy), path
        assert math.isnan(one.loss), path
        assert one.predictions.tolist() == [3] * 6, f"{path}: the number of classes stands for none"


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_mask_removes_is_absent(name: str) -> None:
    """Its NaN is no divergence, in an evaluation and in a training."""
    backend, broken = connected(name), START
    for tree, path in (("params", "norm/scale"), ("params", "inside/kernel"), ("statistics", "norm/variance")):
        broken = with_value(broken, tree, path, math.nan, channel=1)
    found, whole = (wc.evaluate(one, TEST, backend=backend) for one in (broken, START))
    assert (found.not_finite, found.accuracy, found.loss) == (0, whole.accuracy, whole.loss)
    trained = wc.train(broken, (X, Y), backend=backend, key=KEY, config=ONE_STEP, test=TEST)
    assert not trained.diverged
    assert trained.history[0].not_finite == 0
    assert math.isfinite(trained.history[0].test_accuracy)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("wrong", [False, True], ids=["the true class", "a wrong class"])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_logit_that_is_not_finite_gives_a_step_no_loss(name: str, wrong: bool, value: float) -> None:
    """−∞ for a wrong class would else be as good as right."""
    backend = connected(name)
    net = wc.mlp(2, (4,), 2)
    start = wc.Subnetwork(net, initial(net))
    broken = with_value(start, "params", "logits/bias", value, channel=int(wrong))
    config = dataclasses.replace(ONE_STEP, epochs=2)
    data = (X[:, 0, 0], np.zeros(12, dtype=int))
    trained = wc.train(broken, data, backend=backend, key=KEY, config=config, test=data)
    assert not np.isfinite(trained.losses).any()
    assert trained.diverged
    for epoch in trained.history:
        assert epoch.not_finite == 1
        assert all(math.isnan(number) for number in (epoch.loss, epoch.train_accuracy, epoch.test_accuracy))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("of", ["mlp", "norms"])
def test_a_training_that_diverges_is_counted(name: str, of: str) -> None:
    """It begins well: the first step is finite. One that goes on from there after it does not recover."""
    backend = connected(name)
    net = NET if of == "norms" else wc.mlp((4, 4, 2), (8, 8), 3)
    start = wc.Subnetwork(net, initial(net), None, wc.nn.initial_statistics(net) or None)
    config = wc.TrainConfig(epochs=6, batch_size=4, batch_norm_group=4, learning_rate=1e25, schedule="constant")
    trained = wc.train(start, (X, Y), backend=backend, key=KEY, config=config, test=TEST)
    assert math.isfinite(trained.losses[0])
    assert trained.diverged
    counted = [int(np.count_nonzero(~np.isfinite(part))) for part in trained.losses.reshape(6, 3)]
    assert [epoch.not_finite for epoch in trained.history] == counted
    for epoch in trained.history:
        assert math.isnan(epoch.loss) == math.isnan(epoch.train_accuracy) == (epoch.not_finite > 0)
    assert math.isnan(trained.history[-1].test_accuracy)
    lost = [math.isnan(epoch.test_accuracy) for epoch in trained.history]
    assert lost == sorted(lost), "what is lost stays lost"
    found = wc.evaluate(trained.network, TEST, backend=backend)
    assert (found.not_finite, found.predictions.tolist()) == (6, [3] * 6)
    assert math.isnan(found.accuracy)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_last_step_that_diverges_shows_in_what_follows_it(name: str) -> None:
    """Every loss is finite, the weights after the last update are not."""
    backend, net = connected(name), wc.mlp(2, (4,), 2)
    start = wc.Subnetwork(net, {path: 1e3 * value for path, value in initial(net).items()})
    huge = dataclasses.replace(ONE_STEP, learning_rate=1.7e308, weight_decay=1e3)
    data = (X[:, 0, 0], Y % 2)
    trained = wc.train(start, data, backend=backend, key=KEY, config=huge, test=data)
    (epoch,) = trained.history
    assert (epoch.not_finite, math.isfinite(epoch.loss), math.isnan(epoch.test_accuracy)) == (0, True, True)
    assert trained.diverged
    assert epoch.test_not_finite == wc.evaluate(trained.network, data, backend=backend).not_finite == 12


@pytest.mark.parametrize("name", BACKENDS)
def test_weights_that_are_finite_and_give_no_finite_logits_show_in_a_test_split(name: str) -> None:
    """Without one nothing was computed with them yet: an evaluation shows it."""
    backend, net = connected(name), wc.mlp(2, (32, 32), 2)
    config = dataclasses.replace(ONE_STEP, learning_rate=1e140 if name == "numpy" else 1e20)
    start, data = wc.Subnetwork(net, initial(net)), (X[:, 0, 0], Y % 2)
    tested = wc.train(start, data, backend=backend, key=KEY, config=config, test=data)
    alone = wc.train(start, data, backend=backend, key=KEY, config=config)
    assert all(np.isfinite(value).all() for value in tested.network.params.values())
    assert math.isfinite(tested.losses[0])
    found = wc.evaluate(tested.network, data, backend=backend).not_finite
    assert found > 0
    assert (tested.diverged, tested.history[0].test_not_finite) == (True, found)
    assert math.isnan(tested.history[0].test_accuracy)
    assert (alone.diverged, alone.history[0].test_not_finite) == (False, 0)


@pytest.mark.parametrize("value", [-math.inf, -1e300])
@pytest.mark.parametrize("name", BACKENDS)
def test_an_infinite_weight_behind_a_relu_is_no_test_accuracy(name: str, value: float) -> None:
    """Loss and logits are finite; an evaluation and an epoch say the same of it. In float32, −10³⁰⁰ is infinite."""
    backend, net = connected(name), wc.mlp(2, (8,), 2)
    wide = {path: value.astype(np.float64) for path, value in initial(net).items()}
    broken = with_value(wc.Subnetwork(net, wide), "params", "dense_0/bias", value)
    data = (X[:, 0, 0], Y % 2)
    trained = wc.train(broken, data, backend=backend, key=KEY, config=ONE_STEP, test=data)
    (epoch,) = trained.history
    assert math.isfinite(epoch.loss)
    lost = name != "numpy" or math.isinf(value)
    assert math.isnan(epoch.test_accuracy) == lost
    assert epoch.test_not_finite == wc.evaluate(trained.network, data, backend=backend).not_finite == 12 * lost
    assert wc.evaluate(broken, data, backend=backend).not_finite == 12 * lost
    assert trained.diverged == lost


@pytest.mark.parametrize("name", BACKENDS)
def test_an_infinite_variance_is_no_test_accuracy(name: str) -> None:
    """Whatever it divides is 0, so that loss and logits are finite."""
    backend = connected(name)
    broken = with_value(START, "statistics", "first_norm/variance", math.inf)
    trained = wc.train(broken, (X, Y), backend=backend, key=KEY, config=ONE_STEP, test=TEST)
    assert np.isfinite(trained.losses).all()
    assert trained.history[0].not_finite == 0
    assert math.isnan(trained.history[0].test_accuracy)
    assert trained.diverged


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("place", [(0, 0), (3, 1), (5, 2)])
def test_examples_that_are_not_finite_are_counted(value: float, place: tuple[int, int]) -> None:
    """Of one network among others: those are measured as ever."""
    backend = wc.load_backend("numpy")

    def predict(*args: Any) -> np.ndarray:
        logits = np.array(backend.predict(*args))
        logits[1][place] = value
        return logits

    fake = dataclasses.replace(backend, predict=predict)
    first, broken, last = wc.evaluate_together([START] * 3, TEST, backend=fake)
    assert (broken.not_finite, first.not_finite, last.not_finite) == (1, 0, 0)
    assert math.isnan(broken.accuracy)
    assert math.isnan(broken.loss)
    wanted = first.predictions.copy()
    wanted[place[0]] = 3
    np.testing.assert_array_equal(broken.predictions, wanted)
    whole = wc.evaluate(START, TEST, backend=backend)
    assert first.accuracy == last.accuracy == whole.accuracy
    trained = wc.train_together([START] * 3, (X, Y), backend=fake, keys=[KEY] * 3, config=ONE_STEP, test=TEST)
    assert [math.isnan(one.history[0].test_accuracy) for one in trained] == [False, True, False]


@pytest.mark.parametrize("fitness", wc.backend.FITNESS.values(), ids=list(wc.backend.FITNESS))
def test_a_label_that_is_no_class_shows_in_traced_code(fitness: Any) -> None:
    jax = pytest.importorskip("jax")
    logits = np.zeros((2, 3, 4), np.float32)
    for label, wanted in ((3, False), (4, True), (-1, True)):
        labels = np.array([0, 1, label])
        assert np.isnan(np.asarray(jax.jit(fitness)(logits, labels))).tolist() == [wanted] * 2


@pytest.mark.parametrize("value", BAD)
def test_the_gradient_through_what_is_not_finite_is_nan(value: float) -> None:
    """A gradient of 0 would leave the weights as they were, and the training would go on."""
    jax = pytest.importorskip("jax")
    logits, labels = np.zeros((3, 2), np.float32), jax.numpy.array([0, 1, 0])
    gradient = jax.grad(wc.backend.negative_cross_entropy)
    assert np.isfinite(np.asarray(gradient(logits, labels))).all()
    logits[1, 0] = value
    assert np.isnan(np.asarray(gradient(logits, labels))[[0, 2]]).all()

"""What the contract decides where mathematics does not: slopes at 0, ties, absent nodes, no masks, where masks lie."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.conformance.test_backends import BACKENDS
from weedout_core._contract.record import stack
from weedout_core.backend import Backend, epoch_batches, train_plan
from weedout_core.nn import Conv, Dense, Flatten, Mask, MaxPool, Relu, initial_statistics, parameter_shapes

LABELS = np.array([0, 1, 1], np.int32)
CONFIG = wc.TrainConfig(
    epochs=1, batch_size=3, learning_rate=1.0, momentum=0.0, nesterov=False, weight_decay=0.0, schedule="constant",
    precision="highest",
)  # fmt: skip

backends = pytest.mark.parametrize("name", BACKENDS)


def weights(net: wc.Network, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {path: rng.normal(size=shape).astype(np.float32) for path, shape in parameter_shapes(net).items()}


def step(backend: Backend, net: wc.Network, params: Any, masks: Any, x: np.ndarray) -> tuple[dict[str, Any], Any]:
    """One step of plain SGD with the rate 1: how each weight moves, which is −gradient, and the loss."""
    plan, key = train_plan(CONFIG, len(LABELS)), wc.key(0)
    state = backend.train_init(
        net, plan, key[None], stack(backend, [params]), stack(backend, [initial_statistics(net)])
    )
    masks = None if masks is None else stack(backend, [masks])
    batches = epoch_batches([key], 0, plan)
    after, result = backend.train_epoch(net, plan, state, masks, backend.asarray(x), backend.asarray(LABELS), batches)
    with np.errstate(invalid="ignore"):  # a weight that is infinite stays so
        moved = {path: backend.to_numpy(after.params[path])[0] - value for path, value in params.items()}
    return moved, backend.to_numpy(result.loss)


@backends
def test_the_slope_of_relu_at_0_is_0(name: str) -> None:
    """Inputs of 0 and biases of 0: what comes to the ReLU is exactly 0, from either side."""
    net = wc.Network((Dense("one", 4), Relu(), Mask("one"), Dense("out", 2)), (3,))
    params = weights(net) | {"one/bias": np.array([0.0, -0.0, 0.5, -0.5], np.float32)}
    moved, _ = step(connected(name), net, params, None, np.zeros((3, 3), np.float32))
    assert moved["out/bias"].all(), "the loss has a gradient"
    np.testing.assert_array_equal(moved["one/bias"][[0, 1, 3]], 0, "at 0 and below it the slope is 0")
    assert moved["one/bias"][2] != 0, "above it is 1"


@backends
@pytest.mark.parametrize("window", [2, 3])
def test_of_equal_values_the_first_of_a_window_takes_the_gradient(name: str, window: int) -> None:
    """The convolution adds a value and its negative: 0 at every place, though the places have different inputs."""
    net = wc.Network(
        (Conv("one", 1, 1), MaxPool(window), Mask("pooled"), Flatten(), Dense("out", 2)), (window, 2 * window, 2)
    )
    params = weights(net) | {"one/kernel": np.ones((1, 1, 2, 1), np.float32)}
    places = np.arange(1, 2 * window**2 + 1, dtype=np.float32).reshape(1, window, 2 * window) ** 2
    x = np.stack([places, -places], axis=-1) * np.ones((3, 1, 1, 1), np.float32)
    moved, _ = step(connected(name), net, params, None, x)
    # All examples are alike, and so are the logits: the biases. The gradient of a window goes to its first place.
    odds = np.exp(params["out/bias"].astype(float))
    g = np.eye(2)[LABELS].mean(axis=0) - odds / odds.sum()
    first = places[0, 0, ::window] @ (params["out/kernel"] @ g)
    np.testing.assert_allclose(moved["one/kernel"].ravel(), [first, -first], rtol=1e-5)


@backends
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("rescale", [False, True])
def test_a_removed_node_is_absent_whatever_it_is(name: str, value: float, rescale: bool) -> None:
    """It gives 0 in a prediction, a fitness and a step, and takes no gradient."""
    net = wc.Network((Dense("one", 4), Mask("one", rescale=rescale), Dense("out", 2)), (3,))
    backend, params, masks = connected(name), weights(net), {"one": np.array([True, False, True, True])}
    x = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    lost = {path: array.copy() for path, array in params.items()}
    lost["one/bias"][1] = value
    both = [backend.to_numpy(backend.apply(net, one, x, masks)) for one in (params, lost)]
    np.testing.assert_array_equal(both[1], both[0])
    many = {site: np.stack([mask, mask]) for site, mask in masks.items()}
    scored = [backend.to_numpy(backend.score(net, one, many, x, LABELS)) for one in (params, lost)]
    np.testing.assert_array_equal(scored[1], scored[0])
    (moved, loss), (other, same) = (step(backend, net, one, masks, x) for one in (params, lost))
    np.testing.assert_array_equal(same, loss)
    for path, array in moved.items():
        # What is infinite or NaN stays so, and is NaN here.
        np.testing.assert_array_equal(np.nan_to_num(other[path]), array, path)


@backends
def test_no_masks_keep_every_node(name: str) -> None:
    net = wc.mlp(3, (5, 4), 2)
    backend, params = connected(name), weights(net)
    x = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    full = {site: np.ones(shape, bool) for site, shape in wc.mask_space(net).items()}
    (moved, loss), (other, same) = (step(backend, net, params, masks, x) for masks in (None, full))
    np.testing.assert_allclose(same, loss, rtol=1e-6)
    for path, array in moved.items():
        np.testing.assert_allclose(other[path], array, rtol=1e-4, atol=1e-6)


@backends
def test_masks_of_a_population_lie_on_the_host_or_on_the_device(name: str) -> None:
    net = wc.mlp(3, (5, 4), 2)
    backend, params = connected(name), weights(net)
    x = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    masks = {site: np.random.default_rng(2).random((4, *shape)) < 0.6 for site, shape in wc.mask_space(net).items()}
    there = {site: backend.asarray(mask) for site, mask in masks.items()}
    fitness = [backend.to_numpy(backend.score(net, params, given, x, LABELS)) for given in (masks, there)]
    np.testing.assert_array_equal(fitness[1], fitness[0])

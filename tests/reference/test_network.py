"""The network: He's initialisation, the forward pass by hand, and every gradient against finite differences."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from weedout_core import Dense, Flatten, Mask, Network, ParameterSpec, Relu, mlp
from weedout_numpy.network import backward, draw_parameters, forward, he_normal, mask_space, predict
from weedout_numpy.randomness import fold_in, key, path_code, random_bits, standard_normal

MASK = np.array([True, False, True])


def test_he_normal_takes_the_variance_2_over_inputs_and_no_bias() -> None:
    assert he_normal(mlp(8, (3,), 2)) == (
        ParameterSpec("dense_0/kernel", (8, 3), path_code("dense_0/kernel"), 0.5),
        ParameterSpec("dense_0/bias", (3,), path_code("dense_0/bias"), 0.0),
        ParameterSpec("logits/kernel", (3, 2), path_code("logits/kernel"), math.sqrt(2 / 3)),
        ParameterSpec("logits/bias", (2,), path_code("logits/bias"), 0.0),
    )


def test_sites_and_weights_take_the_shape_that_reaches_them() -> None:
    net = Network((Mask("pixels"), Flatten(), Dense("logits", 2)), (2, 3))
    assert mask_space(net) == {"pixels": (2, 3)}
    assert he_normal(net)[0].shape == (6, 2), "Flatten hands on 2 × 3 nodes"


def test_weights_have_the_standard_deviation_of_their_spec() -> None:
    """Of n = 100,000 normals the std errs by σ/√(2n) and the mean by σ/√n, as standard deviations; 6 are allowed."""
    n, std = 100_000, math.sqrt(2 / 250)
    kernel = draw_parameters(key(1), (ParameterSpec("k", (250, 400), path_code("k"), std),))["k"]
    assert kernel.shape == (250, 400)
    assert kernel.dtype == np.float64
    assert abs(kernel.std() - std) < 6 * std / math.sqrt(2 * n), "He's standard deviation"
    assert abs(kernel.mean()) < 6 * std / math.sqrt(n), "centred on 0"


def test_each_parameter_has_a_stream_of_its_own() -> None:
    params = draw_parameters(key(1), he_normal(mlp(4, (3,), 2)))
    kernel = math.sqrt(2 / 3) * standard_normal(fold_in(key(1), path_code("logits/kernel")), 6).reshape(3, 2)
    np.testing.assert_array_equal(params["logits/kernel"], kernel)
    np.testing.assert_array_equal(params["logits/bias"], [0.0, 0.0], "biases start at 0")


def test_the_forward_pass_by_hand() -> None:
    net = mlp(2, (3,), 2)
    params = {
        "dense_0/kernel": np.array([[1.0, 2.0, -1.0], [0.0, 1.0, -1.0]]),
        "dense_0/bias": np.array([0.0, 1.0, 2.0]),
        "logits/kernel": np.array([[1.0, 0.0], [5.0, 7.0], [2.0, -1.0]]),
        "logits/bias": np.array([0.5, 0.0]),
    }
    x = np.array([[1.0, -3.0], [-1.0, 1.0]])
    # Row 1: x W + b = (1, 0, 4), ReLU the same; row 2: (−1, 0, 2), ReLU (0, 0, 2).
    logits, _ = forward(net, params, {"hidden_0": np.array([True, True, False])}, x)
    np.testing.assert_array_equal(logits, [[1.5, 0.0], [0.5, 0.0]], "node 2 is removed")
    logits, _ = forward(net, params, None, x)
    np.testing.assert_array_equal(logits, [[9.5, -4.0], [4.5, -2.0]], "the parent keeps all nodes")
    logits, _ = forward(mlp(2, (3,), 2, rescale=True), params, {"hidden_0": np.array([False, True, True])}, x)
    np.testing.assert_array_equal(logits, [[12.5, -6.0], [6.5, -3.0]], "2 of 3 are kept: activations are 3/2 as large")


def test_a_removed_node_is_absent_whatever_it_says() -> None:
    net = Network((Mask("in"), Dense("logits", 2)), (3,))
    params = {"logits/kernel": np.ones((3, 2)), "logits/bias": np.zeros(2)}
    logits, _ = forward(net, params, {"in": MASK}, np.array([[1.0, np.inf, 2.0]]))
    np.testing.assert_array_equal(logits, [[3.0, 3.0]], "0 is chosen, not multiplied in: 0 · ∞ would be NaN")


def test_a_mask_without_any_node_gives_zeros_also_when_rescaled() -> None:
    net = Network((Mask("in", rescale=True), Dense("logits", 2)), (3,))
    params = {"logits/kernel": np.ones((3, 2)), "logits/bias": np.zeros(2)}
    logits, _ = forward(net, params, {"in": np.zeros(3, dtype=bool)}, np.ones((1, 3)))
    np.testing.assert_array_equal(logits, [[0.0, 0.0]])


def central_difference(f: Callable[[np.ndarray], float], at: np.ndarray, h: float) -> np.ndarray:
    slope = np.zeros(at.size)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = h
        step = step.reshape(at.shape)
        slope[i] = (f(at + step) - f(at - step)) / (2 * h)
    return slope.reshape(at.shape)


@pytest.mark.parametrize(
    ("net", "masks"),
    [
        (Network((Dense("logits", 3),), (4,)), None),
        (Network((Relu(), Dense("logits", 3)), (4,)), None),
        (Network((Flatten(), Dense("logits", 3)), (2, 2)), None),
        (Network((Dense("d", 3), Mask("m"), Dense("logits", 3)), (4,)), {"m": MASK}),
        (Network((Dense("d", 3), Mask("m", rescale=True), Dense("logits", 3)), (4,)), {"m": MASK}),
        (Network((Dense("d", 3), Mask("m", rescale=True), Dense("logits", 3)), (4,)), None),
        (mlp(4, (3, 3), 3, rescale=True), {"hidden_0": MASK, "hidden_1": ~MASK}),
    ],
    ids=["dense", "relu", "flatten", "mask", "mask rescaled", "parent", "all together"],
)
def test_gradients_agree_with_finite_differences(net: Network, masks: dict[str, np.ndarray] | None) -> None:
    """L = Σ c ⊙ logits, whose ∂L/∂logits is c.

    As long as no ReLU changes sides, L is linear in each single weight and input, so that a central difference has
    no truncation error and h may be large. What is left is rounding. No term of L passes more than 40 roundings (the
    step itself, sums of 4, 3, 3 and 15 terms, their products, biases and rescalings), so L errs by at most
    40 · ε · A, with ε = 2^-53 and A the sum of the absolute values of its terms, and (L⁺ − L⁻) / 2h by 40 · ε · A / h.
    """
    h = 1e-4
    rng = np.random.default_rng(0)
    params = {spec.path: rng.normal(size=spec.shape) for spec in he_normal(net)}
    x, c = rng.normal(size=(5, *net.input_shape)), rng.normal(size=(5, 3))
    absolute, _ = forward(net, {path: abs(w) + h for path, w in params.items()}, masks, abs(x) + h)
    tolerance = 40 * 2**-53 * float((abs(c) * absolute).sum()) / h

    def sides(record: list[np.ndarray]) -> list[bool]:
        relus = [value for layer, value in zip(net.layers, record, strict=True) if isinstance(layer, Relu)]
        return [bool(side) for value in relus for side in (value > 0).ravel()]

    def loss(params: dict[str, np.ndarray], x: np.ndarray) -> float:
        logits, passed = forward(net, params, masks, x)
        assert sides(passed) == sides(record), "no ReLU may change sides within a step; take another seed"
        return float((c * logits).sum())

    _, record = forward(net, params, masks, x)
    gradients, input_gradient = backward(net, params, masks, record, c)
    assert set(gradients) == set(params), "every weight has a gradient"
    for path, weight in params.items():
        slope = central_difference(lambda w, path=path: loss({**params, path: w}, x), weight, h)
        np.testing.assert_allclose(gradients[path], slope, rtol=0, atol=tolerance, err_msg=f"∂L/∂{path}")
    slope = central_difference(lambda z: loss(params, z), x, h)
    np.testing.assert_allclose(input_gradient, slope, rtol=0, atol=tolerance, err_msg="∂L/∂x")


def test_a_relu_at_zero_lets_no_gradient_through() -> None:
    net = Network((Relu(), Dense("logits", 2)), (2,))
    params = {"logits/kernel": np.ones((2, 2)), "logits/bias": np.zeros(2)}
    _, record = forward(net, params, None, np.array([[0.0, 1.0]]))
    _, gradient = backward(net, params, None, record, np.array([[1.0, 1.0]]))
    np.testing.assert_array_equal(gradient, [[0.0, 2.0]], "at 0 the slope is taken from the left")


def test_predict_runs_each_network_with_its_own_weights_and_mask() -> None:
    net = mlp(4, (3,), 2)
    trees = [draw_parameters(key(seed), he_normal(net)) for seed in range(2)]
    params = {path: np.stack([tree[path] for tree in trees]) for path in trees[0]}
    masks = {"hidden_0": np.stack([MASK, ~MASK])}
    x = random_bits(key(9), 20).reshape(5, 4) / 2**32
    for array in (*params.values(), *masks.values(), x):
        array.setflags(write=False)
    logits = predict(net, params, {}, masks, x)
    assert logits.shape == (2, 5, 2)
    for r in range(2):
        alone, _ = forward(net, trees[r], {"hidden_0": masks["hidden_0"][r]}, x)
        np.testing.assert_array_equal(logits[r], alone, f"network {r}")
    np.testing.assert_array_equal(predict(net, params, {}, None, x)[1], forward(net, trees[1], None, x)[0])


def test_predict_shows_overflow_in_the_logits() -> None:
    net = Network((Dense("logits", 2),), (1,))
    params = {"logits/kernel": np.full((1, 1, 2), 1e300), "logits/bias": np.zeros((1, 2))}
    assert np.isinf(predict(net, params, {}, None, np.array([[1e300]]))).all(), "no warning, an infinite logit"

"""The network: the forward pass by hand, every gradient against finite differences, and statistics in and out."""

from collections.abc import Callable

import numpy as np
import pytest

from weedout_core import Network, mlp
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    parameter_shapes,
)
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.layers import max_pool, max_pool_gradient
from weedout_numpy.network import Record, backward, batch_statistics, forward, running_statistics
from weedout_numpy.randomness import key

Loss = Callable[[dict[str, np.ndarray], np.ndarray], float]
MASK = np.array([True, False, True])


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
    logits, _ = forward(net.layers, params, {"hidden_0": np.array([True, True, False])}, x)
    np.testing.assert_array_equal(logits, [[1.5, 0.0], [0.5, 0.0]], "node 2 is removed")
    logits, _ = forward(net.layers, params, None, x)
    np.testing.assert_array_equal(logits, [[9.5, -4.0], [4.5, -2.0]], "the parent keeps all nodes")
    logits, _ = forward(mlp(2, (3,), 2, rescale=True).layers, params, {"hidden_0": np.array([False, True, True])}, x)
    np.testing.assert_array_equal(logits, [[12.5, -6.0], [6.5, -3.0]], "2 of 3 are kept: activations are 3/2 as large")


def test_a_removed_node_is_absent_whatever_it_says() -> None:
    net = Network((Mask("in"), Dense("logits", 2)), (3,))
    params = {"logits/kernel": np.ones((3, 2)), "logits/bias": np.zeros(2)}
    logits, _ = forward(net.layers, params, {"in": MASK}, np.array([[1.0, np.inf, 2.0]]))
    np.testing.assert_array_equal(logits, [[3.0, 3.0]], "0 is chosen, not multiplied in: 0 · ∞ would be NaN")


def test_a_mask_without_any_node_gives_zeros_also_when_rescaled() -> None:
    net = Network((Mask("in", rescale=True), Dense("logits", 2)), (3,))
    params = {"logits/kernel": np.ones((3, 2)), "logits/bias": np.zeros(2)}
    logits, _ = forward(net.layers, params, {"in": np.zeros(3, dtype=bool)}, np.ones((1, 3)))
    np.testing.assert_array_equal(logits, [[0.0, 0.0]])


def central_difference(f: Callable[[np.ndarray], float], at: np.ndarray, h: float) -> np.ndarray:
    slope = np.zeros(at.size)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = h
        step = step.reshape(at.shape)
        slope[i] = (f(at + step) - f(at - step)) / (2 * h)
    return slope.reshape(at.shape)


def sides(record: Record) -> list[np.ndarray]:
    """Which side of its kink each ReLU is on, and which pixel each pooling takes."""
    found: list[np.ndarray] = []
    for step in record:
        if isinstance(step.layer, Relu):
            found.append(step.x > 0)
        if isinstance(step.layer, MaxPool):
            found.append(max_pool_gradient(step.x, step.layer.window, max_pool(step.x, step.layer.window)) != 0)
        found += sides(step.main) + sides(step.shortcut)
    return found


def piecewise(net: Network, masks: dict[str, np.ndarray] | None, x: np.ndarray, c: np.ndarray, groups: int = 1) -> Loss:
    """L = Σ c ⊙ logits, as long as no ReLU and no pooling changes sides."""
    expected: list[np.ndarray] = []

    def loss(params: dict[str, np.ndarray], x: np.ndarray) -> float:
        logits, record = forward(net.layers, params, masks, x, groups=groups)
        expected[:] = expected or sides(record)
        same = all(np.array_equal(*pair) for pair in zip(sides(record), expected, strict=True))
        assert same, "no ReLU or pooling may change sides within a step; take another seed"
        return float((c * logits).sum())

    return loss


IMAGE = (4, 4, 2)
CHANNELS = np.array([True, False, True])
PIXELS = np.arange(4 * 4 * 3).reshape(4, 4, 3) % 3 > 0
HEAD = (Flatten(), Dense("logits", 3))
CONV = Conv("conv", 3)
PART, TAKEN = Gather("part", 3), np.array([2, 0, 2])
BRANCH = (Relu(), Mask("m"), Conv("conv_1", 3))


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
        (Network((Conv("conv", 3, stride=2), *HEAD), IMAGE), None),
        (Network((CONV, MaxPool(2), *HEAD), IMAGE), None),
        (Network((CONV, GlobalAveragePool(), Dense("logits", 3)), IMAGE), None),
        (Network((CONV, Mask("m", True, "channel"), *HEAD), IMAGE), {"m": CHANNELS}),
        (Network((CONV, Residual(BRANCH), *HEAD), IMAGE), {"m": PIXELS}),
        (Network((CONV, Residual(BRANCH, (Conv("short", 3, kernel_size=1),)), *HEAD), IMAGE), {"m": PIXELS}),
        (Network((CONV, Residual((Residual(BRANCH), Relu())), *HEAD), IMAGE), {"m": PIXELS}),
        (Network((Dense("d", 4), PART, Dense("logits", 3)), (4,)), {"part": TAKEN}),
        (Network((CONV, PART, *HEAD), IMAGE), {"part": TAKEN}),
        (Network((CONV, Scale(2.5), *HEAD), IMAGE), None),
        (
            Network((CONV, Residual((PART, Conv("conv_1", 3)), (Gather("other", 3),)), *HEAD), IMAGE),
            {"part": TAKEN, "other": TAKEN[::-1]},
        ),
    ],
    ids=[
        "dense", "relu", "flatten", "mask", "mask rescaled", "parent", "all together", "conv", "max pool",
        "average pool", "mask of channels", "residual", "residual with a shortcut", "residual in a residual",
        "gather", "gather of channels", "scale", "parts of a residual's input",
    ],
)  # fmt: skip
def test_gradients_agree_with_finite_differences(net: Network, masks: dict[str, np.ndarray] | None) -> None:
    """L = Σ c ⊙ logits, whose ∂L/∂logits is c.

    As long as no ReLU changes sides, L is linear in each single weight and input, so that a central difference has
    no truncation error and h may be large. What is left is rounding. No term of L passes more than 120 roundings (the
    step itself; two sums over a window of 27 terms or less; one of 48 over the nodes and one of 15 over the logits;
    products, biases and rescalings), so L errs by at most 120 · ε · A, with ε = 2^-53 and A the sum of the absolute
    values of its terms, and (L⁺ − L⁻) / 2h by 120 · ε · A / h.
    """
    h = 1e-4
    rng = np.random.default_rng(0)
    params = {path: rng.normal(size=shape) for path, shape in parameter_shapes(net).items()}
    x, c = rng.normal(size=(5, *net.input_shape)), rng.normal(size=(5, 3))
    absolute, _ = forward(net.layers, {path: abs(w) + h for path, w in params.items()}, masks, abs(x) + h)
    tolerance = 120 * 2**-53 * float((abs(c) * absolute).sum()) / h
    loss = piecewise(net, masks, x, c)

    _, record = forward(net.layers, params, masks, x)
    gradients, _, input_gradient = backward(params, masks, record, c)
    assert set(gradients) == set(params), "every weight has a gradient"
    for path, weight in params.items():
        slope = central_difference(lambda w, path=path: loss({**params, path: w}, x), weight, h)
        np.testing.assert_allclose(gradients[path], slope, rtol=0, atol=tolerance, err_msg=f"∂L/∂{path}")
    slope = central_difference(lambda z: loss(params, z), x, h)
    np.testing.assert_allclose(input_gradient, slope, rtol=0, atol=tolerance, err_msg="∂L/∂x")


# A Wide ResNet in small: a convolution, a pre-activation block that halves the image, and the head.
BLOCK = (
    Conv("block/conv_0", 3, stride=2), BatchNorm("block/norm_1"), Relu(), Mask("block/mask_1", False, "channel"),
    Conv("block/conv_1", 3),
)  # fmt: skip
RESNET = Network(
    (
        Conv("conv", 2), BatchNorm("block/norm_0"), Relu(), Mask("block/mask_0"),
        Residual(BLOCK, (Conv("block/shortcut", 3, kernel_size=1, stride=2), BatchNorm("block/norm_2"))),
        BatchNorm("norm", momentum=0.5), Relu(), GlobalAveragePool(), Mask("pooled"), Dense("logits", 3),
    ),
    IMAGE,
)  # fmt: skip
RESNET_MASKS = {"block/mask_0": PIXELS[:, :, :2], "block/mask_1": CHANNELS, "pooled": CHANNELS}


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_through_batch_norm_agree_with_finite_differences(groups: int) -> None:
    """L is smooth but no longer linear: D(h), the central difference, errs by a·h² + …, and so D(2h) by 4a·h² + ….

    Their difference is three times the error of D(h), which it therefore bounds with room for the higher terms. To
    it comes the rounding of L, at most 1,000 roundings of ``size``, over h.
    """
    h, net, masks = 1e-5, RESNET, RESNET_MASKS
    rng = np.random.default_rng(1)
    params = {spec.path: rng.normal(size=spec.shape) for spec in he_normal(net)}
    x, c = rng.normal(size=(6, *net.input_shape)), rng.normal(size=(6, 3))
    loss = piecewise(net, masks, x, c, groups=groups)

    logits, record = forward(net.layers, params, masks, x, groups=groups)
    found = backward(params, masks, record, c, groups)
    gradients = {**found.weights, "x": found.x}
    assert set(gradients) == {*params, "x"}, "every weight has a gradient"
    size = float((abs(c) * abs(logits)).sum())
    for path, at in {**params, "x": x}.items():

        def along(value: np.ndarray, path: str = path) -> float:
            return loss(params, value) if path == "x" else loss({**params, path: value}, x)

        slope, wider = (central_difference(along, at, step) for step in (h, 2 * h))
        error = abs(gradients[path] - slope)
        assert (error <= abs(wider - slope) + 1000 * 2**-53 * size / h).all(), f"∂L/∂{path} errs by {error.max()}"


def test_a_residual_is_the_sum_of_its_branches() -> None:
    x = np.array([[1.0, -2.0]])
    both = (Dense("d", 2),), (Relu(), Relu())
    params = {"d/kernel": np.array([[2.0, 0.0], [1.0, 3.0]]), "d/bias": np.array([10.0, 20.0])}
    for layer, expected in {
        Residual(*both): [10 + 1, 14 + 0],
        Residual(both[0]): [10 + 1, 14 - 2],
        Residual((), both[0]): [10 + 1, 14 - 2],
        Residual(()): [2, -4],
    }.items():
        y, _ = forward((layer,), params, None, x)
        np.testing.assert_array_equal(y, [expected], f"{layer}: an empty branch is x itself")


def test_what_a_compacted_network_takes_of_an_activation() -> None:
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    layers = (Gather("g", 2), Scale(0.5))
    y, _ = forward(layers, {}, {"g": np.array([3, 0], dtype=np.int32)}, x)
    np.testing.assert_array_equal(y, [[2.0, 0.5]], "nodes 3 and 0, half of them")
    image = np.arange(12.0).reshape(1, 2, 2, 3)
    y, _ = forward((Gather("g", 2),), {}, {"g": np.array([2, 0])}, image)
    np.testing.assert_array_equal(y, image[..., [2, 0]], "channels of an image")


def test_a_channel_masks_all_pixels_within_a_network() -> None:
    layers = (Conv("conv", 3), Mask("m", granularity="channel"))
    params = {"conv/kernel": np.ones((3, 3, 2, 3))}
    y, _ = forward(layers, params, {"m": CHANNELS}, np.ones((1, *IMAGE)))
    parent, _ = forward(layers, params, None, np.ones((1, *IMAGE)))
    np.testing.assert_array_equal(y, parent * CHANNELS)
    assert (parent > 0).all(), "without a mask every channel says something"


def test_batch_norm_takes_the_statistics_it_is_given() -> None:
    layers = (BatchNorm("n", epsilon=3.0),)
    params = {"n/scale": np.array([2.0]), "n/bias": np.array([1.0])}
    x = np.array([[4.0], [8.0]])
    given, _ = forward(layers, params, None, x, {"n/mean": np.array([2.0]), "n/variance": np.array([1.0])})
    np.testing.assert_array_equal(given, [[3.0], [7.0]], "2 (x − 2)/√(1 + 3) + 1")
    taken, record = forward(layers, params, None, x)
    seen = batch_statistics(record)
    assert {path: value.tolist() for path, value in seen.items()} == {"n/mean": [6.0], "n/variance": [4.0]}
    np.testing.assert_array_equal(taken, forward(layers, params, None, x, seen)[0], "None takes the batch's own")
    grouped, _ = forward(layers, params, None, x, groups=2)
    np.testing.assert_array_equal(grouped, [[1.0], [1.0]], "in groups of one, each example is its own mean")


def test_every_batch_norm_of_a_network_is_found_also_in_the_branches() -> None:
    params = draw_parameters(key(0), he_normal(RESNET))
    _, record = forward(RESNET.layers, params, RESNET_MASKS, np.ones((2, *IMAGE)))
    assert set(batch_statistics(record)) == set(initial_statistics(RESNET))
    before = initial_statistics(RESNET)
    after = running_statistics(before, record, groups=1)
    seen = batch_statistics(record)
    for path, value in after.items():
        momentum = 0.5 if path.startswith("norm") else 0.9
        expected = momentum * before[path] + (1 - momentum) * seen[path]
        np.testing.assert_array_equal(value, expected, f"each layer moves {path} by its own momentum")


def test_nothing_handed_in_is_changed() -> None:
    rng = np.random.default_rng(0)
    params = {spec.path: rng.normal(size=spec.shape) for spec in he_normal(RESNET)}
    statistics, x, c = initial_statistics(RESNET), rng.normal(size=(4, *IMAGE)), rng.normal(size=(4, 3))
    for array in (*params.values(), *RESNET_MASKS.values(), *statistics.values(), x, c):
        array.setflags(write=False)
    first, record = forward(RESNET.layers, params, RESNET_MASKS, x, groups=2)
    inputs = [step.x.copy() for step in record]
    once, _, gradient = backward(params, RESNET_MASKS, record, c, groups=2)
    again, _, same = backward(params, RESNET_MASKS, record, c, groups=2)
    running_statistics(statistics, record, groups=2)
    for step, before in zip(record, inputs, strict=True):
        np.testing.assert_array_equal(step.x, before, "the record stays as it was")
    np.testing.assert_array_equal(gradient, same)
    for path, value in once.items():
        np.testing.assert_array_equal(value, again[path], path)
    np.testing.assert_array_equal(first, forward(RESNET.layers, params, RESNET_MASKS, x, groups=2)[0])


def test_a_relu_at_zero_lets_no_gradient_through() -> None:
    net = Network((Relu(), Dense("logits", 2)), (2,))
    params = {"logits/kernel": np.ones((2, 2)), "logits/bias": np.zeros(2)}
    _, record = forward(net.layers, params, None, np.array([[0.0, 1.0]]))
    _, _, gradient = backward(params, None, record, np.array([[1.0, 1.0]]))
    np.testing.assert_array_equal(gradient, [[0.0, 2.0]], "at 0 the slope is taken from the left")

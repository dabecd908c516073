"""Training: SGD by hand, schedules, and what the mask does to a gradient."""

import math
from typing import Any

import numpy as np

from weedout_core import Network, TrainConfig, mlp, vgg
from weedout_core.backend import TrainPlan
from weedout_core.nn import BatchNorm, Dense
from weedout_numpy.batches import data_order, train_plan
from weedout_numpy.crops import crop_images, data_crops
from weedout_numpy.fitness import count_correct, cross_entropy, cross_entropy_gradient
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.network import backward, forward
from weedout_numpy.randomness import key
from weedout_numpy.shapes import mask_space
from weedout_numpy.training import at_rest, learning_rates, train, train_for_an_epoch, train_step

PLAIN: dict[str, Any] = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "schedule": "constant"}


def test_the_cosine_falls_from_the_rate_towards_zero() -> None:
    rates = learning_rates(TrainConfig(epochs=2, learning_rate=0.4), steps=2)
    expected = [0.4, 0.2 * (1 + math.sqrt(0.5)), 0.2, 0.2 * (1 - math.sqrt(0.5))]
    # Angles 0, π/4, π/2, 3π/4; one rounding each in the angle, the cosine, the sum and two products.
    np.testing.assert_allclose(rates, expected, rtol=0, atol=0.4 * 5 * 2**-52)


def test_steps_fall_at_the_start_of_their_epochs() -> None:
    config = TrainConfig(epochs=4, learning_rate=1.0, schedule="step", step_epochs=(1, 3), step_factor=0.5)
    np.testing.assert_array_equal(learning_rates(config, steps=2), [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_a_constant_rate_and_no_epochs() -> None:
    np.testing.assert_array_equal(learning_rates(TrainConfig(epochs=2, schedule="constant"), steps=1), [0.05, 0.05])
    assert learning_rates(TrainConfig(epochs=0), steps=3).shape == (0,)


def test_the_rate_warms_up_in_equal_steps() -> None:
    config = TrainConfig(epochs=3, learning_rate=1.0, schedule="constant", warmup_epochs=2)
    np.testing.assert_array_equal(learning_rates(config, steps=2), [0.25, 0.5, 0.75, 1, 1, 1])
    whole = TrainConfig(epochs=2, learning_rate=1.0, schedule="constant", warmup_epochs=2)
    np.testing.assert_array_equal(learning_rates(whole, steps=2), [0.25, 0.5, 0.75, 1], "all of it may be warm-up")
    falling = TrainConfig(
        epochs=2, learning_rate=1.0, schedule="step", step_epochs=(1,), step_factor=0.5, warmup_epochs=2
    )
    np.testing.assert_array_equal(learning_rates(falling, steps=2), [0.25, 0.5, 0.375, 0.5], "of the schedule's rate")


# One weight layer, one input x = 1, two classes, label 0: the logits are w + b, and at w = b = 0
# p = (1/2, 1/2), so the gradient of kernel and bias alike is p − (1, 0) = (−1/2, 1/2).
TINY = Network((Dense("logits", 2),), (1,))


def train_tiny(
    config: TrainConfig, kernel: float = 0.0, bias: float = 0.0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Train on one example, one step an epoch: kernels and biases before training and after each step."""
    plan = TrainPlan(config, examples=1, batch_size=1, optimizer=None)
    rates = learning_rates(config, steps=1)
    learner = at_rest({"logits/kernel": np.array([[kernel, -kernel]]), "logits/bias": np.array([bias, -bias])}, {})
    kernels, biases = [learner.params["logits/kernel"][0]], [learner.params["logits/bias"]]
    for epoch in range(config.epochs):
        batches = [(np.ones((1, 1)), np.zeros(1, dtype=np.int32))]
        learner, _, _ = train_for_an_epoch(TINY, plan, learner, None, batches, rates[epoch : epoch + 1])
        kernels.append(learner.params["logits/kernel"][0])
        biases.append(learner.params["logits/bias"])
    return kernels, biases


def slope(kernel: float, bias: float) -> float:
    """∂L/∂(first weight) for logits ±(kernel + bias): p₀ − 1, with p₀ = σ(2 (kernel + bias))."""
    return 1 / (1 + math.exp(-2 * (kernel + bias))) - 1


def close(found: np.ndarray, expected: float) -> None:
    # A dozen roundings of numbers near 1: 12 · 2^-53 < 2e-15.
    np.testing.assert_allclose(found, [expected, -expected], rtol=0, atol=2e-15)


def test_one_plain_step_goes_down_the_gradient() -> None:
    kernels, biases = train_tiny(TrainConfig(epochs=1, learning_rate=0.1, **PLAIN))
    close(kernels[1], 0.05)
    close(biases[1], 0.05)


def test_momentum_carries_the_first_gradient_into_the_second_step() -> None:
    config = TrainConfig(epochs=2, learning_rate=0.1, **{**PLAIN, "momentum": 0.9})
    kernels, _ = train_tiny(config)
    close(kernels[1], 0.05)  # v = g = −1/2: the first step is plain
    v = 0.9 * -0.5 + slope(0.05, 0.05)
    close(kernels[2], 0.05 - 0.1 * v)


def test_nesterov_looks_ahead_from_the_first_step() -> None:
    config = TrainConfig(epochs=2, learning_rate=0.1, **{**PLAIN, "momentum": 0.9, "nesterov": True})
    kernels, _ = train_tiny(config)
    first = -0.1 * (-0.5 + 0.9 * -0.5)
    close(kernels[1], first)
    g = slope(first, first)
    v = 0.9 * -0.5 + g
    close(kernels[2], first - 0.1 * (g + 0.9 * v))


def test_decay_is_added_to_the_gradient_of_kernels_only() -> None:
    config = TrainConfig(epochs=2, learning_rate=0.1, **{**PLAIN, "momentum": 0.5, "weight_decay": 0.2})
    kernels, biases = train_tiny(config, kernel=1.0, bias=0.5)
    g = slope(1.0, 0.5)
    kernel, bias = 1.0 - 0.1 * (g + 0.2 * 1.0), 0.5 - 0.1 * g
    close(kernels[1], kernel)
    close(biases[1], bias)
    ahead = slope(kernel, bias)
    close(kernels[2], kernel - 0.1 * (0.5 * (g + 0.2 * 1.0) + ahead + 0.2 * kernel))  # the velocity remembers the decay
    close(biases[2], bias - 0.1 * (0.5 * g + ahead))


def test_decay_of_all_reaches_the_biases() -> None:
    config = TrainConfig(epochs=1, learning_rate=0.1, decayed="all", **{**PLAIN, "weight_decay": 0.2})
    _, biases = train_tiny(config, kernel=1.0, bias=0.5)
    close(biases[1], 0.5 - 0.1 * (slope(1.0, 0.5) + 0.2 * 0.5))


def test_each_step_takes_its_own_rate_from_the_schedule() -> None:
    config = TrainConfig(
        epochs=2, learning_rate=0.1, **{**PLAIN, "schedule": "step"}, step_epochs=(1,), step_factor=0.5
    )
    kernels, _ = train_tiny(config)
    close(kernels[2], 0.05 - 0.05 * slope(0.05, 0.05))


NET = mlp(6, (8,), 3)
X = np.random.default_rng(0).normal(size=(20, 6))
Y = np.random.default_rng(1).integers(3, size=20).astype(np.int32)
ROOT = key(1)
PARAMS = draw_parameters(ROOT, he_normal(NET))
MASK = {"hidden_0": np.arange(8) % 3 > 0}
for array in (X, Y, *PARAMS.values(), *MASK.values()):
    array.setflags(write=False)


def test_each_epoch_takes_its_own_order_and_rates() -> None:
    """Two epochs of three steps, step by step."""
    config = TrainConfig(epochs=2, batch_size=6, learning_rate=0.1)
    plan, rates = train_plan(config, 20), learning_rates(config, 3)
    learner, losses = at_rest(PARAMS, {}), list[float]()
    for t in range(6):
        batch = data_order(ROOT, t // 3, plan)[t % 3]
        learner, loss, _ = train_step(NET, plan, learner, MASK, X[batch], Y[batch], rates[t])
        losses.append(loss)
    trained = train(NET, PARAMS, MASK, (X, Y), config, ROOT)
    np.testing.assert_array_equal(trained.losses, losses)
    for path, weights in learner.params.items():
        np.testing.assert_array_equal(trained.params[path], weights, path)


def test_no_epochs_leave_the_network_as_it_was() -> None:
    trained = train(NET, PARAMS, MASK, (X, Y), TrainConfig(epochs=0), ROOT)
    assert trained.losses.shape == (0,)
    for path, weights in PARAMS.items():
        np.testing.assert_array_equal(trained.params[path], weights, path)


def test_loss_and_correct_are_those_of_the_batch_before_the_step() -> None:
    plan = train_plan(TrainConfig(batch_size=20), 20)
    _, loss, correct = train_step(NET, plan, at_rest(PARAMS, {}), MASK, X, Y, 0.1)
    logits, _ = forward(NET.layers, PARAMS, MASK, X)
    assert loss == cross_entropy(logits, Y)
    assert correct == count_correct(logits, Y)


def test_the_weights_of_removed_nodes_get_no_gradient() -> None:
    config = TrainConfig(epochs=1, learning_rate=0.1, **PLAIN)
    trained = train(NET, PARAMS, MASK, (X, Y), config, ROOT).params
    removed = ~MASK["hidden_0"]
    into, out = trained["dense_0/kernel"], trained["logits/kernel"]
    np.testing.assert_array_equal(into[:, removed], PARAMS["dense_0/kernel"][:, removed], "weights into it")
    np.testing.assert_array_equal(out[removed], PARAMS["logits/kernel"][removed], "weights out of it")
    assert not np.array_equal(out[~removed], PARAMS["logits/kernel"][~removed]), "the kept ones are trained"


def test_training_learns() -> None:
    config = TrainConfig(epochs=60, learning_rate=0.1, batch_size=20, weight_decay=0.0)
    losses = train(NET, PARAMS, {"hidden_0": np.ones(8, dtype=bool)}, (X, Y), config, ROOT).losses
    assert losses[-1] < losses[0] / 4, "20 examples are learnt by heart"


def test_divergence_shows_in_the_loss() -> None:
    config = TrainConfig(epochs=1, batch_size=6, learning_rate=1e200, schedule="constant")
    losses = train(NET, PARAMS, MASK, (X, Y), config, ROOT).losses
    assert not np.isfinite(losses[-1]), "no warning and no error, a loss that is not finite"


def test_running_statistics_after_a_step_by_hand() -> None:
    """Groups (0, 2) and (4, 8) have means 1 and 6 and variances 1 and 4; on average 3.5 and 2.5.

    From mean 0 and variance 1, with momentum 3/4, the running ones come to 0.875 and 1.375; after a second such step
    to 3/4 · 0.875 + 1/4 · 3.5 = 1.53125 and 3/4 · 1.375 + 1/4 · 2.5 = 1.65625.
    """
    net = Network((BatchNorm("n", momentum=0.75), Dense("logits", 2)), (1,))
    plan = train_plan(TrainConfig(batch_size=4, batch_norm_group=2), 4)
    assert plan.groups == 2
    statistics = initial_statistics(net)
    learner = at_rest(draw_parameters(key(0), he_normal(net)), statistics)
    x, y = np.array([[0.0], [2.0], [4.0], [8.0]]), np.zeros(4, dtype=np.int32)
    for mean, variance in ((0.875, 1.375), (1.53125, 1.65625)):
        learner, _, _ = train_step(net, plan, learner, None, x, y, 0.1)
        found = {path: value.tolist() for path, value in learner.statistics.items()}
        assert found == {"n/mean": [mean], "n/variance": [variance]}
    np.testing.assert_array_equal(statistics["n/mean"], [0.0], "what went in stays as it was")


CONVOLUTIONAL = vgg(2, 3, (4, 4, 2))
IMAGES = np.random.default_rng(0).normal(size=(8, 4, 4, 2))
LABELS = np.random.default_rng(1).integers(3, size=8).astype(np.int32)
IMAGE_PARAMS = draw_parameters(key(3), he_normal(CONVOLUTIONAL))
IMAGE_STATISTICS = initial_statistics(CONVOLUTIONAL)
for array in (IMAGES, LABELS, *IMAGE_PARAMS.values(), *IMAGE_STATISTICS.values()):
    array.setflags(write=False)


def test_a_step_normalises_in_groups_and_goes_down_their_gradient() -> None:
    plan = train_plan(TrainConfig(batch_size=4, batch_norm_group=2, **PLAIN), 8)
    x, y = IMAGES[:4], LABELS[:4]
    after, loss, _ = train_step(CONVOLUTIONAL, plan, at_rest(IMAGE_PARAMS, IMAGE_STATISTICS), None, x, y, 0.5)
    logits, record = forward(CONVOLUTIONAL.layers, IMAGE_PARAMS, None, x, groups=2)
    assert loss == cross_entropy(logits, y)
    gradients = backward(IMAGE_PARAMS, None, record, cross_entropy_gradient(logits, y), groups=2).weights
    for path, value in after.params.items():
        np.testing.assert_array_equal(value, IMAGE_PARAMS[path] - 0.5 * gradients[path], path)


def test_each_image_is_shown_through_the_crop_of_its_epoch() -> None:
    config = TrainConfig(epochs=1, batch_size=4, batch_norm_group=2, augmentation="crop_flip")
    masks = {site: np.ones(shape, dtype=bool) for site, shape in mask_space(CONVOLUTIONAL).items()}
    plan = train_plan(config, 8)
    crops = data_crops(ROOT, 0, plan)
    assert crops is not None
    cropped = IMAGES.copy()
    places = data_order(ROOT, 0, plan).reshape(-1)  # no image comes twice in an epoch
    cropped[places] = crop_images(IMAGES[places], crops.reshape(-1, 3))
    without = TrainConfig(epochs=1, batch_size=4, batch_norm_group=2)
    found = train(CONVOLUTIONAL, IMAGE_PARAMS, masks, (IMAGES, LABELS), config, ROOT)
    expected = train(CONVOLUTIONAL, IMAGE_PARAMS, masks, (cropped, LABELS), without, ROOT)
    np.testing.assert_array_equal(found.losses, expected.losses)
    for path, value in expected.params.items():
        np.testing.assert_array_equal(found.params[path], value, path)


def test_decay_leaves_scales_alone_unless_all_decay() -> None:
    """Without a gradient (the logits' weights are 0, so nothing flows back) only decay moves the weights."""
    params = {**IMAGE_PARAMS, "logits/kernel": np.zeros_like(IMAGE_PARAMS["logits/kernel"])}
    for decayed in ("weights", "all"):
        plan = train_plan(TrainConfig(batch_size=4, batch_norm_group=2, decayed=decayed, weight_decay=0.1), 8)
        before = at_rest(params, IMAGE_STATISTICS)
        after, _, _ = train_step(CONVOLUTIONAL, plan, before, None, IMAGES[:4], LABELS[:4], 0.05)
        assert not np.array_equal(after.params["conv_0/kernel"], params["conv_0/kernel"]), decayed
        moved = not np.array_equal(after.params["norm_0/scale"], params["norm_0/scale"])
        assert moved == (decayed == "all"), decayed

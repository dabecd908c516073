"""Training: SGD by hand, schedules, and what the mask does to a gradient."""

import math
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core import Network, TrainConfig, mlp
from weedout_core.backend import Batches, TrainPlan
from weedout_core.errors import BackendError
from weedout_core.nn import BatchNorm, Dense
from weedout_numpy.batches import crop_images, data_crops, data_order
from weedout_numpy.fitness import count_correct, cross_entropy, cross_entropy_gradient
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.network import backward, forward
from weedout_numpy.randomness import key
from weedout_numpy.training import learning_rates, train_epoch, train_init

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
    params = {"logits/kernel": np.array([[[kernel, -kernel]]]), "logits/bias": np.array([[bias, -bias]])}
    state = train_init(TINY, plan, key(0)[None], params, {})
    kernels, biases = [params["logits/kernel"][0, 0]], [params["logits/bias"][0]]
    for _ in range(config.epochs):
        batches = Batches(np.zeros((1, 1, 1), dtype=np.int32), None)
        state, _ = train_epoch(TINY, plan, state, None, np.ones((1, 1)), np.zeros(1, dtype=np.int32), batches)
        kernels.append(np.asarray(state.params["logits/kernel"])[0, 0])
        biases.append(np.asarray(state.params["logits/bias"])[0])
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
PLAN = TrainPlan(TrainConfig(epochs=2, learning_rate=0.1), examples=20, batch_size=6, optimizer=None)
KEYS = np.stack([key(1), key(2)])
TREES = [draw_parameters(one, he_normal(NET)) for one in KEYS]
PARAMS = {path: np.stack([tree[path] for tree in TREES]) for path in TREES[0]}
MASKS = {"hidden_0": np.arange(16).reshape(2, 8) % 3 > 0}
ORDER = np.stack([data_order(one, 0, PLAN) for one in KEYS])
for array in (X, Y, KEYS, ORDER, *PARAMS.values(), *MASKS.values()):
    array.setflags(write=False)


def test_loss_and_correct_are_those_of_each_batch_before_its_update() -> None:
    _, result = train_epoch(NET, PLAN, train_init(NET, PLAN, KEYS, PARAMS, {}), MASKS, X, Y, Batches(ORDER, None))
    assert result.loss.shape == result.correct.shape == (2, 3)
    assert result.correct.dtype.kind == "i", "correct counts examples"
    for r in range(2):
        batch = ORDER[r, 0]
        logits, _ = forward(NET.layers, TREES[r], {"hidden_0": MASKS["hidden_0"][r]}, X[batch])
        assert result.loss[r, 0] == cross_entropy(logits, Y[batch]), f"loss of network {r}"
        assert result.correct[r, 0] == count_correct(logits, Y[batch]), f"correct of network {r}"


def test_networks_trained_together_are_trained_as_if_alone() -> None:
    state, result = train_epoch(NET, PLAN, train_init(NET, PLAN, KEYS, PARAMS, {}), MASKS, X, Y, Batches(ORDER, None))
    only = {path: value[1:] for path, value in PARAMS.items()}
    mask = {site: value[1:] for site, value in MASKS.items()}
    alone, alone_result = train_epoch(
        NET, PLAN, train_init(NET, PLAN, KEYS[1:], only, {}), mask, X, Y, Batches(ORDER[1:], None)
    )
    np.testing.assert_array_equal(result.loss[1:], alone_result.loss)
    for path in PARAMS:
        np.testing.assert_array_equal(np.asarray(state.params[path])[1:], np.asarray(alone.params[path]), path)


def test_an_epoch_is_a_pure_function_of_its_state() -> None:
    before = train_init(NET, PLAN, KEYS, PARAMS, {})
    once, first = train_epoch(NET, PLAN, before, MASKS, X, Y, Batches(ORDER, None))
    again, second = train_epoch(NET, PLAN, before, MASKS, X, Y, Batches(ORDER, None))
    assert (before.epoch, once.epoch, again.epoch) == (0, 1, 1), "the epoch counts up in the new state only"
    np.testing.assert_array_equal(first.loss, second.loss)
    for path, value in PARAMS.items():
        np.testing.assert_array_equal(np.asarray(once.params[path]), np.asarray(again.params[path]), path)
        np.testing.assert_array_equal(np.asarray(before.params[path]), value, "the old state stays as it was")


def test_the_weights_of_removed_nodes_get_no_gradient() -> None:
    config = TrainConfig(epochs=1, learning_rate=0.1, **PLAIN)
    plan = PLAN._replace(config=config)
    state, _ = train_epoch(NET, plan, train_init(NET, plan, KEYS, PARAMS, {}), MASKS, X, Y, Batches(ORDER, None))
    for r in range(2):
        removed = ~MASKS["hidden_0"][r]
        into, out = np.asarray(state.params["dense_0/kernel"])[r], np.asarray(state.params["logits/kernel"])[r]
        np.testing.assert_array_equal(into[:, removed], TREES[r]["dense_0/kernel"][:, removed], "weights into it")
        np.testing.assert_array_equal(out[removed], TREES[r]["logits/kernel"][removed], "weights out of it")
        assert not np.array_equal(out[~removed], TREES[r]["logits/kernel"][~removed]), "the kept ones are trained"


def test_training_learns() -> None:
    config = TrainConfig(epochs=60, learning_rate=0.1, batch_size=20, weight_decay=0.0)
    plan = TrainPlan(config, examples=20, batch_size=20, optimizer=None)
    state = train_init(NET, plan, KEYS, PARAMS, {})
    losses: list[np.ndarray] = []
    for epoch in range(60):
        order = np.stack([data_order(one, epoch, plan) for one in KEYS])
        state, result = train_epoch(NET, plan, state, None, X, Y, Batches(order, None))
        losses.append(result.loss)
    assert (losses[-1] < losses[0] / 4).all(), "20 examples are learnt by heart"


def test_divergence_shows_in_the_loss() -> None:
    plan = PLAN._replace(config=TrainConfig(epochs=1, learning_rate=1e200, schedule="constant"))
    _, result = train_epoch(NET, plan, train_init(NET, plan, KEYS, PARAMS, {}), MASKS, X, Y, Batches(ORDER, None))
    assert not np.isfinite(result.loss[:, -1]).any(), "no warning and no error, a loss that is not finite"


def test_another_optimizer_is_refused() -> None:
    with pytest.raises(BackendError, match=r"its own SGD only, optimizer=None; got 'adam'\. Set momentum"):
        train_init(NET, PLAN._replace(optimizer="adam"), KEYS, PARAMS, {})


def test_velocity_starts_at_zero_and_the_rest_as_given() -> None:
    statistics = {"mean": np.ones((2, 3))}
    state = train_init(NET, PLAN, KEYS, PARAMS, statistics)
    assert state.epoch == 0
    assert state.keys is KEYS
    assert set(state.optimizer) == set(PARAMS), "a velocity for every parameter"
    assert not any(np.asarray(value).any() for value in state.optimizer.values()), "every velocity is 0"
    np.testing.assert_array_equal(np.asarray(state.statistics["mean"]), statistics["mean"])


def test_running_statistics_after_a_step_by_hand() -> None:
    """Groups (0, 2) and (4, 8) have means 1 and 6 and variances 1 and 4; on average 3.5 and 2.5.

    From mean 0 and variance 1, with momentum 3/4, the running ones come to 0.875 and 1.375; after a second such step
    to 3/4 · 0.875 + 1/4 · 3.5 = 1.53125 and 3/4 · 1.375 + 1/4 · 2.5 = 1.65625.
    """
    net = Network((BatchNorm("n", momentum=0.75), Dense("logits", 2)), (1,))
    plan = TrainPlan(TrainConfig(batch_size=4, batch_norm_group=2), examples=4, batch_size=4, optimizer=None)
    assert plan.groups == 2
    params = {path: value[None] for path, value in draw_parameters(key(0), he_normal(net)).items()}
    statistics = {path: value[None] for path, value in initial_statistics(net).items()}
    state = train_init(net, plan, key(0)[None], params, statistics)
    x, y = np.array([[8.0], [0.0], [4.0], [2.0]]), np.zeros(4, dtype=np.int32)
    batches = Batches(np.array([[[1, 3, 2, 0]]], dtype=np.int32), None)  # groups follow the order of the batch
    for mean, variance in ((0.875, 1.375), (1.53125, 1.65625)):
        state, _ = train_epoch(net, plan, state, None, x, y, batches)
        found = {path: np.asarray(value).tolist() for path, value in state.statistics.items()}
        assert found == {"n/mean": [[mean]], "n/variance": [[variance]]}
    np.testing.assert_array_equal(np.asarray(statistics["n/mean"]), [[0.0]], "what went in stays as it was")


CONVOLUTIONAL = wc.vgg(2, 3, (4, 4, 2))
IMAGES = np.random.default_rng(0).normal(size=(9, 4, 4, 2))
LABELS = np.random.default_rng(1).integers(3, size=9).astype(np.int32)
CROPPED = TrainPlan(
    TrainConfig(epochs=1, batch_size=4, batch_norm_group=2, augmentation="crop_flip"), 9, 4, optimizer=None
)
CROPS = np.stack([np.asarray(data_crops(one, 0, CROPPED)) for one in KEYS])
IMAGE_ORDER = np.stack([data_order(one, 0, CROPPED) for one in KEYS])
IMAGE_PARAMS = {
    path: np.stack([value, value / 2]) for path, value in draw_parameters(key(3), he_normal(CONVOLUTIONAL)).items()
}
IMAGE_STATISTICS = {path: np.stack([value, value]) for path, value in initial_statistics(CONVOLUTIONAL).items()}
IMAGE_MASKS = {
    site: np.arange(2 * math.prod(shape)).reshape(2, *shape) % 3 > 0
    for site, shape in wc.mask_space(CONVOLUTIONAL).items()
}
for array in (
    IMAGES, LABELS, CROPS, IMAGE_ORDER, *IMAGE_PARAMS.values(), *IMAGE_STATISTICS.values(), *IMAGE_MASKS.values()
):  # fmt: skip
    array.setflags(write=False)


def train_images(x: np.ndarray, order: np.ndarray, crops: np.ndarray | None) -> tuple[Any, Any]:
    state = train_init(CONVOLUTIONAL, CROPPED, KEYS, IMAGE_PARAMS, IMAGE_STATISTICS)
    return train_epoch(CONVOLUTIONAL, CROPPED, state, IMAGE_MASKS, x, LABELS, Batches(order, crops))


def test_each_image_is_shown_through_its_crop() -> None:
    """Network 0 sees crops of what network 1 does not: shown beforehand, they give the same numbers."""
    state, result = train_images(IMAGES, IMAGE_ORDER, CROPS)
    for r in range(2):
        shown = IMAGES.copy()
        places, crops = IMAGE_ORDER[r].reshape(-1), CROPS[r].reshape(-1, 3)  # no image comes twice in an epoch
        shown[places] = crop_images(IMAGES[places], crops)
        other, expected = train_images(shown, IMAGE_ORDER, None)
        np.testing.assert_array_equal(result.loss[r], expected.loss[r], f"network {r}")
        for path, value in state.params.items():
            np.testing.assert_array_equal(value[r], other.params[path][r], f"{path} of network {r}")


def test_a_step_normalises_in_groups_and_goes_down_their_gradient() -> None:
    plan = CROPPED._replace(config=TrainConfig(epochs=1, learning_rate=0.5, batch_size=4, batch_norm_group=2, **PLAIN))
    state = train_init(CONVOLUTIONAL, plan, KEYS, IMAGE_PARAMS, IMAGE_STATISTICS)
    batches = Batches(IMAGE_ORDER[:, :1], None)
    state, result = train_epoch(CONVOLUTIONAL, plan, state, IMAGE_MASKS, IMAGES, LABELS, batches)
    batch = IMAGE_ORDER[1, 0]
    params = {path: value[1] for path, value in IMAGE_PARAMS.items()}
    mask = {site: value[1] for site, value in IMAGE_MASKS.items()}
    logits, record = forward(CONVOLUTIONAL.layers, params, mask, IMAGES[batch], groups=2)
    assert result.loss[1, 0] == cross_entropy(logits, LABELS[batch])
    gradients, _ = backward(params, mask, record, cross_entropy_gradient(logits, LABELS[batch]), groups=2)
    for path, value in state.params.items():
        np.testing.assert_array_equal(value[1], params[path] - 0.5 * gradients[path], path)


def test_an_epoch_of_images_is_pure_and_moves_what_is_trained() -> None:
    once, first = train_images(IMAGES, IMAGE_ORDER, CROPS)
    again, second = train_images(IMAGES, IMAGE_ORDER, CROPS)
    np.testing.assert_array_equal(first.loss, second.loss)
    for name in ("params", "statistics", "optimizer"):
        before = {"params": IMAGE_PARAMS, "statistics": IMAGE_STATISTICS}.get(name, {})
        for path, value in getattr(once, name).items():
            np.testing.assert_array_equal(value, getattr(again, name)[path], path)
            assert path not in before or not np.array_equal(value, before[path]), f"{path} is trained"


def test_decay_leaves_scales_alone_unless_all_decay() -> None:
    """Without a gradient (the logits' weights are 0, so nothing flows back) only decay moves the weights."""
    params = {**IMAGE_PARAMS, "logits/kernel": np.zeros_like(IMAGE_PARAMS["logits/kernel"])}
    batches = Batches(IMAGE_ORDER[:, :1], None)
    for decayed in ("weights", "all"):
        config = TrainConfig(epochs=1, batch_size=4, decayed=decayed, weight_decay=0.1, schedule="constant")
        state = train_init(CONVOLUTIONAL, CROPPED, KEYS, params, IMAGE_STATISTICS)
        state, _ = train_epoch(
            CONVOLUTIONAL, CROPPED._replace(config=config), state, IMAGE_MASKS, IMAGES, LABELS, batches
        )
        assert not np.array_equal(np.asarray(state.params["conv_0/kernel"]), params["conv_0/kernel"]), decayed
        moved = not np.array_equal(np.asarray(state.params["norm_0/scale"]), params["norm_0/scale"])
        assert moved == (decayed == "all"), decayed

"""R networks at a time: each is trained and run as if it were alone."""

import math
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core import TrainConfig, mlp
from weedout_core.backend import Batches, TrainPlan
from weedout_core.errors import BackendError
from weedout_numpy.batches import data_order
from weedout_numpy.crops import crop_images, data_crops
from weedout_numpy.fitness import count_correct, cross_entropy
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.network import forward
from weedout_numpy.randomness import key
from weedout_numpy.together import predict, train_epoch, train_init

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


def test_an_epoch_takes_the_rates_of_its_place_in_training() -> None:
    """Of two epochs the second has a millionth of the rate: from the same weights it goes a millionth as far."""
    config = TrainConfig(epochs=2, schedule="step", step_epochs=(1,), step_factor=1e-6, momentum=0.0, nesterov=False)
    plan, before = PLAN._replace(config=config), train_init(NET, PLAN, KEYS, PARAMS, {})
    moved: list[float] = []
    for epoch in range(2):
        after, _ = train_epoch(NET, plan, before._replace(epoch=epoch), MASKS, X, Y, Batches(ORDER, None))
        moved.append(abs(after.params["dense_0/kernel"] - PARAMS["dense_0/kernel"]).max())
    assert 0 < moved[1] < moved[0] / 1000


def test_an_epoch_is_a_pure_function_of_its_state() -> None:
    before = train_init(NET, PLAN, KEYS, PARAMS, {})
    once, first = train_epoch(NET, PLAN, before, MASKS, X, Y, Batches(ORDER, None))
    again, second = train_epoch(NET, PLAN, before, MASKS, X, Y, Batches(ORDER, None))
    assert (before.epoch, once.epoch, again.epoch) == (0, 1, 1), "the epoch counts up in the new state only"
    np.testing.assert_array_equal(first.loss, second.loss)
    for path, value in PARAMS.items():
        np.testing.assert_array_equal(np.asarray(once.params[path]), np.asarray(again.params[path]), path)
        np.testing.assert_array_equal(np.asarray(before.params[path]), value, "the old state stays as it was")


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


def test_an_epoch_of_images_is_pure_and_moves_what_is_trained() -> None:
    once, first = train_images(IMAGES, IMAGE_ORDER, CROPS)
    again, second = train_images(IMAGES, IMAGE_ORDER, CROPS)
    np.testing.assert_array_equal(first.loss, second.loss)
    for name in ("params", "statistics", "optimizer"):
        before = {"params": IMAGE_PARAMS, "statistics": IMAGE_STATISTICS}.get(name, {})
        for path, value in getattr(once, name).items():
            np.testing.assert_array_equal(value, getattr(again, name)[path], path)
            assert path not in before or not np.array_equal(value, before[path]), f"{path} is trained"


def test_predict_runs_each_network_with_its_own_weights_and_mask() -> None:
    masks = {"hidden_0": np.stack([MASKS["hidden_0"][1], MASKS["hidden_0"][0]])}
    logits = predict(NET, PARAMS, {}, masks, X)
    assert logits.shape == (2, 20, 3)
    for r in range(2):
        alone, _ = forward(NET.layers, TREES[r], {"hidden_0": masks["hidden_0"][r]}, X)
        np.testing.assert_array_equal(logits[r], alone, f"network {r}")
    np.testing.assert_array_equal(predict(NET, PARAMS, {}, None, X)[1], forward(NET.layers, TREES[1], None, X)[0])


def test_predict_takes_the_running_statistics_of_each_network() -> None:
    statistics = {path: value + np.arange(2).reshape(2, 1) for path, value in IMAGE_STATISTICS.items()}
    logits = predict(CONVOLUTIONAL, IMAGE_PARAMS, statistics, None, IMAGES)
    for r in range(2):
        params, running = ({path: value[r] for path, value in tree.items()} for tree in (IMAGE_PARAMS, statistics))
        alone, _ = forward(CONVOLUTIONAL.layers, params, None, IMAGES, running)
        np.testing.assert_array_equal(logits[r], alone, f"network {r}")

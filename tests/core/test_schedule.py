"""What is decided before training: learning rates, plans, the order and the crops of each epoch."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._algorithm.schedule import check_plan, epoch_crops, epoch_order

NET = wc.mlp(inputs=2, hidden=(6,), classes=2)
CONFIG = wc.TrainConfig(epochs=3, batch_size=8, learning_rate=0.1)
CROPPED = wc.TrainConfig(augmentation="crop_flip")


# Learning rates and decay


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
        (wc.TrainConfig(epochs=0), 5, []),
        (
            wc.TrainConfig(epochs=3, learning_rate=1.0, schedule="constant", warmup_epochs=2),
            2,
            [0.25, 0.5, 0.75, 1.0, 1.0, 1.0],
        ),
        (
            wc.TrainConfig(epochs=2, learning_rate=1.0, schedule="cosine", warmup_epochs=1),
            2,
            [0.5, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2],
        ),
        (
            wc.TrainConfig(epochs=2, learning_rate=1.0, schedule="step", step_epochs=(1,), warmup_epochs=2),
            1,
            [0.5, 0.2],
        ),
    ],
)
def test_learning_rates_by_hand(config: wc.TrainConfig, steps: int, rates: list[float]) -> None:
    found = wc.backend.learning_rates(config, steps)
    assert found.dtype == np.float64
    # A cosine and three products, each rounded to 2^-53 of values up to 1.
    np.testing.assert_allclose(found, rates, rtol=1e-14, atol=1e-15)


@given(st.sampled_from(["cosine", "step", "constant"]), st.integers(0, 6), st.integers(0, 8), st.integers(1, 5))
def test_a_warm_up_grows_to_the_schedule_and_leaves_it_alone_after(
    schedule: Any, epochs: int, warmup: int, steps: int
) -> None:
    assume(schedule != "step" or epochs > 2)  # the rate falls at the start of the third
    assume(warmup <= epochs)
    config = wc.TrainConfig(
        epochs=epochs, schedule=schedule, step_epochs=(2,) if schedule == "step" else (), warmup_epochs=warmup
    )
    plain = wc.backend.learning_rates(dataclasses.replace(config, warmup_epochs=0), steps)
    warmed = wc.backend.learning_rates(config, steps)
    assert len(warmed) == epochs * steps
    first = warmup * steps
    np.testing.assert_array_equal(warmed[first:], plain[first:], "after the warm-up")
    growing = np.arange(1, len(warmed[:first]) + 1) / max(first, 1)
    np.testing.assert_allclose(warmed[:first], plain[:first] * growing, rtol=1e-15)  # one more rounding, 2^-53
    assert (warmed > 0).all(), "the first step of a warm-up is a step"


def test_weight_decay_touches_kernels_or_all() -> None:
    weights = wc.backend.decayed_paths(NET, wc.TrainConfig())
    assert weights == {"dense_0/kernel": True, "dense_0/bias": False, "logits/kernel": True, "logits/bias": False}
    assert all(wc.backend.decayed_paths(NET, wc.TrainConfig(decayed="all")).values())


def test_weight_decay_leaves_batch_norm_alone_unless_it_touches_all() -> None:
    net = wc.vgg(1, 2, (2, 2, 1))
    assert wc.backend.decayed_paths(net, wc.TrainConfig()) == {
        "conv_0/kernel": True,
        "norm_0/scale": False,
        "norm_0/bias": False,
        "logits/kernel": True,
        "logits/bias": False,
    }
    assert all(wc.backend.decayed_paths(net, wc.TrainConfig(decayed="all")).values())


# The plan


@pytest.mark.parametrize(
    ("batch", "group", "examples", "size", "groups"),
    [
        (128, 128, 50_000, 128, 1),
        (1024, 128, 50_000, 1024, 8),
        (1024, None, 50_000, 1024, 1),
        (64, 128, 50_000, 64, 1),  # a smaller batch is one group
        (1024, 128, 512, 512, 4),  # of a smaller split all
        (1024, None, 1000, 1000, 1),
        (1024, 128, 100, 100, 1),  # a split smaller than a group is one
        (256, 64, 64, 64, 1),
        (6, 1, 5, 5, 5),
    ],
)
def test_a_plan_cuts_a_batch_to_the_split_and_counts_its_groups(
    batch: int, group: int | None, examples: int, size: int, groups: int
) -> None:
    config = wc.TrainConfig(batch_size=batch, batch_norm_group=group)
    plan = wc.backend.train_plan(config, examples)
    assert (plan.batch_size, plan.groups, plan.steps) == (size, groups, examples // size)
    assert (plan.config, plan.examples, plan.optimizer) == (config, examples, None)


NORMED = wc.Network(
    (wc.nn.Conv("conv", 2), wc.nn.BatchNorm("norm"), wc.nn.Flatten(), wc.nn.Dense("logits", 2)), (2, 2, 1)
)


@pytest.mark.parametrize(("batch", "examples"), [(129, 1000), (200, 1000), (1024, 1000)])
def test_batch_normalisation_needs_whole_groups(batch: int, examples: int) -> None:
    plan = wc.backend.train_plan(wc.TrainConfig(batch_size=batch), examples)
    with pytest.raises(wc.errors.ConfigError) as caught:
        check_plan(NORMED, plan)
    assert str(caught.value) == (
        "a batch must be whole groups of batch_norm_group, 128, for batch normalisation; a step has "
        f"{min(batch, examples)} of {examples} examples. Change batch_size or batch_norm_group."
    )
    check_plan(wc.mlp(4, (3,), 2), plan)  # without it there are no groups
    check_plan(NORMED, wc.backend.train_plan(wc.TrainConfig(batch_size=batch, batch_norm_group=None), examples))


@pytest.mark.parametrize("batch", [1, 100, 128, 256])
def test_a_smaller_batch_is_a_group_of_its_own(batch: int) -> None:
    check_plan(NORMED, wc.backend.train_plan(wc.TrainConfig(batch_size=batch), 1000))


def test_plans_are_hashable_and_carry_the_optimizer() -> None:
    assert hash(wc.backend.train_plan(CONFIG, 30)) == hash(wc.backend.train_plan(CONFIG, 30)), (
        "a compiled program is kept for one"
    )
    assert wc.backend.train_plan(wc.TrainConfig(), 30, "mine").optimizer == "mine"


# The order of the data


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 60), st.integers(1, 60))
def test_an_epoch_is_a_permutation_cut_into_full_batches(seed: int, epoch: int, examples: int, batch: int) -> None:
    plan = wc.backend.TrainPlan(CONFIG, examples, min(batch, examples), None)
    order = epoch_order(wc.key(seed), epoch, plan)
    assert order.dtype == np.int32
    assert order.shape == (examples // plan.batch_size, plan.batch_size)
    assert len(set(order.ravel().tolist())) == order.size, "no example twice in an epoch"
    words = wc.random.bits(
        wc.random.fold_in(wc.random.fold_in(wc.key(seed), 3), epoch), examples
    )  # stream data order is 3
    np.testing.assert_array_equal(order.ravel(), np.argsort(words, kind="stable")[: order.size])


def test_every_epoch_and_every_key_has_its_own_order() -> None:
    plan = wc.backend.TrainPlan(CONFIG, 50, 10, None)
    orders = [epoch_order(wc.key(seed), epoch, plan) for seed in (0, 1) for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4


# Crops


def test_without_augmentation_there_are_no_crops() -> None:
    assert epoch_crops(wc.key(0), 0, wc.backend.train_plan(CONFIG, 30)) is None


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 30), st.integers(1, 7))
def test_each_crop_is_the_high_word_of_a_product(seed: int, epoch: int, examples: int, batch: int) -> None:
    plan = wc.backend.TrainPlan(CROPPED, examples, min(batch, examples), None)
    crops = epoch_crops(wc.key(seed), epoch, plan)
    assert crops is not None
    assert (crops.dtype, crops.shape) == (np.int32, (plan.steps, plan.batch_size, 3))
    count = plan.steps * plan.batch_size
    words = wc.random.bits(
        wc.random.fold_in(wc.random.fold_in(wc.key(seed), 4), epoch), 3 * count
    ).tolist()  # stream augmentation is 4
    places = crops.reshape(-1, 3).tolist()
    for place, crop in enumerate(places):
        expected = [words[3 * place + j] * (9, 9, 2)[j] // 2**32 for j in range(3)]
        assert crop == expected, f"row, column, mirrored of the example at place {place}"
    again = epoch_crops(wc.key(seed), epoch, plan)
    np.testing.assert_array_equal(again, crops, "the same key and epoch")


def test_crops_are_uniform_over_their_range() -> None:
    """Of n draws a value of probability p comes n·p times, with standard deviation √(n·p·(1 − p)); 5 are allowed."""
    assert wc.backend.CROP_MARGIN == 4, "a window may be moved by as much either way"
    plan = wc.backend.TrainPlan(CROPPED, 9000, 90, None)
    crops = epoch_crops(wc.key(11), 0, plan)
    assert crops is not None
    flat = crops.reshape(-1, 3)
    for column, values in ((0, 9), (1, 9), (2, 2)):
        counts = np.bincount(flat[:, column], minlength=values)
        assert len(counts) == values, f"column {column} is below {values}"
        off = np.abs(counts - 9000 / values).max()
        assert off < 5 * math.sqrt(9000 / values * (1 - 1 / values)), f"column {column}: {counts}"
    together = np.bincount(flat @ [18, 2, 1], minlength=162)
    assert np.abs(together - 9000 / 162).max() < 5 * math.sqrt(9000 / 162), "no two of the three go together"


def test_every_epoch_and_every_key_has_its_own_crops() -> None:
    plan = wc.backend.train_plan(CROPPED, 200)
    crops = [epoch_crops(wc.key(seed), epoch, plan) for seed in (0, 1) for epoch in (0, 1)]
    assert len({crop.tobytes() for crop in crops if crop is not None}) == 4


# Several networks


@pytest.mark.parametrize("config", [CONFIG, dataclasses.replace(CONFIG, augmentation="crop_flip")])
def test_each_network_has_the_batches_of_its_own_key(config: wc.TrainConfig) -> None:
    plan, keys = wc.backend.train_plan(config, 30), [wc.key(3), wc.key(9), wc.key(3)]
    batches = wc.backend.epoch_batches(keys, 2, plan)
    assert (batches.order.dtype, batches.order.shape) == (np.int32, (3, 3, 8))
    assert (batches.crops is None) == (config.augmentation == "none")
    for index, key in enumerate(keys):
        np.testing.assert_array_equal(batches.order[index], epoch_order(key, 2, plan))
        if batches.crops is not None:
            assert (batches.crops.dtype, batches.crops.shape) == (np.int32, (3, 3, 8, 3))
            np.testing.assert_array_equal(batches.crops[index], epoch_crops(key, 2, plan))


def test_augmentation_does_not_move_the_order() -> None:
    plain, cropped = (
        wc.backend.train_plan(dataclasses.replace(CONFIG, augmentation=kind), 30) for kind in ("none", "crop_flip")
    )
    keys = [wc.key(3)]
    np.testing.assert_array_equal(
        wc.backend.epoch_batches(keys, 1, plain).order, wc.backend.epoch_batches(keys, 1, cropped).order
    )

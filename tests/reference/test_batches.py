"""Batches: the examples of a generation, and those of each step of an epoch."""

import numpy as np
import pytest

import weedout_core as wc
from weedout_core import TrainConfig
from weedout_core.backend import TrainPlan
from weedout_numpy.batches import data_order, shown, train_plan, validation_batch
from weedout_numpy.crops import crop_images
from weedout_numpy.randomness import DATA_ORDER, VALIDATION_BATCHES, fold_in, key, permutation, random_bits

SPLIT = np.arange(50, dtype=np.float32).reshape(50, 1), np.arange(50) % 3
for array in SPLIT:
    array.setflags(write=False)


def test_a_validation_batch_is_the_examples_with_the_smallest_words() -> None:
    words = random_bits(fold_in(fold_in(key(3), VALIDATION_BATCHES), 2), 50)
    x, y = validation_batch(key(3), 2, SPLIT, 10)
    np.testing.assert_array_equal(x[:, 0], np.sort(np.argsort(words)[:10]), "in order, without repeats")
    np.testing.assert_array_equal(y, x[:, 0] % 3, "each with its own label")
    assert x.dtype == np.float64, "everything that follows is computed in float64"
    other, _ = validation_batch(key(3), 1, SPLIT, 10)
    assert not np.array_equal(x, other), "each generation draws a fresh batch"


@pytest.mark.parametrize("size", [50, 60])
def test_a_small_split_is_used_whole(size: int) -> None:
    x, y = validation_batch(key(3), 2, SPLIT, size)
    np.testing.assert_array_equal(x, SPLIT[0])
    np.testing.assert_array_equal(y, SPLIT[1])
    assert x.dtype == np.float64


def test_an_epoch_deals_a_fresh_permutation_into_full_batches() -> None:
    plan = TrainPlan(TrainConfig(), examples=11, batch_size=3, optimizer=None)
    order = data_order(key(1), 4, plan)
    expected = permutation(fold_in(fold_in(key(1), DATA_ORDER), 4), 11)[:9].reshape(3, 3)
    np.testing.assert_array_equal(order, expected, "the two left over wait")
    assert order.dtype == np.int32
    assert not np.array_equal(order, data_order(key(1), 5, plan)), "each epoch has an order of its own"


def test_each_step_is_shown_its_batch() -> None:
    first, second = shown(SPLIT, np.array([[7, 3], [0, 49]]), None)
    assert (first[0][:, 0].tolist(), first[1].tolist()) == ([7, 3], [1, 0])
    assert (second[0][:, 0].tolist(), second[1].tolist()) == ([0, 49], [0, 1])
    assert first[0].dtype == np.float64


def test_images_are_shown_through_their_crops() -> None:
    x, crops = np.arange(18.0).reshape(2, 3, 3, 1), np.array([[[4, 4, 1], [3, 4, 0]]])
    ((images, labels),) = shown((x, np.array([5, 6])), np.array([[1, 0]]), crops)
    np.testing.assert_array_equal(images, crop_images(x[[1, 0]], crops[0]))
    assert labels.tolist() == [6, 5]


@pytest.mark.parametrize(
    ("batch_size", "group", "examples"),
    [(8, 4, 100), (8, 8, 100), (8, None, 100), (8, 128, 100), (8, 4, 7), (8, 4, 3), (8, None, 3), (8, 2, 5)],
)
def test_plans_are_those_of_the_core(batch_size: int, group: int | None, examples: int) -> None:
    config = TrainConfig(batch_size=batch_size, batch_norm_group=group)
    assert train_plan(config, examples) == wc.backend.train_plan(config, examples)

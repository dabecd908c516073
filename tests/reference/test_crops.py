"""Crops: drawn fairly, and by hand."""

from typing import Any

import numpy as np
import pytest

from weedout_core import TrainConfig
from weedout_core._algorithm.schedule import epoch_crops
from weedout_core.backend import TrainPlan
from weedout_core.errors import ConfigError
from weedout_numpy.crops import crop_images, data_crops
from weedout_numpy.randomness import AUGMENTATION, fold_in, key, random_bits

CROPPED = TrainPlan(TrainConfig(augmentation="crop_flip"), examples=11, batch_size=3, optimizer=None)


def test_crops_take_three_words_a_place_from_a_stream_of_their_own() -> None:
    crops = data_crops(key(1), 4, CROPPED)
    assert crops is not None
    assert (crops.shape, crops.dtype) == ((3, 3, 3), np.int32)
    words = random_bits(fold_in(fold_in(key(1), AUGMENTATION), 4), 27)
    row, column, mirrored = (int(word) for word in words[3 * 5 : 3 * 6])  # place 5: step 1, example 2
    assert crops[1, 2].tolist() == [row * 9 // 2**32, column * 9 // 2**32, mirrored // 2**31]
    assert not np.array_equal(crops, np.asarray(data_crops(key(1), 5, CROPPED))), "each epoch has crops of its own"


def test_every_shift_is_drawn_and_half_the_images_are_mirrored() -> None:
    """Of n = 9,000 fair draws a share p errs by √(p (1 − p)/n), as a standard deviation; 6 are allowed."""
    n = 9000
    crops = data_crops(key(2), 0, CROPPED._replace(examples=n, batch_size=n))
    assert crops is not None
    for j, count in enumerate((9, 9, 2)):
        shares = np.bincount(crops[0, :, j]) / n
        assert shares.shape == (count,), "from 0 to the last"
        assert (abs(shares - 1 / count) < 6 * np.sqrt((1 / count) * (1 - 1 / count) / n)).all()


@pytest.mark.parametrize("augmentation", ["none", "crop_flip"])
def test_the_core_draws_the_same_crops(augmentation: Any) -> None:
    plan = CROPPED._replace(config=TrainConfig(augmentation=augmentation))
    found, expected = data_crops(key(3), 2, plan), epoch_crops(key(3), 2, plan)
    assert (found is None) == (expected is None) == (augmentation == "none")
    np.testing.assert_array_equal(np.array(found), np.array(expected))


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        ((4, 4, 0), [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ((4, 4, 1), [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ((3, 4, 0), [[0, 0, 0], [1, 2, 3], [4, 5, 6]]),
        ((4, 6, 0), [[3, 0, 0], [6, 0, 0], [9, 0, 0]]),
        ((4, 6, 1), [[0, 0, 3], [0, 0, 6], [0, 0, 9]]),
        ((6, 3, 0), [[0, 7, 8], [0, 0, 0], [0, 0, 0]]),
        ((0, 4, 0), [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ((8, 8, 1), [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
    ids=["as it is", "mirrored", "down", "left by 2", "cut, then mirrored", "up by 2 and right", "above", "beyond"],
)
def test_crops_of_a_3_by_3_image_by_hand(crop: tuple[int, int, int], expected: list[list[int]]) -> None:
    image = np.arange(1.0, 10.0).reshape(3, 3, 1)
    x = np.stack([image + 100, image])
    x.setflags(write=False)
    shown = crop_images(x, np.array([(4, 4, 0), crop], dtype=np.int32))
    np.testing.assert_array_equal(shown[1, :, :, 0], expected)
    np.testing.assert_array_equal(shown[0], x[0], "each image has a crop of its own")


def test_channels_and_lengths_stay_what_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(1, 5, 2, 3))
    shown = crop_images(x, np.array([(5, 4, 1)]))
    np.testing.assert_array_equal(shown[0, :4], x[0, 1:, ::-1], "one row up, and mirrored")
    assert not shown[0, 4].any()


def test_only_images_can_be_cropped() -> None:
    with pytest.raises(ConfigError, match=r"needs images \(height, width, channels\); got examples of shape \(6,\)"):
        crop_images(np.zeros((1, 6)), np.zeros((1, 3), dtype=np.int32))

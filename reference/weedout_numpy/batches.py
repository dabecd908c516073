"""Batches: which examples each step of training is shown, and how their images are moved about.

Neither the shuffling nor the moving is in the paper, which names the data sets only. Both are drawn from the seed,
epoch by epoch: see ``randomness``.
"""

import numpy as np
from jaxtyping import Float, Int, Int32

from weedout_core import TrainConfig
from weedout_core.backend import TrainPlan
from weedout_core.errors import ConfigError
from weedout_numpy.randomness import AUGMENTATION, DATA_ORDER, Key, fold_in, permutation, random_bits

CROP_MARGIN = 4  # zeros around an image before it is cropped


def train_plan(config: TrainConfig, examples: int) -> TrainPlan:
    """The plan for a split of this size: its batches are no larger than it."""
    return TrainPlan(config, examples, min(config.batch_size, examples), None)


def data_order(key: Key, epoch: int, plan: TrainPlan) -> Int32[np.ndarray, "steps batch"]:
    """The examples of each step of an epoch: all of them shuffled anew and dealt out into full batches.

    The few that are left over wait for another epoch.
    """
    shuffled = permutation(fold_in(fold_in(key, DATA_ORDER), epoch), plan.examples)
    return shuffled[: plan.steps * plan.batch_size].reshape(plan.steps, plan.batch_size)


def data_crops(key: Key, epoch: int, plan: TrainPlan) -> Int32[np.ndarray, "steps batch 3"] | None:
    """For each place of an epoch a row and a column in 0 … 8, and mirrored, 0 or 1; None without augmentation.

    A random word w in [0, 2^32) makes ``⌊w · n / 2^32⌋``, a number in 0 … n − 1, in integers only. Place i of the
    epoch takes the words 3i, 3i + 1 and 3i + 2.
    """
    if plan.config.augmentation == "none":
        return None
    places = plan.steps * plan.batch_size
    words = random_bits(fold_in(fold_in(key, AUGMENTATION), epoch), 3 * places)
    crops = np.zeros((places, 3), dtype=np.int32)
    for i in range(places):
        for j, n in enumerate((2 * CROP_MARGIN + 1, 2 * CROP_MARGIN + 1, 2)):
            crops[i, j] = int(words[3 * i + j]) * n >> 32
    return crops.reshape(plan.steps, plan.batch_size, 3)


def crop_images(
    x: Float[np.ndarray, "examples height width channels"], crops: Int[np.ndarray, "examples 3"]
) -> Float[np.ndarray, "examples height width channels"]:
    """Move each image by up to 4 pixels each way, and mirror some left to right.

    The augmentation of He, Zhang, Ren, Sun, "Deep Residual Learning" (CVPR 2016), section 4.2: "4 pixels are padded
    on each side, and a 32×32 crop is randomly sampled from the padded image or its horizontal flip."

    Raises:
        ConfigError: the examples are no images.
    """
    if x.ndim != 4:
        raise ConfigError(
            f"augmentation needs images (height, width, channels); got examples of shape {x.shape[1:]}. "
            'Set TrainConfig.augmentation="none".'
        )
    _, height, width, _ = x.shape
    border = (CROP_MARGIN, CROP_MARGIN)
    shown = np.zeros(x.shape)
    for i, (row, column, mirrored) in enumerate(crops):
        image = np.pad(x[i], (border, border, (0, 0)))[row : row + height, column : column + width]
        shown[i] = image[:, ::-1] if mirrored else image
    return shown

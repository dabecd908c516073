"""Crops: images that are moved about a little each time they are shown in training. Not in the paper.

Wide ResNets, the paper's networks, are usually trained in this way: see ``TrainConfig.augmentation``, which is "none"
by default.
"""

import numpy as np
from jaxtyping import Float, Int, Int32

from weedout_core.backend import TrainPlan
from weedout_core.errors import ConfigError
from weedout_numpy.randomness import AUGMENTATION, Key, fold_in, random_bits

CROP_MARGIN = 4  # zeros around an image before it is cropped


def data_crops(root: Key, epoch: int, plan: TrainPlan) -> Int32[np.ndarray, "steps batch 3"] | None:
    """Draw for each example of an epoch a row and a column in 0 … 8, and whether it is mirrored, 0 or 1.

    A random word w in [0, 2^32) makes ``⌊w · n / 2^32⌋``, a number in 0 … n − 1, in integers only. Example i in the
    order of the epoch takes the words 3i, 3i + 1 and 3i + 2.

    Returns:
        None where images are shown as they are.
    """
    if plan.config.augmentation == "none":
        return None
    places = plan.steps * plan.batch_size
    words = random_bits(fold_in(fold_in(root, AUGMENTATION), epoch), 3 * places)
    crops = np.zeros((places, 3), dtype=np.int32)
    for i in range(places):
        for j, n in enumerate((2 * CROP_MARGIN + 1, 2 * CROP_MARGIN + 1, 2)):
            crops[i, j] = int(words[3 * i + j]) * n >> 32
    return crops.reshape(plan.steps, plan.batch_size, 3)


def crop_images(
    x: Float[np.ndarray, "examples height width channels"], crops: Int[np.ndarray, "examples 3"]
) -> Float[np.ndarray, "examples height width channels"]:
    """Move each image by up to 4 pixels each way, and mirror some left to right.

    He, Zhang, Ren, Sun, "Deep Residual Learning" (CVPR 2016), section 4.2: "4 pixels are padded on each side, and a
    32×32 crop is randomly sampled from the padded image or its horizontal flip."

    Raises:
        ConfigError: the examples are not images.
    """
    if x.ndim != 4:
        raise ConfigError(
            f"augmentation needs images (height, width, channels); got examples of shape {x.shape[1:]}. "
            'Set augmentation="none".'
        )
    _, height, width, _ = x.shape
    border = (CROP_MARGIN, CROP_MARGIN)
    cropped = np.zeros(x.shape)
    for i, (row, column, mirrored) in enumerate(crops):
        image = np.pad(x[i], (border, border, (0, 0)))[row : row + height, column : column + width]
        cropped[i] = image[:, ::-1] if mirrored else image
    return cropped

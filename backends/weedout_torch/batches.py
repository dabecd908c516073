"""Augmentation of the examples of a training step: images are cropped and mirrored."""

import torch

from weedout_core.backend import CROP_MARGIN
from weedout_torch.devices import Tensor


def crop_images(images: Tensor, crops: Tensor) -> Tensor:
    """Crop images ``(examples, height, width, channels)`` by crops (row, column, mirrored), int64 ``(examples, 3)``.

    Each image is padded by ``CROP_MARGIN`` zeros on each side, cut to its size from this row and column on, and then
    mirrored left to right if ``mirrored`` is 1.
    """
    _, height, width, _ = images.shape
    row, column, mirrored = (crops[:, i, None, None] for i in range(3))
    down = torch.arange(height, device=images.device)[None, :, None]
    across = torch.arange(width, device=images.device)[None, None, :]
    example = torch.arange(len(images), device=images.device)[:, None, None]
    padded = torch.nn.functional.pad(images, (0, 0, CROP_MARGIN, CROP_MARGIN, CROP_MARGIN, CROP_MARGIN))
    return padded[example, row + down, column + torch.where(mirrored == 1, width - 1 - across, across)]

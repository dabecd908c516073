"""What a step of training is shown: examples, their images cropped and mirrored."""

import torch

from weedout_core.backend import CROP_MARGIN
from weedout_torch.devices import Tensor


def crop_images(images: Tensor, crops: Tensor) -> Tensor:
    """Move images about: ``(examples, height, width, channels)`` by (row, column, mirrored), int64 ``(examples, 3)``.

    Each is padded by ``CROP_MARGIN`` zeros on each side, shown from that row and column on, and then mirrored left to
    right where the third is 1.
    """
    _, height, width, _ = images.shape
    row, column, mirrored = (crops[:, i, None, None] for i in range(3))
    down = torch.arange(height, device=images.device)[None, :, None]
    across = torch.arange(width, device=images.device)[None, None, :]
    example = torch.arange(len(images), device=images.device)[:, None, None]
    padded = torch.nn.functional.pad(images, (0, 0, CROP_MARGIN, CROP_MARGIN, CROP_MARGIN, CROP_MARGIN))
    return padded[example, row + down, column + torch.where(mirrored == 1, width - 1 - across, across)]

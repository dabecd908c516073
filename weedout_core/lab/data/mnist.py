"""MNIST and Fashion-MNIST: four IDX files, with the images and the labels of the training and of the test part."""

from pathlib import Path

import numpy as np

from weedout_core.errors import DataError
from weedout_core.lab.data.idx import read_images, read_labels
from weedout_core.lab.data.images import Images

_CLASSES = 10


def read_mnist(folder: Path) -> tuple[Images, Images]:
    """The training and the test images: pixels uint8 ``(examples, height, width, 1)``, labels in [0, 10)."""
    train, test = _read_part(folder, "train"), _read_part(folder, "t10k")
    size, test_size = train.pixels.shape[1:3], test.pixels.shape[1:3]
    if test_size != size:
        raise DataError(f"train and test images in {folder} must have the same size; got {size} and {test_size}.")
    return train, test


def _read_part(folder: Path, part: str) -> Images:
    images, labels = read_images(folder, part), read_labels(folder, part, _CLASSES)
    if len(images.values) != len(labels.values):
        raise DataError(
            f"{labels.path} must hold one label for each of the {len(images.values)} images in {images.path}; "
            f"got {len(labels.values)}. The files are from different datasets, or one is damaged."
        )
    return Images(images.values[..., np.newaxis], labels.values, {one.name: one.md5 for one in (images, labels)})

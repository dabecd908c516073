"""Real data for experiments: train, validation and test splits that are the same in every run.

Splits are stratified by class and drawn from the project's own stream with a constant key, so they depend on
neither the run's seed nor a library's version. The validation split serves the search and is never trained on.
"""

import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from weedout_core._data import Examples
from weedout_core._errors import DataError
from weedout_core._random import key, permutation
from weedout_core.lab.idx import read_images, read_labels

_CLASSES = 10
_DIGITS_TRAIN, _DIGITS_VALIDATION = 1200, 300
_HELD_OUT = 6  # one training example in so many is held out for validation: 10,000 of MNIST's 60,000


class Dataset(NamedTuple):
    """A dataset ready for training.

    Attributes:
        name: as in ``DATASETS``.
        train, validation, test: x float32 ``(examples, features)``, standardised; y int32 ``(examples,)``.
        classes: labels are in [0, classes).
        digest: SHA-256 over all arrays, in hexadecimal.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    classes: int
    digest: str


class _Raw(NamedTuple):
    """Pixels uint8 ``(examples, features)``, labels ``(examples,)``, and the examples of each split."""

    pixels: np.ndarray
    labels: np.ndarray
    splits: tuple[np.ndarray, np.ndarray, np.ndarray]


def load_dataset(name: str, data_dir: Path | str | None = None) -> Dataset:
    """Load a dataset, flattened, scaled to [0, 1] and standardised with the train split's scalar mean and deviation.

    Args:
        name: "digits" (bundled with scikit-learn), "mnist" or "fashion-mnist" (IDX files).
        data_dir: the folder that holds the IDX files, or a subfolder ``mnist`` or ``fashion-mnist`` with them.
    Raises:
        DataError: the name is unknown, or a file is missing or damaged.
    """
    if name not in DATASETS:
        raise DataError(f"unknown dataset {name!r}; known are {', '.join(DATASETS)}.")
    raw = DATASETS[name](None if data_dir is None else Path(data_dir))
    levels = _standardised_levels(raw.pixels[raw.splits[0]])
    train, validation, test = (
        Examples(levels[raw.pixels[split]], raw.labels[split].astype(np.int32)) for split in raw.splits
    )
    return Dataset(name, train, validation, test, _CLASSES, _digest(train, validation, test))


def _digits(data_dir: Path | None) -> _Raw:
    from sklearn.datasets import load_digits  # a second to import, and only this dataset needs it

    del data_dir
    pixels, labels = load_digits(return_X_y=True)
    order = stratified_order(labels)
    splits = np.split(order, [_DIGITS_TRAIN, _DIGITS_TRAIN + _DIGITS_VALIDATION])
    return _Raw(pixels.astype(np.uint8), labels, _in_order(*splits))


def _mnist(data_dir: Path | None) -> _Raw:
    return _from_idx("mnist", data_dir, ("mnist",))


def _fashion_mnist(data_dir: Path | None) -> _Raw:
    return _from_idx("fashion-mnist", data_dir, ("fashion-mnist", "fashion_mnist"))


def _from_idx(name: str, data_dir: Path | None, subfolders: tuple[str, ...]) -> _Raw:
    if data_dir is None:
        raise DataError(f"dataset {name!r} is read from its four IDX files; name their folder with --data-dir.")
    if not data_dir.is_dir():
        raise DataError(f"--data-dir must be a folder with the IDX files of {name!r}; {data_dir} is none.")
    # A subfolder comes first: the same file names directly in data_dir may be those of another dataset.
    folder = next((data_dir / sub for sub in subfolders if (data_dir / sub).is_dir()), data_dir)
    pixels, labels = _read_pair(folder, "train")
    test_pixels, test_labels = _read_pair(folder, "t10k")
    if test_pixels.shape[1:] != pixels.shape[1:]:
        raise DataError(
            f"train and test images in {folder} must have one size; got {pixels.shape[1:]} and {test_pixels.shape[1:]}."
        )
    if len(labels) < _HELD_OUT:
        raise DataError(f"{folder} must hold at least {_HELD_OUT} training images; got {len(labels)}.")
    held_out = len(labels) // _HELD_OUT
    train, validation = np.split(stratified_order(labels), [len(labels) - held_out])
    return _Raw(
        np.concatenate([pixels, test_pixels]).reshape(len(labels) + len(test_labels), -1),
        np.concatenate([labels, test_labels]),
        _in_order(train, validation, len(labels) + np.arange(len(test_labels))),
    )


def _read_pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images_path, images = read_images(folder, f"{part}-images-idx3-ubyte")
    labels_path, labels = read_labels(folder, f"{part}-labels-idx1-ubyte", _CLASSES)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path} must hold one label for each of the {len(images)} images in {images_path}; "
            f"got {len(labels)}. The files are not of one dataset, or one is damaged."
        )
    return images, labels


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """An order whose every stretch holds the classes in their proportions: int64 ``(examples,)`` indices.

    Each class is shuffled, then the classes are merged by how far each example is into its own.
    """
    shuffled = permutation(key(zlib.crc32(b"splits")), len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place[shuffled], kind="stable")].astype(np.int64)


def _in_order(train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.sort(train), np.sort(validation), np.sort(test)


def _standardised_levels(train: np.ndarray) -> np.ndarray:
    """What each pixel value 0 … 255 becomes, float32. The scale to [0, 1] cancels when the values are standardised.

    The sums are integers, so every machine gets the same floats.
    """
    total = int(train.sum(dtype=np.int64))
    squares = int(np.square(train, dtype=np.int64).sum())
    mean = total / train.size
    variance = (squares * train.size - total**2) / train.size**2
    if variance == 0:
        raise DataError("the training images must differ from each other; every pixel has one value.")
    return ((np.arange(256) - mean) / np.sqrt(variance)).astype(np.float32)


def _digest(*splits: Examples) -> str:
    digest = hashlib.sha256()
    for array in (array for split in splits for array in split):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


#: The datasets by name, each read from ``data_dir``.
DATASETS: Mapping[str, Callable[[Path | None], _Raw]] = MappingProxyType(
    {"digits": _digits, "mnist": _mnist, "fashion-mnist": _fashion_mnist}
)

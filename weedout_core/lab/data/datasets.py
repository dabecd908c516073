"""Real data for experiments: train, validation and test splits that are the same in every run.

The validation split serves the search and is never trained on.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import TEXT, Kind, Positive, SomePath, require
from weedout_core.backend import Examples
from weedout_core.errors import ConfigError, DataError, WeedoutWarning
from weedout_core.lab.code.functions import Function, checked_place, imported, is_place
from weedout_core.lab.data.cifar import read_cifar10, read_cifar100
from weedout_core.lab.data.download import downloaded
from weedout_core.lab.data.images import Images
from weedout_core.lab.data.mnist import read_mnist
from weedout_core.lab.data.own import own_data
from weedout_core.lab.data.published import PUBLISHED
from weedout_core.lab.data.reading import find_folder
from weedout_core.lab.data.splits import stratified_order
from weedout_core.lab.data.standardise import standard_levels, standardised

_DIGITS_TRAIN, _DIGITS_VALIDATION = 1200, 300


class Dataset(NamedTuple):
    """A dataset ready for training.

    Attributes:
        name: the name of the dataset, a key of ``DATASETS``, or the place of a function.
        train, validation, test: x float32 ``(examples, height, width, channels)``, standardised, or of any shape and as
            they are where they are the user's own; y int32 ``(examples,)``.
        classes: the number of classes; labels are in [0, classes).
        digest: SHA-256 over all arrays, in hexadecimal.
        other_files: the MD5 of each file whose content is not the one that is published under its name.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    classes: int
    digest: str
    other_files: Mapping[str, str] = MappingProxyType({})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, such as (height, width, channels)."""
        return self.train.x.shape[1:]


class _Raw(NamedTuple):
    """A dataset as it was read, before it is standardised.

    Attributes:
        learning: the images of the train and the validation split.
        test: the images of the test split.
        train, validation, tested: the examples of each split in stratified order, as indices into these images.
        classes: labels are in [0, classes).
        other_files: as of ``Dataset``.
    """

    learning: Images
    test: Images
    train: np.ndarray
    validation: np.ndarray
    tested: np.ndarray
    classes: int
    other_files: Mapping[str, str] = MappingProxyType({})


class _Layout(NamedTuple):
    """A dataset's reader, usual folders and classes; one in ``held_out`` training images is for validation."""

    read: Callable[[Path], tuple[Images, Images]]
    folders: tuple[str, ...]
    held_out: int
    classes: int


@guarded
def load_dataset(
    name: str,
    data_dir: SomePath | None = None,
    train_examples: Positive | None = None,
    test_examples: Positive | None = None,
    own: Callable[..., Any] | None = None,
) -> Dataset:
    """Load a dataset and standardise each channel to mean 0 and standard deviation 1. The user's own is left as it is.

    The mean and the deviation are those of the whole train split, whatever ``train_examples`` is, so that an example
    has the same values in every subset. A smaller subset is a part of a larger one.

    Args:
        name: "digits" (bundled with scikit-learn), "mnist", "fashion-mnist", "cifar10", "cifar100", or
            "package.module:function", a function that returns a training and a test split (:mod:`.own`).
        data_dir: the folder that holds the dataset's files, or a subfolder ``mnist``, ``fashion-mnist``,
            ``cifar-10-batches-bin`` or ``cifar-100-binary`` with them, or torchvision's ``MNIST/raw`` or
            ``FashionMNIST/raw``; None downloads them once.
        train_examples, test_examples: take only this many examples of the train and of the test split, stratified by
            class; at least 1, at most the size of the split. None takes all. The validation split is always whole.
        own: the function of that name, where it was handed in; None imports it.
    Raises:
        ConfigError: a split has fewer examples than asked for, ``data_dir`` is given for the digits or for data of the
            user's own, or there is no such function.
        DataError: the name is unknown, or a file is missing, is damaged or cannot be downloaded.
    Warns:
        WeedoutWarning: a file in ``data_dir`` has another content than the published one; it is used.
    """
    if ":" in name:
        if data_dir is not None:
            raise ConfigError(f"data_dir has no effect on {name}, which is a function of your own. Leave data_dir out.")
        return _own(name, imported(name, "dataset") if own is None else own, train_examples, test_examples)
    if name not in DATASETS:
        raise DataError(f"unknown dataset {name!r}; known are {', '.join(DATASETS)}.")
    if data_dir is not None and name == "digits":
        raise ConfigError("data_dir has no effect on digits, which come with scikit-learn. Leave data_dir out.")
    raw = DATASETS[name](None if data_dir is None else Path(data_dir))
    levels = standard_levels(raw.learning.pixels, raw.train)
    train = _examples(raw.learning, _first(raw.train, train_examples, "train", name), levels)
    validation = _examples(raw.learning, raw.validation, levels)
    test = _examples(raw.test, _first(raw.tested, test_examples, "test", name), levels)
    return Dataset(name, train, validation, test, raw.classes, _digest(train, validation, test), raw.other_files)


def _own(name: str, make: Function, train_examples: int | None, test_examples: int | None) -> Dataset:
    raw = own_data(name, make)
    train, validation, test = (
        Examples(split.x[some].astype(np.float32), split.y[some])
        for split, some in (
            (raw.learning, np.sort(_first(raw.train, train_examples, "train", name))),
            (raw.learning, np.sort(raw.validation)),
            (raw.test, np.sort(_first(raw.tested, test_examples, "test", name))),
        )
    )
    return Dataset(name, train, validation, test, raw.classes, _digest(train, validation, test))


def _first(split: np.ndarray, count: int | None, part: str, name: str) -> np.ndarray:
    if count is not None and count > len(split):
        raise ConfigError(
            f"{part}_examples must be at most {len(split)}, the {part} split of {name}; got {count}. Leave it out "
            "to take them all."
        )
    return split[:count]


def _examples(images: Images, split: np.ndarray, levels: np.ndarray) -> Examples:
    """The examples of a split, in the order in which the files hold them."""
    chosen = np.sort(split)
    return Examples(standardised(images.pixels, chosen, levels), images.labels[chosen].astype(np.int32))


def _digits(data_dir: Path | None) -> _Raw:
    """Read from the file of scikit-learn: to import scikit-learn, of which nothing else is needed, takes a second."""
    del data_dir
    library = find_spec("sklearn")
    if library is None or library.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn", name="sklearn")
    path = Path(library.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise DataError(
            f"scikit-learn must have the digits in {path}; there is no such file. Install scikit-learn anew."
        )
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    images = Images(table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1), table[:, -1])
    splits = np.split(stratified_order(images.labels), [_DIGITS_TRAIN, _DIGITS_TRAIN + _DIGITS_VALIDATION])
    return _Raw(images, images, *splits, classes=10)


def _from_files(name: str, layout: _Layout, data_dir: Path | None) -> _Raw:
    folder = downloaded(name) if data_dir is None else find_folder(data_dir, layout.folders, name)
    try:
        learning, test = layout.read(folder)
        other = _other_files(name, {**learning.files, **test.files})
        if other and data_dir is None:
            raise DataError(_unlike(folder, name, other))
    except DataError as error:
        if data_dir is not None:
            raise
        raise DataError(f"{error} It was downloaded: remove {folder}, and the next run downloads it again.") from error
    if other:
        sentence = f"{_unlike(folder, name, other)} It is used, and a run records it in config.json."
        warnings.warn(sentence, WeedoutWarning, stacklevel=2)
    count = len(learning.labels)
    if count < layout.held_out:
        raise DataError(f"{folder} must hold at least {layout.held_out} training images; got {count}.")
    train, validation = np.split(stratified_order(learning.labels), [count - count // layout.held_out])
    return _Raw(learning, test, train, validation, stratified_order(test.labels), layout.classes, other)


def _other_files(name: str, files: Mapping[str, str]) -> dict[str, str]:
    """Those of some files, {name: MD5}, whose content is known to be published, and is another."""
    published = PUBLISHED[name].contents
    return {file: md5 for file, md5 in files.items() if published.get(file, md5) != md5}


def _unlike(folder: Path, name: str, files: Iterable[str]) -> str:
    return f"{folder} does not hold {name} as it was published: {', '.join(files)} has another content."


def _digest(*splits: Examples) -> str:
    digest = hashlib.sha256()
    for array in (array for split in splits for array in split):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.data.cast("B"))
    return digest.hexdigest()


_LAYOUTS = {
    "mnist": _Layout(read_mnist, ("MNIST/raw", "mnist"), 6, 10),
    "fashion-mnist": _Layout(read_mnist, ("FashionMNIST/raw", "fashion-mnist", "fashion_mnist"), 6, 10),
    "cifar10": _Layout(read_cifar10, ("cifar-10-batches-bin",), 10, 10),
    "cifar100": _Layout(read_cifar100, ("cifar-100-binary",), 10, 100),
}

#: The datasets by name; each function reads one from ``data_dir``, or downloads it if that is None.
DATASETS: Mapping[str, Callable[[Path | None], _Raw]] = MappingProxyType(
    {"digits": _digits, **{name: partial(_from_files, name, layout) for name, layout in _LAYOUTS.items()}}
)


def _dataset(name: str, value: Any) -> str:
    chosen = TEXT(name, value)
    if is_place(chosen):
        checked_place(chosen, "dataset")
    else:
        require(chosen in DATASETS)
    return chosen


#: What names a dataset.
DATASET = Kind(f"one of {', '.join(map(repr, DATASETS))}, or package.module:function, a function of your own", _dataset)

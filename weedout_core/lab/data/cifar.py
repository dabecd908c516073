"""CIFAR-10 and CIFAR-100 in their binary layout, read strictly.

A record is one label byte (CIFAR-100: two, coarse and fine) and 3,072 pixel bytes: the red, green and blue planes of
32 × 32 pixels, row by row. A file must consist of whole records, of any number.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weedout_core.errors import DataError
from weedout_core.lab.data.images import Images, checksum
from weedout_core.lab.data.reading import AGAIN, read_first

_PLANES = (3, 32, 32)
_PIXELS = 3 * 32 * 32


class _Layout(NamedTuple):
    """The files of a dataset, and the label bytes of a record: (name, number of classes) for each."""

    archive: str
    train: tuple[str, ...]
    test: str
    labels: tuple[tuple[str, int], ...]


_CIFAR10 = _Layout(
    "cifar-10-binary.tar.gz",
    tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test_batch.bin",
    (("label", 10),),
)
_CIFAR100 = _Layout("cifar-100-binary.tar.gz", ("train.bin",), "test.bin", (("coarse label", 20), ("fine label", 100)))


def read_cifar10(folder: Path) -> tuple[Images, Images]:
    """Training and test images of CIFAR-10: pixels uint8 ``(examples, 32, 32, 3)``, labels in [0, 10)."""
    return _read(folder, _CIFAR10)


def read_cifar100(folder: Path) -> tuple[Images, Images]:
    """Training and test images of CIFAR-100: pixels uint8 ``(examples, 32, 32, 3)``, fine labels in [0, 100)."""
    return _read(folder, _CIFAR100)


def _read(folder: Path, layout: _Layout) -> tuple[Images, Images]:
    return _images(folder, layout.train, layout), _images(folder, (layout.test,), layout)


def _images(folder: Path, names: Sequence[str], layout: _Layout) -> Images:
    """The images of some files, as views into their records. The label to predict is the last label byte."""
    contents = [_content(folder, name, layout) for name in names]
    records = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, len(layout.labels) + _PIXELS)
    pixels = records[:, -_PIXELS:].reshape(-1, *_PLANES).transpose(0, 2, 3, 1)
    files = dict(zip(names, map(checksum, contents), strict=True))
    return Images(pixels, records[:, -_PIXELS - 1], files)


def _content(folder: Path, name: str, layout: _Layout) -> bytes:
    """The content of a file, which is whole records with labels of the classes."""
    path, content = read_first(folder, (name,), f"the file {name} (from {layout.archive}, the binary version)")
    size = len(layout.labels) + _PIXELS
    if not content or len(content) % size:
        left = f": after {len(content) // size} records {len(content) % size} are left over" if content else ""
        raise DataError(
            f"{path} must be one or more whole records of {size} bytes; got {len(content)} bytes{left}. {AGAIN}"
        )
    _check_labels(path, np.frombuffer(content, np.uint8).reshape(-1, size), layout.labels)
    return content


def _check_labels(path: Path, records: np.ndarray, kinds: Sequence[tuple[str, int]]) -> None:
    for column, (kind, classes) in enumerate(kinds):
        outside = np.flatnonzero(records[:, column] >= classes)
        if outside.size:
            raise DataError(
                f"{path} must hold {kind}s in [0, {classes}); got {records[outside[0], column]} in record "
                f"{outside[0]}, the first being record 0. {AGAIN}"
            )

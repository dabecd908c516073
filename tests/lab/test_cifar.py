"""CIFAR-10 and CIFAR-100: the layout of their binary files, and every way in which one can be wrong."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weedout_core.errors import DataError, WeedoutWarning
from weedout_core.lab.data import datasets
from weedout_core.lab.data.cifar import read_cifar10, read_cifar100
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.data.published import PUBLISHED

_PIXELS = 3072


def _records(count: int, *labels: np.ndarray, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, _PIXELS), np.uint8)
    return np.hstack([*(label.astype(np.uint8)[:, np.newaxis] for label in labels), pixels]).tobytes()


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """A folder with a tiny CIFAR-10: five files of 8 records, and 10 to test."""
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number in range(1, 6):
        labels = (np.arange(8) + 8 * (number - 1)) % 10
        (folder / f"data_batch_{number}.bin").write_bytes(_records(8, labels, seed=number))
    (folder / "test_batch.bin").write_bytes(_records(10, np.arange(10)))
    return folder


@pytest.fixture
def cifar100(tmp_path: Path) -> Path:
    """A folder with a tiny CIFAR-100: 200 records, and 100 to test."""
    folder = tmp_path / "data" / "cifar-100-binary"
    folder.mkdir(parents=True)
    for name, count in (("train.bin", 200), ("test.bin", 100)):
        fine = np.arange(count) % 100
        (folder / name).write_bytes(_records(count, fine // 5, fine, seed=count))
    return folder


def test_cifar10_is_read(cifar10: Path) -> None:
    data = load_dataset("cifar10", cifar10.parent)
    assert [split.x.shape for split in (data.train, data.validation, data.test)] == [
        (36, 32, 32, 3), (4, 32, 32, 3), (10, 32, 32, 3),
    ]  # fmt: skip
    assert (data.classes, data.input_shape) == (10, (32, 32, 3))
    assert data.test.y.tolist() == list(range(10))
    assert load_dataset("cifar10", cifar10).digest == data.digest, "the files may lie in the folder itself"


def test_cifar100_is_read_with_its_fine_labels(cifar100: Path) -> None:
    data = load_dataset("cifar100", cifar100.parent)
    assert [len(split.y) for split in (data.train, data.validation, data.test)] == [180, 20, 100]
    assert (data.classes, data.input_shape) == (100, (32, 32, 3))
    assert data.test.y.tolist() == list(range(100))
    assert load_dataset("cifar100", cifar100).digest == data.digest


def test_the_files_follow_each_other(cifar10: Path) -> None:
    train, _ = read_cifar10(cifar10)
    assert train.labels.tolist() == [i % 10 for i in range(40)]


def test_planes_become_channels(cifar100: Path) -> None:
    """Byte 1024 c + 32 row + column of the pixels is channel c at (row, column)."""
    _, test = read_cifar100(cifar100)
    record = np.frombuffer((cifar100 / "test.bin").read_bytes(), np.uint8).reshape(100, 2 + _PIXELS)[42]
    for row, column, channel in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (31, 30, 2), (17, 5, 1)):
        assert test.pixels[42, row, column, channel] == record[2 + 1024 * channel + 32 * row + column]


def test_the_channels_are_standardised_apart(cifar10: Path) -> None:
    path = cifar10 / "data_batch_1.bin"
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(8, 1 + _PIXELS).copy()
    records[:, 1:1025] //= 4
    path.write_bytes(records.tobytes())
    x = load_dataset("cifar10", cifar10).train.x.astype(np.float64)
    assert np.abs(x.mean(axis=(0, 1, 2))).max() < 1e-6
    assert np.abs(x.std(axis=(0, 1, 2)) - 1).max() < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: b"", "must be one or more whole records of 3073 bytes; got 0 bytes. Get"),
        (lambda content: content[:-1], "got 24583 bytes: after 7 records 3072 are left over. Get"),
        (lambda content: content + b"\0", "got 24585 bytes: after 8 records 1 are left over. Get"),
        (lambda content: content[:3073] + b"\x0a" + content[3074:], r"labels in \[0, 10\); got 10 in record 1"),
    ],
    ids=["empty", "truncated", "trailing", "label"],
)
def test_a_damaged_file_is_refused(cifar10: Path, change: Callable[[bytes], bytes], said: str) -> None:
    path = cifar10 / "data_batch_3.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{path} .*{said}"):
        load_dataset("cifar10", cifar10)


@pytest.mark.parametrize(
    ("column", "value", "said"), [(0, 20, r"coarse labels in \[0, 20\)"), (1, 100, r"fine labels in \[0, 100\)")]
)
def test_labels_of_cifar100_are_checked(cifar100: Path, column: int, value: int, said: str) -> None:
    path = cifar100 / "test.bin"
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(100, 2 + _PIXELS).copy()
    records[99, column] = value
    path.write_bytes(records.tobytes())
    with pytest.raises(DataError, match=rf"{path} must hold {said}; got {value} in record 99, the first being"):
        load_dataset("cifar100", cifar100)


def test_cifar10_is_not_taken_for_cifar100(cifar10: Path, cifar100: Path) -> None:
    (cifar100 / "train.bin").write_bytes((cifar10 / "data_batch_1.bin").read_bytes())
    with pytest.raises(DataError, match="whole records of 3074 bytes"):
        load_dataset("cifar100", cifar100)


def test_a_missing_file_is_named_with_its_archive(cifar10: Path) -> None:
    (cifar10 / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"must hold the file test_batch.bin \(from cifar-10-binary.tar.gz, the binary"):
        load_dataset("cifar10", cifar10)


def test_a_folder_in_the_place_of_a_file_is_refused(cifar10: Path) -> None:
    (cifar10 / "test_batch.bin").unlink()
    (cifar10 / "test_batch.bin").mkdir()
    with pytest.raises(DataError, match=r"test_batch.bin must be a file; it is a folder, a pipe"):
        load_dataset("cifar10", cifar10)


def test_a_few_records_are_too_few(cifar100: Path) -> None:
    path = cifar100 / "train.bin"
    path.write_bytes(path.read_bytes()[: 9 * (2 + _PIXELS)])
    with pytest.raises(DataError, match="at least 10 training images; got 9"):
        load_dataset("cifar100", cifar100)


@pytest.fixture
def real_cifar10(real_data: Path) -> Path:
    """The folder with the real CIFAR-10 in it."""
    if not (real_data / "cifar-10-batches-bin").is_dir():
        pytest.skip(f"no folder cifar-10-batches-bin in {real_data}: set WEEDOUT_DATA_DIR to a folder that has it")
    return real_data


@pytest.mark.slow
def test_real_cifar10_has_its_known_mean_and_deviation(real_cifar10: Path) -> None:
    train, test = read_cifar10(real_cifar10 / "cifar-10-batches-bin")
    assert (train.pixels.shape, test.pixels.shape) == ((50_000, 32, 32, 3), (10_000, 32, 32, 3))
    assert np.bincount(train.labels).tolist() == [5000] * 10
    for channel, mean, deviation in ((0, 0.4914, 0.2470), (1, 0.4822, 0.2435), (2, 0.4465, 0.2616)):
        counts = np.bincount(train.pixels[..., channel].ravel(), minlength=256) / (50_000 * 1024)
        levels = np.arange(256) / 255
        found = (counts * levels).sum()
        # Published with four digits, the deviation's last one cut off: 0.24703, 0.24349, 0.26159.
        assert abs(found - mean) < 1e-4
        assert abs(np.sqrt((counts * (levels - found) ** 2).sum()) - deviation) < 1e-4


@pytest.mark.slow
def test_real_cifar10_is_split_in_proportion_and_the_same_on_every_machine(real_cifar10: Path) -> None:
    data = load_dataset("cifar10", real_cifar10)
    for split, share in ((data.train, 4500), (data.validation, 500), (data.test, 1000)):
        assert np.bincount(split.y).tolist() == [share] * 10
    assert data.test.y[:5].tolist() == [3, 8, 8, 0, 6]
    assert data.digest == "3a547e7c38d85837da2b478acf1ad1175274c67329708b8e71272e0b9db36152"


def test_a_file_with_another_content_than_the_published_one_is_used_and_said(
    cifar100: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = {name: hashlib.md5((cifar100 / name).read_bytes()).hexdigest() for name in ("train.bin", "test.bin")}
    known = PUBLISHED["cifar100"]._replace(contents={**md5, "test.bin": "0" * 32})
    monkeypatch.setattr(datasets, "PUBLISHED", {"cifar100": known})
    with pytest.warns(
        WeedoutWarning, match="cifar-100-binary does not hold cifar100 as it was published: test.bin has"
    ):
        assert load_dataset("cifar100", cifar100.parent).other_files == {"test.bin": md5["test.bin"]}
    monkeypatch.setattr(datasets, "PUBLISHED", {"cifar100": known._replace(contents=md5)})
    assert not load_dataset("cifar100", cifar100.parent).other_files

"""Data sets: the splits, and every way in which an IDX file can be wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weedout_core import DataError
from weedout_core.lab.datasets import load_dataset, stratified_order

Idx = Callable[[np.ndarray], bytes]


def test_digits_have_the_stated_splits() -> None:
    data = load_dataset("digits")
    splits = (data.train, data.validation, data.test)
    assert [len(split.y) for split in splits] == [1200, 300, 297]
    assert all(split.x.dtype == np.float32 and split.y.dtype == np.int32 for split in splits)
    assert data.train.x.shape == (1200, 64)
    assert data.classes == 10
    assert abs(data.train.x.mean(dtype=np.float64)) < 1e-6, "standardised by the train split's mean"
    assert abs(data.train.x.std(dtype=np.float64) - 1) < 1e-6, "standardised by the train split's deviation"


def test_splits_hold_the_classes_in_their_proportions() -> None:
    data = load_dataset("digits")
    everything = np.concatenate([data.train.y, data.validation.y, data.test.y])
    share = np.bincount(everything, minlength=10) / len(everything)
    for split in (data.train, data.validation, data.test):
        assert np.abs(np.bincount(split.y, minlength=10) - share * len(split.y)).max() <= 1


def test_splits_do_not_overlap_and_lose_nothing() -> None:
    labels = np.arange(60) % 7
    assert sorted(stratified_order(labels)) == list(range(60))


def test_digest_is_that_of_the_arrays() -> None:
    """A change of the splits or of the scaling changes what a seed gives, and must be seen."""
    assert load_dataset("digits").digest == "ac00815630650991540bef1b78418aedb900d7c7b1e57e5c0989a695113d0a88"


def test_idx_files_are_read(tiny_mnist: Path) -> None:
    data = load_dataset("mnist", tiny_mnist.parent)
    assert [len(split.y) for split in (data.train, data.validation, data.test)] == [50, 10, 12]
    assert data.test.y.tolist() == [*range(10), 0, 1]
    pixels = np.frombuffer((tiny_mnist / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(12, 12)
    slope = np.polyfit(pixels.ravel(), data.test.x.ravel(), 1)[0]
    assert np.allclose(data.test.x, pixels * slope + (data.test.x[0, 0] - pixels[0, 0] * slope), atol=1e-5)


def test_idx_files_may_be_compressed_and_lie_in_the_folder_itself(tiny_mnist: Path) -> None:
    plain = load_dataset("mnist", tiny_mnist.parent).digest
    for path in list(tiny_mnist.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load_dataset("mnist", tiny_mnist.parent).digest == plain
    assert load_dataset("mnist", tiny_mnist).digest == plain
    assert load_dataset("fashion-mnist", tiny_mnist).digest == plain


@pytest.mark.parametrize("subfolder", ["fashion-mnist", "fashion_mnist"])
def test_a_subfolder_comes_before_the_folder_itself(tiny_mnist: Path, idx: Idx, subfolder: str) -> None:
    """A folder with MNIST's files must not pass for Fashion-MNIST when that stands in a subfolder."""
    other = tiny_mnist / subfolder
    other.mkdir()
    for path in [item for item in tiny_mnist.iterdir() if item.is_file()]:
        (other / path.name).write_bytes(path.read_bytes())
    (other / "t10k-images-idx3-ubyte").write_bytes(idx(np.ones((12, 3, 4))))
    assert load_dataset("fashion-mnist", tiny_mnist).digest != load_dataset("mnist", tiny_mnist).digest


def _damage(path: Path, how: str, idx: Idx) -> None:
    content = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "header":
            path.write_bytes(content[:7])
        case "truncated":
            path.write_bytes(content[:-1])
        case "trailing":
            path.write_bytes(content + b"\0")
        case "magic":
            path.write_bytes(b"\x00\x00\x0d\x03" + content[4:])
        case "swapped":
            path.write_bytes(path.with_name("train-labels-idx1-ubyte").read_bytes())
        case "gzip":
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(content)[:-9])
            path.unlink()
        case "no gzip":
            path.with_name(path.name + ".gz").write_bytes(content)
            path.unlink()
        case "no images":
            path.write_bytes(idx(np.zeros((0, 3, 4))))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "must hold the file train-images-idx3-ubyte or train-images-idx3-ubyte.gz"),
        ("empty", "truncated at 0"),
        ("header", "truncated at 7"),
        ("truncated", "must be 736 bytes for its shape (60, 3, 4); got 735: it is truncated"),
        ("trailing", "got 737: there are bytes after its end"),
        ("magic", "magic number 0x00000803; got 0x00000d03"),
        ("swapped", "magic number 0x00000803; got 0x00000801"),
        ("gzip", "must be a whole gzip file"),
        ("no gzip", "must be a whole gzip file"),
        ("no images", "at least one pixel"),
    ],
)
def test_damaged_images_are_refused(tiny_mnist: Path, idx: Idx, how: str, said: str) -> None:
    _damage(tiny_mnist / "train-images-idx3-ubyte", how, idx)
    with pytest.raises(DataError) as error:
        load_dataset("mnist", tiny_mnist)
    assert said in str(error.value)
    assert str(tiny_mnist) in str(error.value), "the message names the file"


def test_labels_outside_the_classes_are_refused(tiny_mnist: Path, idx: Idx) -> None:
    (tiny_mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([0] * 11 + [10])))
    with pytest.raises(DataError, match=r"t10k-labels.* must hold labels in \[0, 10\); got 10 at example 11"):
        load_dataset("mnist", tiny_mnist)


def test_images_and_labels_must_be_equally_many(tiny_mnist: Path, idx: Idx) -> None:
    (tiny_mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(59)))
    with pytest.raises(DataError, match=r"one label for each of the 60 images .* got 59"):
        load_dataset("mnist", tiny_mnist)


def test_train_and_test_images_must_have_one_size(tiny_mnist: Path, idx: Idx) -> None:
    (tiny_mnist / "t10k-images-idx3-ubyte").write_bytes(idx(np.ones((12, 4, 4))))
    with pytest.raises(DataError, match="must have one size"):
        load_dataset("mnist", tiny_mnist)


def test_images_without_contrast_are_refused(tiny_mnist: Path, idx: Idx) -> None:
    (tiny_mnist / "train-images-idx3-ubyte").write_bytes(idx(np.full((60, 3, 4), 7)))
    with pytest.raises(DataError, match="must differ from each other"):
        load_dataset("mnist", tiny_mnist)


def test_a_few_images_are_too_few(tiny_mnist: Path, idx: Idx) -> None:
    (tiny_mnist / "train-images-idx3-ubyte").write_bytes(idx(np.arange(36).reshape(3, 3, 4)))
    (tiny_mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(3)))
    with pytest.raises(DataError, match="at least 6 training images; got 3"):
        load_dataset("mnist", tiny_mnist)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a folder"):
        load_dataset("mnist", tmp_path / "nowhere")
    with pytest.raises(DataError, match="--data-dir"):
        load_dataset("mnist")
    with pytest.raises(DataError, match="known are digits, mnist, fashion-mnist"):
        load_dataset("cifar")


def test_real_mnist(real_data: Path) -> None:
    data = load_dataset("mnist", real_data)
    assert [len(split.y) for split in (data.train, data.validation, data.test)] == [50_000, 10_000, 10_000]
    assert data.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train.x.shape[1] == 784

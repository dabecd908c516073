"""Data sets: the splits, subsets of them, and every way in which an IDX file can be wrong."""

import gzip
import hashlib
import json
import os
import socket
import tracemalloc
import zlib
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processes import run_python
from weedout_core.errors import ConfigError, DataError, WeedoutWarning
from weedout_core.lab.data import datasets
from weedout_core.lab.data.datasets import DATASETS, load_dataset
from weedout_core.lab.data.published import PUBLISHED
from weedout_core.lab.data.splits import stratified_order

Idx = Callable[[np.ndarray], bytes]


def test_digits_have_the_stated_splits() -> None:
    data = load_dataset("digits")
    splits = (data.train, data.validation, data.test)
    assert [len(split.y) for split in splits] == [1200, 300, 297]
    assert all(split.x.dtype == np.float32 and split.y.dtype == np.int32 for split in splits)
    assert data.train.x.shape == (1200, 8, 8, 1)
    assert data.input_shape == (8, 8, 1)
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
    assert load_dataset("digits").digest == "fc4eb35327075c2ed8812f6f5560d92c16a4c2147cf47a135826daa535133c10"


def test_digits_are_read_without_importing_what_takes_a_second() -> None:
    code = (
        "import sys; from weedout_core.lab.cli import main; from weedout_core.lab.data.datasets import load_dataset; "
        "main(['paper', '--help']); load_dataset('digits'); print({'sklearn', 'scipy.stats'} & set(sys.modules))"
    )
    assert run_python("-c", code).endswith("\nset()\n")


def test_digits_that_scikit_learn_has_not_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = ModuleSpec("sklearn", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(datasets, "find_spec", {"sklearn": found}.get)
    with pytest.raises(DataError, match=r"must have the digits in .*digits\.csv\.gz; there is no such file"):
        load_dataset("digits")


def test_idx_files_are_read(tiny_mnist: Path) -> None:
    data = load_dataset("mnist", tiny_mnist.parent)
    assert [len(split.y) for split in (data.train, data.validation, data.test)] == [50, 10, 12]
    assert data.test.y.tolist() == [*range(10), 0, 1]
    assert data.input_shape == (3, 4, 1)
    pixels = np.frombuffer((tiny_mnist / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    slope, start = np.polyfit(pixels, data.test.x.ravel(), 1)
    assert np.allclose(data.test.x, (pixels * slope + start).reshape(12, 3, 4, 1), atol=1e-5)


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
        ("missing", "must hold the file train-images-idx3-ubyte or train-images.idx3-ubyte, plain or .gz"),
        ("empty", "truncated at 0"),
        ("header", "truncated at 7"),
        ("truncated", "must have 720 values after its header, for its shape (60, 3, 4); got 719: it is truncated"),
        ("trailing", "got more: there are bytes after its end"),
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


@pytest.mark.parametrize("named", ["{part}-{what}-idx{axes}-ubyte", "{part}-{what}.idx{axes}-ubyte"])
@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_are_found_under_each_of_their_names_and_folders(
    tiny_mnist: Path, named: str, folder: str, suffix: str
) -> None:
    wanted, place = load_dataset("mnist", tiny_mnist), tiny_mnist.parent / "other" / folder
    place.mkdir(parents=True)
    for part in ("train", "t10k"):
        for what, axes in (("images", 3), ("labels", 1)):
            content = (tiny_mnist / f"{part}-{what}-idx{axes}-ubyte").read_bytes()
            name = named.format(part=part, what=what, axes=axes) + suffix
            (place / name).write_bytes(gzip.compress(content) if suffix else content)
    assert load_dataset("mnist", tiny_mnist.parent / "other").digest == wanted.digest
    if folder == "MNIST/raw":
        place.parent.rename(place.parents[1] / "FashionMNIST")
        assert load_dataset("fashion-mnist", tiny_mnist.parent / "other").digest == wanted.digest


def _in_place(path: Path, what: str, idx: Idx) -> None:
    """Put something in the place of a file that could be read without end, or to the end of the memory."""
    path.unlink()
    match what:
        case "device":
            path.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(os.path.relpath(path))
        case "endless":  # a sparse file, which takes no room on the disk
            with path.open("wb") as file:
                file.truncate(1 << 42)
        case "shape":
            path.write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
        case "packed shape":
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12))
        case "packed promise":
            header = b"\0\0\x08\x03" + bytes([0, 0, 4, 0]) * 3
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(header))
        case "bomb":  # whose first bytes are right
            packer = zlib.compressobj(wbits=31)
            parts = [packer.compress(idx(np.zeros((60, 3, 4))))]
            parts += [packer.compress(bytes(1 << 20)) for _ in range(64)]
            path.with_name(path.name + ".gz").write_bytes(b"".join([*parts, packer.flush()]))


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither devices nor pipes among its files")
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("device", "must be a file; it is a folder, a pipe or a device"),
        ("pipe", "must be a file; it is a folder, a pipe or a device"),
        ("folder", "must be a file; it is a folder, a pipe or a device"),
        ("socket", "must be a file; it is a folder, a pipe or a device"),
        ("endless", "must be at most 1,073,741,824 bytes; got 4,398,046,511,104"),
        ("shape", "must hold at most 1,073,741,824 values; its header says (4294967295, 4294967295, 4294967295)"),
        (
            "packed shape",
            "must hold at most 1,073,741,824 values; its header says (4294967295, 4294967295, 4294967295)",
        ),
        ("packed promise", "must have 1073741824 values after its header, for its shape (1024, 1024, 1024); got 0"),
        ("bomb", "must have 720 values after its header, for its shape (60, 3, 4); got more"),
    ],
)
def test_no_more_is_read_than_a_file_may_hold(
    tiny_mnist: Path, idx: Idx, monkeypatch: pytest.MonkeyPatch, what: str, said: str
) -> None:
    monkeypatch.chdir(tiny_mnist)  # the address of a socket must be short
    _in_place(tiny_mnist / "train-images-idx3-ubyte", what, idx)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as error:
            load_dataset("mnist", tiny_mnist)
        assert said in str(error.value)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23, "bytes"
    finally:
        tracemalloc.stop()


def test_a_file_with_another_content_than_the_published_one_is_used_and_said(
    tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed or not, it is the content that is compared; what was downloaded is refused in place of used."""
    label = "t10k-labels-idx1-ubyte"
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in tiny_mnist.iterdir()}
    known = PUBLISHED["mnist"]._replace(contents=md5)
    monkeypatch.setattr(datasets, "PUBLISHED", {"mnist": known})
    content = (tiny_mnist / label).read_bytes()
    (tiny_mnist / label).rename(tiny_mnist / f"{label}.gz")
    (tiny_mnist / f"{label}.gz").write_bytes(gzip.compress(content, compresslevel=1))
    assert load_dataset("mnist", tiny_mnist).other_files == {}
    changed = content[:-1] + b"\x07"
    (tiny_mnist / label).write_bytes(changed)
    sentence = f"{tiny_mnist} does not hold mnist as it was published: {label} has another content."
    with pytest.warns(WeedoutWarning) as warned:
        assert load_dataset("mnist", tiny_mnist).other_files == {label: hashlib.md5(changed).hexdigest()}
    assert [str(one.message) for one in warned] == [f"{sentence} It is used, and a run records it in config.json."]
    monkeypatch.setattr(datasets, "downloaded", lambda name: tiny_mnist)
    with pytest.raises(DataError) as error:
        load_dataset("mnist")
    again = f"It was downloaded: remove {tiny_mnist}, and the next run downloads it again."
    assert str(error.value) == f"{sentence} {again}"


@pytest.mark.slow
def test_a_run_says_and_records_that_it_used_another_content(
    tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch, weedout: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    known = {**PUBLISHED["mnist"].contents}
    monkeypatch.setattr(datasets, "PUBLISHED", {"mnist": PUBLISHED["mnist"]})
    smallest = ["--hidden", "4", "--sparsity", "0.5", "--population", "2", "--generations", "1", "--repeats", "1"]
    options = [*smallest, "--epochs", "0", "--backend", "numpy", "--dataset", "mnist", "--data-dir", tiny_mnist.parent]
    for command in ("plan", "paper --out run"):
        assert weedout(*command.split(), *options) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if "as it was published" in line]
        assert said == [
            f"weedout: warning: {tiny_mnist} does not hold mnist as it was published: {', '.join(known)} has another "
            "content. It is used, and a run records it in config.json."
        ]
    recorded = json.loads(Path("run/config.json").read_text(encoding="utf-8"))["other_files"]
    assert recorded == {name: hashlib.md5((tiny_mnist / name).read_bytes()).hexdigest() for name in known}
    assert weedout("report", "run") == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "MD5 of t10k-labels-idx1-ubyte, which is not the published file" in page


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
    with pytest.raises(DataError, match="must have the same size"):
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


@pytest.mark.parametrize("what", ["is_dir", "stat", "open"])
def test_what_may_not_be_read_is_named(tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, what, refuse)
    with pytest.raises(DataError, match=r"must be readable, and is not: Permission denied. Correct .* --data-dir"):
        load_dataset("mnist", tiny_mnist)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be a folder with the files of 'mnist'; .*nowhere is not a folder"):
        load_dataset("mnist", tmp_path / "nowhere")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="known are digits, mnist, fashion-mnist, cifar10, cifar100"):
        load_dataset("cifar")
    assert list(DATASETS) == ["digits", "mnist", "fashion-mnist", "cifar10", "cifar100"]


def test_a_subset_holds_the_classes_in_their_proportions() -> None:
    whole, part = load_dataset("digits"), load_dataset("digits", train_examples=100, test_examples=50)
    for split, of, count in ((part.train, whole.train, 100), (part.test, whole.test, 50)):
        assert len(split.x) == len(split.y) == count
        # A stretch of the order has two ends, and at each of them a class may gain or lose one.
        assert np.abs(np.bincount(split.y, minlength=10) - np.bincount(of.y) * count / len(of.y)).max() <= 2
    assert np.array_equal(part.validation.x, whole.validation.x), "the validation split is always whole"
    assert np.array_equal(part.validation.y, whole.validation.y)


def _rows(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x}


def test_a_subset_is_a_part_of_the_larger_one_with_the_same_values() -> None:
    small, large, whole = (load_dataset("digits", None, count, count) for count in (20, 70, None))
    assert _rows(small.train.x) < _rows(large.train.x) < _rows(whole.train.x)
    assert _rows(small.test.x) < _rows(large.test.x) < _rows(whole.test.x)


def test_a_subset_of_all_is_the_dataset() -> None:
    assert load_dataset("digits", None, 1200, 297).digest == load_dataset("digits").digest


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"train_examples": 0}, "train_examples must be an integer of at least 1 or None; got 0"),
        ({"test_examples": -1}, "test_examples must be an integer of at least 1 or None; got -1"),
        ({"train_examples": True}, "train_examples must be an integer of at least 1 or None; got True"),
        ({"train_examples": 1201}, "train_examples must be at most 1200, the train split of digits; got 1201"),
        ({"test_examples": 298}, "test_examples must be at most 297, the test split of digits; got 298"),
    ],
)
def test_a_subset_must_be_possible(counts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_dataset("digits", **counts)


def test_real_mnist(real_data: Path) -> None:
    data = load_dataset("mnist", real_data)
    assert [len(split.y) for split in (data.train, data.validation, data.test)] == [50_000, 10_000, 10_000]
    assert data.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.input_shape == (28, 28, 1)
    assert data.digest == "3833ec5c57459094af4d51a9cd8f900bdeb72907285baadd05cce2beb2546574"

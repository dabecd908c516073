"""Splits: arrays, or what gives pairs of inputs and labels one after another, is read to the same two arrays."""

import itertools
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._guard.splits import SPLIT

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = np.arange(6) % 2
NET = wc.mlp(3, (4,), 2)
WANTED = (
    r"data must be a pair \(x, y\) of inputs and labels, or give such pairs one after another, as a Dataset or a "
    r"DataLoader does; "
)


class ByIndex:
    """Items that are had by index alone, of which one beyond the last is never refused: as a Dataset of PyTorch."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Any:
        return self.items[place % len(self.items)]


class Loader:
    """Items that are iterated over, and how many it says that there are: as a DataLoader."""

    def __init__(self, items: list[Any], length: int | None = None) -> None:
        self.items, self.length = items, len(items) if length is None else length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


class Reusing(Loader):
    """A loader that gives all batches in the same memory."""

    def __iter__(self) -> Iterator[Any]:
        x, y = (np.empty_like(part) for part in self.items[0])
        for item in self.items:
            x[:], y[:] = item
            yield x, y


FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "by index": ByIndex,
    "loader": Loader,
    "iterator": iter,
    "generator": lambda items: (item for item in items),
    "lists": lambda items: [list(item) for item in items],
}


@pytest.mark.parametrize("form", FORMS)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.sampled_from(["float32", "uint8", "int64"]),
    st.booleans(),
)
def test_whatever_gives_pairs_is_read_as_the_two_arrays(
    form: str, batches: list[int], shape: list[int], dtype: str, single: bool
) -> None:
    """As batches of any lengths, or as single examples: two of them are no pair of arrays."""
    count = sum(batches)
    x = np.random.default_rng(count).integers(0, 200, (count, *shape)).astype(dtype)
    y = np.arange(count) % 7
    ends = np.cumsum(batches)
    items = list(zip(x, y, strict=True)) if single else list(
        zip(np.split(x, ends[:-1]), np.split(y, ends[:-1]), strict=True)
    )  # fmt: skip
    for read, wanted in zip(SPLIT("data", FORMS[form](items)), (x, y), strict=True):
        np.testing.assert_array_equal(read, wanted, strict=True)


def test_a_pair_of_lists_is_a_pair() -> None:
    x, y = [[1.0, 2.0], [3.0, 4.0]], [0, 1]
    assert SPLIT("data", (x, y)) == (x, y)
    assert SPLIT("data", [x, y]) == (x, y)


def test_batches_are_copied_as_they_are_given() -> None:
    items = list(zip(np.split(X, 3), np.split(Y, 3), strict=True))
    np.testing.assert_array_equal(SPLIT("data", Reusing(items))[0], X)


def test_every_phase_takes_what_gives_pairs() -> None:
    backend, key = wc.load_backend("numpy"), wc.key(0)
    search, train = wc.SearchConfig(population=2, generations=2), wc.TrainConfig(epochs=1, batch_size=3)

    def results(split: Callable[[], Any]) -> list[Any]:
        found = wc.search(NET, split(), sparsity=0.5, backend=backend, key=key, config=search)
        trained = wc.train(found.network, split(), backend=backend, key=key, config=train, test=split())
        params = found.network.params
        scores = wc.scores.snip(NET, params, split(), backend=backend, key=key)
        return [found.network, trained, wc.evaluate(trained.network, split(), backend=backend), *scores["hidden_0"]]

    assert results(lambda: (X, Y)) == results(lambda: ((X[i : i + 2], Y[i : i + 2]) for i in (0, 2, 4)))


def test_data_are_read_in_the_callers_settings() -> None:
    seen = list[Any]()

    def batches() -> Iterator[Any]:
        seen.append(np.geterr())
        yield X, Y

    network = wc.draw_control(NET, sparsity=0.5, backend="numpy", key=wc.key(0)).network
    with np.errstate(over="raise"):
        wc.evaluate(network, batches(), backend="numpy")
    assert [one["over"] for one in seen] == ["raise"]


def failing() -> Iterator[Any]:
    yield X[:2], Y[:2]
    raise OSError("no such image")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros((4, 3)), WANTED + "got ndarray of float64"),
        (None, WANTED + "got None"),
        ("xy", WANTED + "got 'xy'"),
        ({"x": X, "y": Y}, WANTED + "got {'x'"),
        ((1, 2, 3), WANTED + r"data\[0\] is 1\."),
        ((X, Y, Y), WANTED + r"data\[0\] is ndarray of float32 \(6, 3\)\."),
        ([{"image": X, "label": Y}] * 3, WANTED + r"data\[0\] is \{'image'"),
        ([], "data must hold at least one example; it gave none. An iterator that was read before is empty: hand in "),
        (iter(()), "data must hold at least one example; it gave none"),
        (
            [(X[:2], Y[:2]), (X[:2, :2], Y[:2]), (X, Y)],
            r"all pairs of data must have inputs of one shape and labels of one shape, here \(3,\) and \(\); data\[1\] "
            r"has \(2,\) and \(\)\.",
        ),
        (
            Loader([(X[:2], Y[:3])]),
            r"a batch must have a label for each of its inputs; data\[0\] has inputs \(2, 3\) and labels \(3,\)\.",
        ),
        (Loader([(1.0, Y)]), "a batch must have a label for each of its inputs"),
        (Loader([("a", 1)]), r"the inputs of data\[0\] must be an array of numbers; got 'a'"),
        (failing(), r"data cannot be read: data\[1\] raised OSError: no such image"),
        (itertools.count(), r"data must end; count\(0\) goes on for ever\. Take a part of it, as by itertools\.islice"),
        (itertools.cycle([(X, Y)]), "data must end; "),
        (itertools.repeat((X, Y)), "data must end; "),
        (Loader([(X, Y)], sys.maxsize), "data must end; "),
        (Loader([(X, Y)] * 3, 2), "data must give as many pairs as it says, 2; it goes on after them"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error(data: Any, said: str) -> None:
    network = wc.draw_control(NET, sparsity=0.5, backend="numpy", key=wc.key(0)).network
    with pytest.raises(wc.errors.DataError, match=said):
        wc.evaluate(network, data, backend="numpy")


def test_a_repetition_that_ends_is_read() -> None:
    x, y = SPLIT("data", itertools.repeat((X, Y), 2))
    assert len(x) == len(y) == 12


class Unsized:
    """What is read by index, and does not say how far."""

    __getitem__: Any = None


def test_a_dataset_without_a_length_is_told_what_it_lacks() -> None:
    for data in (Unsized(),):
        said = rf"data must say how many examples it has; {type(data).__name__} has no __len__\. Write it\.$"
        with pytest.raises(wc.errors.DataError, match=said):
            SPLIT("data", data)


def test_labels_of_batches_are_checked_as_those_of_arrays() -> None:
    network = wc.draw_control(NET, sparsity=0.5, backend="numpy", key=wc.key(0)).network
    said = re.escape("labels must be integers of shape (6,), one an example; got float64 (6,).")
    with pytest.raises(wc.errors.DataError, match=said):
        wc.evaluate(network, Loader([(X, Y.astype(float))]), backend="numpy")


def test_a_test_split_is_named_as_it_is() -> None:
    network = wc.draw_control(NET, sparsity=0.5, backend="numpy", key=wc.key(0)).network
    with pytest.raises(wc.errors.DataError, match="test must hold at least one example"):
        wc.train(network, (X, Y), test=[], backend="numpy", key=wc.key(0))

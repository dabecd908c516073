"""In the tests annotations are checked at every call: with sizes and without, of local functions and of methods."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from tests.annotations import check_annotations

ANNOTATED = """
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

@dataclass(frozen=True)
class Record:
    count: int

    def times(self, factor: float) -> float:
        return self.count * factor

    @property
    def wrong(self) -> str:
        return self.count

def half(number: float, *, down: bool = False) -> float:
    return number // 2 if down else "half of it" if number == 3 else number / 2

def alike(one: Float[np.ndarray, "n"], other: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    return one + other

def summed(several: list[Float[np.ndarray, "n"]], length: "int") -> Float[np.ndarray, "{length}"]:
    return sum(several)

def adds(more):
    def add(number: int) -> int:
        return number + more
    return add

def of(kind):
    def same(value: kind) -> kind:
        return value
    return same

def numbers(end: int):
    yield from range(end)

def called(function, value: int):
    return function(value)

def fits(function, value: int) -> int:
    return function(value)
"""


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("annotated")
    (folder / "annotated_in_a_test.py").write_text(ANNOTATED, encoding="utf-8")
    sys.path.insert(0, str(folder))
    with check_annotations("annotated_in_a_test"):
        yield import_module("annotated_in_a_test")
    sys.path.remove(str(folder))


THREE, FOUR = np.ones(3), np.ones(4)

WRONG: dict[str, Callable[[Any], Any]] = {
    "argument": lambda module: module.half("one"),
    "keyword": lambda module: module.half(1.0, down="no"),
    "value": lambda module: module.half(3),
    "method": lambda module: module.Record(2).times("two"),
    "property": lambda module: module.Record(2).wrong,
    "field": lambda module: module.Record("two"),
    "dtype": lambda module: module.alike(np.arange(3), np.arange(3)),
    "size": lambda module: module.alike(THREE, FOUR),
    "size by an argument": lambda module: module.summed([THREE, THREE], 4),
    "local": lambda module: module.adds(1)("one"),
    "local's value": lambda module: module.adds(0.5)(1),
    "local defined again": lambda module: (module.adds(1)(1), module.adds(0.5)(1)),
    "local with another annotation": lambda module: (module.of(int)(1), module.of(str)(1)),
    "generator": lambda module: next(module.numbers("three")),
    "value of another": lambda module: module.fits(lambda _: "one", 3),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_an_error(annotated: Any, case: str) -> None:
    with pytest.raises(TypeError):
        WRONG[case](annotated)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", ["value", "method", "property", "size by an argument", "local's value"])
def test_nothing_is_checked_where_that_is_turned_off(annotated: Any, case: str) -> None:
    WRONG[case](annotated)


def test_what_fits_is_computed(annotated: Any) -> None:
    assert annotated.half(5, down=True) == 2
    assert annotated.Record(3).times(2) == 6
    assert annotated.alike(THREE, THREE).tolist() == [2, 2, 2]
    assert annotated.summed([THREE, THREE], 3).tolist() == [2, 2, 2]
    assert [annotated.adds(more)(1) for more in range(3)] == [1, 2, 3], "each of the same definition is itself"
    assert annotated.of(str)("one") == "one"
    assert list(annotated.numbers(3)) == [0, 1, 2]
    assert annotated.fits(annotated.adds(1), 1) == 2
    assert annotated.half.__name__ == "half"


def test_after_an_error_others_are_called_as_before_and_nothing_is_kept(annotated: Any) -> None:
    def wrong(_: int) -> weakref.ref[np.ndarray]:
        held = np.ones(3)
        with pytest.raises(TypeError):
            annotated.adds(held)("one")
        return weakref.ref(held)

    seen = annotated.called(wrong, 1)
    gc.collect()
    assert seen() is None
    assert annotated.called(annotated.adds(1), 1) == 2


def test_threads_call_their_own(annotated: Any) -> None:
    found: dict[int, set[int]] = {}

    def call(more: int) -> None:
        add = annotated.adds(more)
        found[more] = {add(number) - number for number in range(20_000)}

    threads = [Thread(target=call, args=(more,)) for more in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {more: {more} for more in range(4)}

"""What a value holds: equal where values act alike, another wherever something in them was changed."""

import functools
import itertools
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from weedout_core.backend import hold_alike, holdings

NUMBER: Any = 1.0


class Slotted:
    __slots__ = ("inside",)

    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def method(self) -> Any:
        return self.inside


def closing_over(value: Any) -> Callable[[], Any]:
    return lambda: value


def with_default(value: Any) -> Callable[[], Any]:
    def function(held: Any = value, *, named: Any = 0) -> Any:
        return held, named

    return function


def nested(value: Any) -> Callable[[], Any]:
    def outer() -> Any:
        return (lambda: value)()

    return outer


def wrapped(value: Any) -> Callable[[], Any]:
    @functools.wraps(closing_over(value))
    def function() -> Any:
        return None

    return function


def cyclic(value: Any) -> Any:
    one: dict[str, Any] = {"value": value}
    one["itself"] = one
    return one


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda value: value,
    "list": lambda value: [value],
    "tuple": lambda value: (0, (value,)),
    "deque": lambda value: deque([value]),
    "dict": lambda value: {"key": value},
    "ordered": lambda value: OrderedDict(key=value),
    "object": lambda value: SimpleNamespace(value=value),
    "slots": Slotted,
    "method": lambda value: Slotted(value).method,
    "closure": closing_over,
    "default": with_default,
    "nested": nested,
    "wrapped": wrapped,
    "partial": lambda value: functools.partial(closing_over, value),
    "named": lambda value: functools.partial(closing_over, value=value),
    "cycle": cyclic,
}
PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "numbers": (lambda: 1, lambda: 2),
    "types": (lambda: 1, lambda: 1.0),
    "zeros": (lambda: 0.0, lambda: -0.0),
    "words": (lambda: "a", lambda: "b"),
    "nan": (lambda: float("nan"), lambda: 0.0),
    "arrays": (lambda: np.arange(3), lambda: np.arange(1, 4)),
    "dtypes": (lambda: np.arange(3), lambda: np.arange(3.0)),
    "shapes": (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    "kinds": (lambda: [1], lambda: (1,)),
    "lengths": (lambda: [1], lambda: [1, 1]),
    "names": (lambda: {"a": 1}, lambda: {"b": 1}),
    "sets": (lambda: {1, 2}, lambda: {1, 3}),
    "unlike objects": (lambda: itertools.count(), lambda: itertools.count()),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize(("made", "changed"), PAIRS.values(), ids=PAIRS)
def test_what_differs_inside_differs(holder: Any, made: Callable[[], Any], changed: Callable[[], Any]) -> None:
    value = made()
    one, same, other = holder(value), holder(value), holder(changed())
    assert holdings(one) == holdings(same), "the same inside"
    assert hash(holdings(one)) == hash(holdings(same))
    assert hold_alike(one, same)
    assert holdings(one) != holdings(other)
    assert not hold_alike(one, other)
    if not isinstance(value, itertools.count):
        assert holdings(one) == holdings(holder(made())), "equal inside"
        assert hold_alike(one, holder(made()))


def test_what_changes_in_place_is_seen() -> None:
    array, settings = np.zeros(3), {"rate": [1.0]}
    one = closing_over((array, settings))
    before = holdings(one)
    array[1] = 1.0
    between = holdings(one)
    settings["rate"][0] = 2.0
    assert len({before, between, holdings(one)}) == 3


def test_what_is_shared_is_held_once() -> None:
    one, other = [1], [1]
    assert holdings([one, one]) != holdings([one, other])
    assert not hold_alike([one, one], [[1], other])
    assert hold_alike([one, one], [other, other])
    assert holdings((1, (2,)) * 2) == holdings((1, (2,), 1, (2,)))


def test_known_objects_stand_for_their_place() -> None:
    one, other = np.zeros(2), np.ones(2)
    assert holdings({"weights": one}, [one]) == holdings({"weights": other}, [other])
    assert hold_alike(closing_over(one), closing_over(other), [(one, other)])
    assert not hold_alike(closing_over(one), closing_over(np.ones(2)), [(one, other)])
    assert hold_alike([one], [one]), "what both hold is the same"


def test_references_are_followed() -> None:
    one, other = closing_over(1), closing_over(2)
    assert holdings(weakref.ref(one)) != holdings(weakref.ref(other))


def test_numbers_of_the_module_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def function() -> Any:
        return [NUMBER for _ in range(2)]

    before = holdings(function)
    monkeypatch.setitem(globals(), "NUMBER", 2.0)
    assert holdings(function) != before

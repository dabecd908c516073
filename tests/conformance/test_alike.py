"""Whether two values hold the same: wherever something in them was changed, they do not."""

import functools
import itertools
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conformance.connected import imported

alike = imported("weedout_torch.alike", "torch").alike


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
    assert alike(holder(value), holder(value)), "the same inside"
    assert not alike(holder(value), holder(changed()))
    if not isinstance(value, itertools.count):
        assert alike(holder(value), holder(made())), "equal inside"


def test_what_is_shared_is_held_once() -> None:
    one, other = [1], [1]
    assert not alike([one, one], [[1], other])
    assert alike([one, one], [other, other])
    assert alike((1, (2,)) * 2, (1, (2,), 1, (2,)))


def test_known_objects_stand_for_their_place() -> None:
    one, other = np.zeros(2), np.ones(2)
    assert alike(closing_over(one), closing_over(other), [(one, other)])
    assert not alike(closing_over(one), closing_over(np.ones(2)), [(one, other)])
    assert alike([one], [one]), "what both hold is the same"


def test_references_are_followed() -> None:
    one, other, same = closing_over(1), closing_over(2), closing_over(1)
    assert alike(weakref.ref(one), weakref.ref(same))
    assert not alike(weakref.ref(one), weakref.ref(other))

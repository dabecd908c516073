"""Comparing two objects that were made in the same way, such as an optimizer and the one that replaces it."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import zip_longest
from types import FunctionType, MethodType
from typing import Any
from weakref import ReferenceType

import numpy as np

from weedout_core.backend import host_view
from weedout_torch.devices import Tensor

_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_SHARED = (tuple, MethodType)  # Python may make one object or two for equal values of these types
_MISSING = object()


def alike(one: Any, other: Any, known: Sequence[tuple[Any, Any]] = ()) -> bool:
    """Whether two values hold the same: the numbers of arrays, what functions close over, and attributes.

    An object whose content cannot be read, such as a generator, equals only itself. Cycles are handled, and an object
    that occurs in two places of one value must have a counterpart that occurs in both places of the other.

    Args:
        one, other: the values, of any type.
        known: pairs of an object in one value and its counterpart in the other, which count as equal.
    """
    return _alike(one, other, {id(mine): theirs for mine, theirs in known}, [])


def _alike(one: Any, other: Any, pairs: dict[int, Any], alive: list[Any]) -> bool:
    if one is other:
        return pairs.setdefault(id(one), other) is other
    if type(one) is not type(other):
        return False
    if isinstance(one, _SCALARS):
        return repr(one) == repr(other)  # NaN is NaN, and −0 is not 0
    if id(one) in pairs:
        return pairs[id(one)] is other
    if not isinstance(one, _SHARED):
        pairs[id(one)] = other
        alive.append(one)  # otherwise another object might get the same id
    if isinstance(one, np.ndarray | Tensor):
        return _bits(one) == _bits(other)
    mine, theirs = _parts(one), _parts(other)
    if mine is None or theirs is None:
        return False
    both = zip_longest(mine, theirs, fillvalue=_MISSING)
    return all(_alike(part, counterpart, pairs, alive) for part, counterpart in both)


def _parts(value: Any) -> Iterator[Any] | None:
    """The parts of a value, in order; None if they cannot be read."""
    match value:
        case Mapping():
            return (part for item in value.items() for part in item)
        case list() | tuple() | deque():
            return iter(value)
        case Set():
            return iter(sorted(value, key=repr))
        case FunctionType():
            return _of_function(value)
        case MethodType():
            return iter((value.__func__, value.__self__))
        case partial():
            return iter((value.func, value.args, value.keywords))
        case ReferenceType():
            return iter((value(),))
        case _:
            names = [name for kind in type(value).__mro__ for name in _slots(kind)]
            names += ["__dict__"] if hasattr(value, "__dict__") else []
            return iter([getattr(value, name, _MISSING) for name in names]) if names else None


def _of_function(function: FunctionType) -> Iterator[Any]:
    """The parts of a function. Globals of its module are left out: both functions have the same ones."""
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__, vars(function))
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the variable has no value yet
            yield _MISSING


def _slots(kind: type) -> Sequence[str]:
    slots = vars(kind).get("__slots__", ())
    return [name for name in ([slots] if isinstance(slots, str) else slots) if not name.startswith("__")]


def _bits(array: Any) -> tuple[Any, ...]:
    numbers = host_view(array)
    return str(array.dtype), numbers.shape, numbers.tobytes()

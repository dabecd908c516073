"""Everything that a value holds, as far as Python lets it be seen: two values act alike where this is equal.

A function is more than its code: what it closes over, its defaults and the numbers that it reads from its module decide
what it gives, and each of them may be changed by somebody who keeps the function.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from functools import partial
from itertools import zip_longest
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ReferenceType

from weedout_core._guard.guarded import guarded
from weedout_core._guard.hosted import hosted

_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_ATOMS = (type, ModuleType, BuiltinFunctionType, CodeType, Enum)

#: Whose insides are caches and constants.
_LIBRARIES = ("builtins", "jax", "jaxlib", "logging", "numpy")
#: Whose modules hold no number that a user changes.
_CONSTANT = (*_LIBRARIES, "optax", "torch")


@guarded
def holdings(value: Any, known: Sequence[Any] = ()) -> tuple[Hashable, ...]:
    """All that a value holds: of arrays the numbers, of functions what they close over, of objects their attributes.

    Two such tuples are equal where the values have the same contents, and share objects in the same places. What cannot
    be looked into, such as a generator, is equal to itself alone.

    Args:
        value: anything; cycles are seen.
        known: objects that are not looked into, and each of which stands for its place in this sequence.
    """
    walk = _Walk(known)
    walk.visit(value)
    return tuple(walk.tokens)


@guarded
def hold_alike(one: Any, other: Any, known: Sequence[tuple[Any, Any]] = ()) -> bool:
    """Whether two values hold the same, in the sense of :func:`holdings`; what both of them hold is the same as itself.

    Args:
        one, other: anything.
        known: pairs of an object that the one holds and an object that the other holds in its place.
    """
    return _alike(one, other, {id(mine): theirs for mine, theirs in known}, [])


def _alike(one: Any, other: Any, pairs: dict[int, Any], alive: list[Any]) -> bool:
    if one is other:
        pairs.setdefault(id(one), other)
        return True
    if isinstance(one, _SCALARS):
        return type(one) is type(other) and repr(one) == repr(other)
    if id(one) in pairs:
        return pairs[id(one)] is other
    if not isinstance(one, tuple | MethodType):
        pairs[id(one)] = other
        alive.append(one)  # else another object might take its identity
    (mine, parts), (theirs, others) = _opened(one), _opened(other)
    if mine != theirs:
        return False
    both = zip_longest(parts, others, fillvalue=_MISSING)
    return all(_alike(*pair, pairs, alive) for pair in both)


_MISSING = object()


class _Same:
    """An object that cannot be hashed, or hashes by what may change: equal to itself alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class _Walk:
    def __init__(self, known: Iterable[Any]) -> None:
        self.tokens: list[Hashable] = []
        self._alive: list[Any] = []  # else another object might take the identity of one that was seen
        self._seen: dict[int, int] = {}
        for value in known:
            self._remember(value)

    def visit(self, value: Any) -> None:
        if isinstance(value, _SCALARS):
            self.tokens.append((type(value), repr(value)))  # NaN is NaN, and −0 is not 0
        elif id(value) in self._seen:
            self.tokens.append(("seen", self._seen[id(value)]))
        else:
            if not isinstance(value, tuple | MethodType):  # equal ones may be one or two, as Python likes
                self._remember(value)
            name, parts = _opened(value)
            self.tokens.append(name)
            for part in parts:
                self.visit(part)
            self.tokens.append("end")

    def _remember(self, value: Any) -> None:
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)


def _opened(value: Any) -> tuple[Hashable, Iterable[Any]]:
    """What kind of thing a value is, and its parts."""
    if isinstance(value, _ATOMS):
        return _token(value), ()
    if _is_array(value) and (bits := _bits(value)):
        return bits, ()
    it: Any = value  # whose type is not narrowed to one of unknown items
    if isinstance(value, Mapping):
        return it.__class__, (part for item in list(it.items()) for part in item)
    if isinstance(value, list | tuple | deque):
        return it.__class__, list(it)
    if isinstance(value, Set):
        return it.__class__, sorted(it, key=repr)
    if isinstance(value, FunctionType):
        return ("function", value.__code__), _of_function(value)
    if isinstance(value, MethodType):
        return "method", (value.__func__, value.__self__)
    if isinstance(value, partial):
        return "partial", (it.func, it.args, it.keywords)
    if isinstance(value, ReferenceType):
        return "reference", (it(),)
    if hasattr(value, "__wrapped__"):
        return "wrapped", (value.__wrapped__,)
    return _of_object(value)


def _of_function(function: FunctionType) -> Iterator[Any]:
    if _library(function) in _LIBRARIES:
        return
    yield from (function.__defaults__, function.__kwdefaults__, vars(function))
    yield from (_content(cell) for cell in function.__closure__ or ())
    if _library(function) in _CONSTANT:
        return
    for name in _names(function.__code__):
        found = function.__globals__.get(name)
        if _is_data(found) or (isinstance(found, FunctionType) and found.__globals__ is function.__globals__):
            yield from (name, found)


def _of_object(value: Any) -> tuple[Hashable, Iterable[Any]]:
    kinds = [kind for kind in type(value).__mro__ if _library(kind) not in _LIBRARIES]
    slots = [name for kind in kinds for name in _slots(kind) if hasattr(value, name)]
    if not kinds or not (slots or hasattr(value, "__dict__")):
        return _token(value), ()
    parts: list[Any] = [vars(value) if hasattr(value, "__dict__") else None, *(getattr(value, name) for name in slots)]
    for kind in kinds:
        if _library(kind) not in _CONSTANT:
            parts += [part for part in vars(kind).values() if isinstance(part, FunctionType) or _is_data(part)]
    it: Any = value
    return it.__class__, parts


def _token(value: Any) -> Hashable:
    try:
        hash(value)
    except Exception:  # whatever somebody made says when it is asked
        return _Same(value)
    return value


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _bits(array: Any) -> Hashable:
    """The numbers of an array; None where nothing shows them, as with a typed key."""
    try:
        numbers = hosted(array)
    except Exception:
        return None
    return str(array.dtype), numbers.shape, numbers.tobytes()


def _is_data(value: Any) -> bool:
    """Whether a value is numbers and words, and lists of them."""
    if isinstance(value, Mapping | list | tuple):
        return all(map(_is_data, _opened(value)[1]))
    return isinstance(value, _SCALARS) or (_is_array(value) and not isinstance(value, type))


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function, or one inside it, may read from its module."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None


def _slots(kind: type) -> Sequence[str]:
    slots = vars(kind).get("__slots__", ())
    return [name for name in ([slots] if isinstance(slots, str) else slots) if not name.startswith("__")]


def _library(value: Any) -> str:
    return str(getattr(value, "__module__", "")).partition(".")[0]

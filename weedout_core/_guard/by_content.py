"""Records that hold arrays, compared, hashed and pickled by their contents, which Python cannot do by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import numpy as np
from array_api_compat import is_array_api_obj  # pyright: ignore[reportUnknownVariableType]

from weedout_core._guard.hosted import frozen, hosted
from weedout_core._guard.showing import brief

C = TypeVar("C")

#: The comparisons of tuples, which NamedTuples inherit, and of lists.
_OF_PYTHON: tuple[Any, ...] = (cast(Any, tuple).__eq__, cast(Any, list).__eq__)


def by_content(kind: type[C]) -> type[C]:
    """Make a record class compare and hash by the contents of its fields: arrays bit by bit, NaN equal to NaN.

    Arrays may be of any framework. A record that is unpickled or copied has read-only arrays of its own. The text of a
    NamedTuple is :func:`brief`.
    """
    names = [item.name for item in fields(kind)] if is_dataclass(kind) else cast(Any, kind)._fields

    def contents(one: Any) -> Any:
        return tuple(_hashable(getattr(one, name)) for name in names)

    def equal(one: Any, other: Any) -> bool:
        return one is other or (type(one) is type(other) and contents(one) == contents(other))

    def differ(one: Any, other: Any) -> bool:
        return not equal(one, other)  # needed because tuples have their own

    def hashed(one: Any) -> int:
        return hash((kind.__name__, contents(one)))

    def reduced(one: Any) -> Any:
        return _made, (kind, tuple(_picklable(getattr(one, name)) for name in names))

    methods = {"__eq__": equal, "__ne__": differ, "__hash__": hashed, "__reduce__": reduced}
    methods |= {} if is_dataclass(kind) else {"__repr__": brief}
    for name, method in methods.items():
        setattr(kind, name, method)
    return kind


def _picklable(value: Any) -> Any:
    return dict(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else value


def _made(kind: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    """Rebuild a record that was pickled. Its arrays are frozen again, because NumPy unpickles writable ones."""
    return kind(*map(_frozen, values))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        tree = cast(dict[str, Any], value)
        return {name: _frozen(item) for name, item in tree.items()}
    return frozen(value) if isinstance(value, np.ndarray) else value


def _hashable(value: Any) -> Any:
    """A hashable stand-in for a value. Two stand-ins are equal if the values are."""
    if isinstance(value, Mapping):
        tree = cast(Mapping[str, Any], value)
        return tuple((name, _hashable(tree[name])) for name in sorted(tree))
    if cast(Any, type(value)).__eq__ in _OF_PYTHON:
        return tuple(_hashable(item) for item in cast(Sequence[Any], value))
    if cast(Any, is_array_api_obj)(value):
        array = hosted(value)
        return array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, float) and value != value:
        return "NaN"
    return value

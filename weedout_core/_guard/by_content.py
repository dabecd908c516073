"""Records with arrays in them, compared and hashed by what they hold: Python's own ways stop at an array."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import numpy as np

C = TypeVar("C")


def by_content(kind: type[C]) -> type[C]:
    """A record whose values are equal, and have one hash, where their fields are: arrays to the bit, NaN to NaN."""
    names = [item.name for item in fields(kind)] if is_dataclass(kind) else cast(Any, kind)._fields

    def contents(one: Any) -> Any:
        return tuple(_hashable(getattr(one, name)) for name in names)

    def equal(one: Any, other: Any) -> bool:
        return one is other or (type(one) is type(other) and contents(one) == contents(other))

    def differ(one: Any, other: Any) -> bool:
        return not equal(one, other)  # a tuple has its own

    def hashed(one: Any) -> int:
        return hash((kind.__name__, contents(one)))

    for name, method in {"__eq__": equal, "__ne__": differ, "__hash__": hashed}.items():
        setattr(kind, name, method)
    return kind


def _hashable(value: Any) -> Any:
    """What stands for a value, and is equal where values are."""
    if isinstance(value, np.ndarray):
        array = cast(Any, value)
        return array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, Mapping):
        tree = cast(Mapping[str, Any], value)
        return tuple((name, _hashable(tree[name])) for name in sorted(tree))
    if isinstance(value, tuple):
        return tuple(_hashable(item) for item in cast(tuple[Any, ...], value))
    return value

"""An example as one line of Python: what differs from the defaults, and of arrays what decides."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, cast

import numpy as np

_MOST = 16  # elements of an array that are all shown


def written(value: Any) -> str:
    """A value on one line.

    Of a record (a dataclass or a NamedTuple) without a text of its own, only the fields that differ from their defaults
    are shown; an array is shown by dtype, shape and range, and a small one with its elements.
    """
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{written(key)}: {written(one)}' for key, one in cast(Any, value).items())}}}"
    if _is_record(value):
        return f"{type(value).__name__}({', '.join(_arguments(value))})"
    if type(value) in (tuple, list):
        items = ", ".join(map(written, value))
        return f"[{items}]" if isinstance(value, list) else f"({items}{',' * (len(value) == 1)})"
    return " ".join(repr(value).split())


def _array(array: np.ndarray) -> str:
    kind = f"{array.dtype} {array.shape}"
    if array.size <= _MOST:
        return f"{kind} {array.tolist()}"
    if array.dtype.kind == "b":
        return f"{kind} with {np.count_nonzero(array)} True"
    finite = array[np.isfinite(array)]
    between = f" in [{finite.min():.6g}, {finite.max():.6g}]" if finite.size else ""
    lost = f", {array.size - finite.size} not finite" if finite.size < array.size else ""
    return f"{kind}{between}{lost}"


def _is_record(value: Any) -> bool:
    """Whether it has fields, and prints them all unless something is done about it."""
    if isinstance(value, type):
        return False
    if is_dataclass(value):
        return bool(cast(Any, type(value)).__dataclass_params__.repr)
    return hasattr(value, "_fields") and type(value).__repr__.__module__ == "collections"  # NamedTuple's own


def _arguments(value: Any) -> Iterator[str]:
    """The arguments that make a record again: required ones by place, the others by name."""
    for name, default in _defaults(value).items():
        found = getattr(value, name)
        if default is MISSING:
            yield written(found)
        elif not _same(found, default):
            yield f"{name}={written(found)}"


def _defaults(value: Any) -> dict[str, Any]:
    """The fields of a record with their defaults, MISSING where there is none."""
    if not is_dataclass(value):
        return {name: value._field_defaults.get(name, MISSING) for name in value._fields}
    return {
        item.name: item.default if item.default_factory is MISSING else item.default_factory()
        for item in fields(value)
        if item.init and item.repr
    }


def _same(found: Any, default: Any) -> bool:
    return type(found) is type(default) and bool(np.all(found == default))

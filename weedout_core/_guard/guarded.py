"""The guard: arguments of functions and fields of records are converted to what their annotation says, or refused.

Functions that also run inside compiled programs are guarded like all others: their arrays are checked by dtype and
shape alone, which are known while a program is traced.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache, wraps
from itertools import zip_longest
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from weedout_core._guard.composed import either, exactly, fixed, instance, mapping, record, several
from weedout_core._guard.kinds import ANYTHING, CALLBACK, FINITE, FLAG, INTEGER, NONE, PATH, TEXT, Kind, option

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN: Mapping[Any, Kind] = {
    int: INTEGER,
    float: FINITE,
    bool: FLAG,
    str: TEXT,
    Path: PATH,
    NoneType: NONE,
    Any: ANYTHING,
    object: ANYTHING,
}


def kind_of(annotation: Any) -> Kind:
    """The kind of values that an annotation stands for."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        given = [one for one in inside[1:] if isinstance(one, Kind)]
        return given[0] if given else kind_of(inside[0])
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin is Literal:
        return option(*inside)
    if origin in (Union, UnionType):
        return exactly(*inside) if all(map(is_dataclass, inside)) else either(*map(kind_of, inside))
    if origin is Callable or getattr(annotation, "_is_protocol", False):
        return CALLBACK
    if origin is tuple and ... not in inside:
        return fixed(*map(kind_of, inside))
    if origin in (tuple, list, Sequence):
        return several(kind_of(inside[0]))
    if origin in (dict, Mapping):
        return mapping(kind_of(inside[1]))
    if hasattr(annotation, "_fields"):
        return record(annotation, lambda: _fields(annotation))
    if is_dataclass(annotation):
        return exactly(cast(type[Any], annotation))
    return instance(cast(type[Any], origin or annotation))


@cache
def _fields(kind: type[Any]) -> dict[str, Kind]:
    """The kind of each annotated field of a class."""
    return {name: kind_of(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}


def convert_fields(one: Any, of: str = "") -> None:
    """Convert the fields of a frozen dataclass to what their annotations say. Call it in ``__post_init__``.

    Args:
        of: what errors add to the name of a field that does not say what it belongs to, such as " of Dense".
    Raises:
        WeedoutError: a field cannot be converted; the message names it.
    """
    for name, kind in _fields(cast(type[Any], type(one))).items():
        object.__setattr__(one, name, kind(f"{name}{of}", getattr(one, name)))


def converter(like: Callable[..., Any], first: int = 0) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
    """A function that converts positional and named arguments to what the annotations of ``like`` say.

    Args:
        first: how many parameters of ``like``, such as ``self``, come before those arguments.
    """
    parameters = [*inspect.signature(like).parameters.values()][first:]
    places = [one.name for one in parameters if one.kind is not one.VAR_POSITIONAL]
    rest = next((one.name for one in parameters if one.kind is one.VAR_POSITIONAL), "")

    @cache
    def kinds() -> dict[str, Kind]:
        found = {name: kind_of(hint) for name, hint in get_type_hints(like, include_extras=True).items()}
        return {name: kind for name, kind in found.items() if kind is not ANYTHING}

    def convert(name: str, value: Any) -> Any:
        kind = kinds().get(name)
        return value if kind is None else kind(name, value)

    def converted(args: Any, kwargs: Any) -> tuple[Any, dict[str, Any]]:
        in_order = zip_longest(places[: len(args)], args, fillvalue=rest)
        return [convert(*one) for one in in_order], {name: convert(name, value) for name, value in kwargs.items()}

    return converted


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public function convert its arguments to what their annotations say, or refuse them in one sentence."""
    converted = converter(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        in_order, named = converted(args, kwargs)
        return cast(Any, function)(*in_order, **named)

    return checked

"""The guard: what is handed in to a function or a record becomes of the kind that its annotation says, or is refused.

Functions that run inside compiled programs too are guarded like all others: the kinds of their arrays look at dtype and
shape alone, which are known of what is traced.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache, wraps
from itertools import zip_longest
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from weedout_core._guard.composed import either, exactly, fixed, instance, mapping, record, several
from weedout_core._guard.kinds import ANYTHING, CALLBACK, FINITE, FLAG, INTEGER, NONE, TEXT, Kind, option

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN: Mapping[Any, Kind] = {
    int: INTEGER,
    float: FINITE,
    bool: FLAG,
    str: TEXT,
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
    """Make the fields of a frozen dataclass what they are annotated as. For its ``__post_init__``.

    Args:
        of: what the fields are of, where their names do not say it, such as " of Dense".
    Raises:
        WeedoutError: a field is of another kind; the sentence names it.
    """
    for name, kind in _fields(cast(type[Any], type(one))).items():
        object.__setattr__(one, name, kind(f"{name}{of}", getattr(one, name)))


def converter(like: Callable[..., Any], first: int = 0) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
    """What makes the arguments of a call, in order and by name, what they are annotated as in a function like it.

    Args:
        first: the parameter of that function which is the call's first.
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
    """A public function, whose arguments become what they are annotated as, or are refused in one sentence."""
    converted = converter(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        in_order, named = converted(args, kwargs)
        return cast(Any, function)(*in_order, **named)

    return checked

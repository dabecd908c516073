"""Annotations of the core are checked at every call: by jaxtyping where shapes are annotated, by beartype elsewhere.

jaxtyping binds the arguments of each call to the sizes that annotations name. That takes ten times what the checks
take, and most functions of the core name no sizes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial, wraps
from inspect import isclass, isfunction
from threading import local
from typing import Any, get_args, get_type_hints

import jaxtyping

_BY_JAXTYPING: Any = jaxtyping.jaxtyped


class _Called(local):
    """The functions whose arguments are being checked, the last one last."""

    def __init__(self) -> None:
        self.functions: list[Any] = []


#: By code and annotations: a function within another is defined anew at each call, and a check takes a millisecond to
#: make. What is checked stands for all functions of one definition.
_CHECKERS: dict[Any, Any] = {}
_CALLED = _Called()


def check_annotations(package: str) -> AbstractContextManager[None]:
    """Check all annotations of a package that is imported from here on, or within the context.

    An int is a float, as type checkers have it; what does not fit is a TypeError.
    ``jaxtyping.config.update("jaxtyping_disable", True)`` turns the checks off.
    """
    jaxtyping.jaxtyped = _jaxtyped
    as_jaxtyping_does = "beartype.BeartypeConf(is_pep484_tower=True, violation_type=TypeError)"
    return jaxtyping.install_import_hook(package, f"beartype.beartype(conf={as_jaxtyping_does})")


def _jaxtyped(*functions: Any, **options: Any) -> Any:
    """As jaxtyping's, but for what its import hook writes before each function: ``@jaxtyped(typechecker=...)``."""
    if functions or options.get("typechecker") is None:
        return _BY_JAXTYPING(*functions, **options)
    return partial(_checked, **options)


def _checked(function: Any, typechecker: Callable[[Any], Any]) -> Any:
    if not isfunction(function):
        return _BY_JAXTYPING(function, typechecker=typechecker)
    definition = function.__module__, function.__code__, str(function.__annotations__)
    if definition not in _CHECKERS:
        _CHECKERS[definition] = None if _names_sizes(function) else typechecker(_standing_for(function))
    checked = _CHECKERS[definition]
    if checked is None:
        return _BY_JAXTYPING(function, typechecker=typechecker)

    @_instead_of(function)
    def either(*arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return function(*arguments, **options)
        depth = len(_CALLED.functions)
        _CALLED.functions.append(function)
        try:
            return checked(*arguments, **options)
        finally:
            del _CALLED.functions[depth:]  # where an argument does not fit it is still there

    return either


def _instead_of(function: Any) -> Callable[[Any], Any]:
    """Named and annotated as the function, and in a traceback as much an installed library's as jaxtyping's own."""

    def named(wrapper: Any) -> Any:
        wrapper.__code__ = wrapper.__code__.replace(co_filename=jaxtyping.__file__)
        return wraps(function)(wrapper)

    return named


def _standing_for(function: Any) -> Any:
    """The function that is called, by its name and its annotations."""

    @_instead_of(function)
    def called(*arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return _CALLED.functions.pop()(*arguments, **options)

    return called


def _names_sizes(function: Any) -> bool:
    try:
        waiting: list[Any] = [*get_type_hints(function, include_extras=True).values()]
    except NameError:  # of what type checkers alone import, or of a function around this one
        return True
    while waiting:
        one = waiting.pop()
        if isclass(one) and issubclass(one, jaxtyping.AbstractArray):
            return True
        waiting += one if isinstance(one, list) else get_args(one)
    return False

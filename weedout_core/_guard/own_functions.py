"""Functions of the user's in a configuration, in the place of one of a few names."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from weedout_core._guard.failures import own_failure, place_of
from weedout_core._guard.kinds import Kind, require
from weedout_core.errors import WeedoutError

_PLACE = re.compile(r"[\w.]+:[\w.<>]+")


def named_or_own(*names: str, form: str, remedy: str = "", unset: str | None = None) -> Kind:
    """One of a few names, or a function. A record of results names a function as "package.module:function".

    Args:
        form: what a function takes and returns, such as "(space, sparsity) -> counts".
        remedy: what to do in place of handing in what is neither text nor a function.
        unset: a text that stands for a value that is not set yet, if there is one.
    """

    def convert(_: str, value: Any) -> Any:
        if isinstance(value, str):
            require(value in names or value == unset or _PLACE.fullmatch(value) is not None)
            return str(value)
        require(callable(value))
        hash(value)  # programs are compiled for it
        return value

    def advice(value: Any) -> str:
        if not isinstance(value, str):
            return remedy
        like = get_close_matches(value, names, 1)
        return f"Did you mean {like[0]!r}?" if like else "Name a function of your own as package.module:function."

    return Kind(f"{', '.join(map(repr, names))}, or a function {form}", convert, remedy=advice)


def place_of_own(value: Any) -> str:
    """What a name or a function is called in a record: the name, or "package.module:function"."""
    if isinstance(value, str):
        return value
    place: Any = value if hasattr(value, "__qualname__") else value.__class__  # such as a functools.partial
    return f"{place.__module__}:{place.__qualname__}"


def call_own(function: Callable[..., Any], name: str, *arguments: Any) -> Any:
    """What a function of the user's returns.

    Args:
        function: what is called with the arguments.
        name: what errors call it, such as "the fitness my_search:margin".
    Raises:
        ConfigError: it failed; the sentence has the line of hers, and what the error says.
        WeedoutError: it is one of this library, such as ``wc.erk(net)``, and says itself what is wrong.
    """
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:  # it may call what ends a script
        if isinstance(error, WeedoutError) and not place_of(error):
            raise
        raise own_failure(name, error) from error

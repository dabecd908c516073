"""Functions of the user's: by their place, ``package.module:function``, or as they are handed in."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import PurePath
from types import CodeType
from typing import Any

from weedout_core._guard.failures import own_failure, place_of, told
from weedout_core._guard.showing import shown
from weedout_core.errors import ConfigError

Function = Callable[..., Any]

_NOT_AT_ONCE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def imported(place: str, what: str) -> Function:
    """What ``package.module:function`` names, looked for in the present folder too, as by ``python -m``.

    Args:
        place: the text.
        what: what errors call it, such as "arm".
    Raises:
        ConfigError: the text is no such place, there is no such function, or its module cannot be imported.
    """
    module, function = checked_place(place, what)
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # for good: a function may import when it is called
    try:
        with chdir(os.curdir):  # a module may leave the folder
            found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a script without a guard ends itself
        raise ConfigError(_unimportable(f"the {what} {place}", module, error)) from error
    if not hasattr(found, function):
        there = [name for name, value in vars(found).items() if getattr(value, "__module__", "") == module]
        remedy = f"Name what it has: {', '.join(there)}." if there else "Write the function there."
        raise ConfigError(f"the {what} {place} does not exist: {module} has no {function}. {remedy}")
    value = getattr(found, function)
    _check_function(value, f"the {what} {place}")
    return value


def checked_place(place: str, what: str) -> tuple[str, str]:
    """The module and the function of ``package.module:function``. Raises ConfigError for any other text."""
    module, _, function = place.partition(":")
    if _dotted(module) and function.isidentifier() and not module.endswith(".py"):
        return module, function
    if ":" not in place and is_place(place) and not place.endswith(".py"):
        module, _, function = place.replace(":", ".").rpartition(".")  # a dot for the colon
    path, called = PurePath(module.removesuffix(".py")) if PurePath(module).name else PurePath(), ":function"
    called = f":{function}" if function.isidentifier() else called
    remedy = ""
    if _dotted(meant := ".".join(path.parts)):
        remedy = f" Write {meant}{called}."
    elif path.name.isidentifier():
        remedy = f" Run the command in the folder {path.parent}, with {path.name}{called}."
    raise ConfigError(
        f"{_AN.get(what, 'a')} {what} of your own{_FIELDS.get(what, '')} must be package.module:function, such as "
        f"{_EXAMPLES[what]}; got {place!r}.{remedy}"
    )


def is_place(text: str) -> bool:
    """Whether a text is meant as the place of a function, and not as a name of this library."""
    return ":" in text or ("." in text and _dotted(text))


_COUNTS = ("none", "one", "two", "three", "four", "five", "six")
_AN = {"arm": "an", "allocation": "an"}
_FIELDS = {"model": " (network)"}  # where it is named otherwise
_EXAMPLES = {
    "arm": "my_methods:by_degree", "model": "my_models:small", "dataset": "my_data:faces",
    "allocation": "my_allocations:halves", "fitness": "my_search:margin", "strategy": "my_search:two_parents",
}  # fmt: skip


def placed(function: Function, what: str) -> str:
    """The place of a function that is handed in, by which a run knows it.

    Raises:
        ConfigError: it is no function, or has no name.
    """
    _check_function(function, f"{_AN.get(what, 'a')} {what} of your own")
    if not function.__name__.isidentifier():
        raise ConfigError(
            f"{_AN.get(what, 'a')} {what} of your own must have a name; got {function.__name__}. Define it by def."
        )
    return f"{function.__module__}:{function.__name__}"


def check_call(function: Function, name: str, arguments: Sequence[str], returns: str) -> None:
    """Raise ConfigError unless it is a function that can be called with so many arguments, and then returns.

    Args:
        function: what should be a function.
        name: what errors call it, such as "the arm by_degree".
        arguments: what each is, such as "the task"; at most six.
        returns: what it must return, such as "masks or scores".
    """
    _check_function(function, name)
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments)
    except TypeError as error:
        listed = " and ".join(filter(None, (", ".join(arguments[:-1]), *arguments[-1:])))
        count = _COUNTS[len(arguments)]
        wanted = f"{count} argument{'s' * (len(arguments) > 1)}, {listed}" if arguments else "no argument"
        raise ConfigError(
            f"{name} must take {wanted}; got {function.__name__}{signature}. Give the others defaults, or wrap it in a "
            f"function of {count}."
        ) from error
    if _code(function).co_flags & _NOT_AT_ONCE:
        raise ConfigError(f"{name} must return {returns}; it yields, or is to be awaited. Return them.")


def _check_function(function: Any, name: str) -> None:
    """Raise ConfigError unless it is a function that was defined by def, or one that a decorator made of such a one."""
    if inspect.isfunction(inspect.unwrap(function)):
        return
    got = f"the class {function.__name__}" if isinstance(function, type) else shown(function)
    raise ConfigError(
        f"{name} must be a function; got {got}. Wrap it in a function that is defined in a file or a notebook."
    )


def _code(function: Function) -> CodeType:
    """The code that runs first when a function is called; a decorator of C, such as a cache, runs the one within."""
    return function.__code__ if inspect.isfunction(function) else inspect.unwrap(function).__code__


def called(function: Function, name: str, *arguments: Any) -> Any:
    """What a function returns. Raises ConfigError with its line, and what it says, where it fails."""
    try:
        with chdir(os.curdir):  # it may leave the folder
            return function(*arguments)
    except (Exception, SystemExit) as error:  # or call one that ends a script
        raise own_failure(name, error) from error


def _dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _unimportable(name: str, module: str, error: BaseException) -> str:
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if not f"{module}.".startswith(f"{missing}.") or not missing:
        return f"{name} cannot be imported{place_of(error)}: {told(error)}"
    top = module.partition(".")[0]
    remedy = f"Run the command in the folder of {top}.py, or install the package." if missing == top else ""
    return f"{name} cannot be imported: there is no module {missing}. {remedy}".strip()

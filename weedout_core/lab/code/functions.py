"""Functions of the user's: by their place, ``package.module:function``, or as they are handed in."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import PurePath
from typing import Any

from weedout_core.errors import ConfigError
from weedout_core.lab.code.failures import place_of, told

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
    return getattr(found, function)


def checked_place(place: str, what: str) -> tuple[str, str]:
    """The module and the function of ``package.module:function``. Raises ConfigError for any other text."""
    module, _, function = place.partition(":")
    if _dotted(module) and function.isidentifier() and not module.endswith(".py"):
        return module, function
    path, called = PurePath(module).with_suffix("") if PurePath(module).name else PurePath(), ":function"
    called = f":{function}" if function.isidentifier() else called
    remedy = ""
    if _dotted(meant := ".".join(path.parts)):
        remedy = f" Write {meant}{called}."
    elif path.name.isidentifier():
        remedy = f" Run the command in the folder {path.parent}, with {path.name}{called}."
    raise ConfigError(
        f"{_AN.get(what, 'a')} {what} of your own must be package.module:function, such as {_EXAMPLES[what]}; got "
        f"{place!r}.{remedy}"
    )


_AN = {"arm": "an"}
_EXAMPLES = {"arm": "my_methods:by_degree", "model": "my_models:small", "dataset": "my_data:faces"}


def placed(function: Function, what: str) -> str:
    """The place of a function that is handed in, by which a run knows it.

    Raises:
        ConfigError: it is no function that was defined by a name.
    """
    if not inspect.isfunction(function) or not function.__name__.isidentifier():
        raise ConfigError(
            f"{_AN.get(what, 'a')} {what} of your own must be a function with a name; got "
            f"{getattr(function, '__name__', type(function).__name__)}. Define it by def, in a file or a notebook."
        )
    return f"{function.__module__}:{function.__name__}"


def check_call(function: Function, name: str, argument: str, returns: str) -> None:
    """Raise ConfigError unless a function can be called with one argument, or with none, and then returns.

    Args:
        function: the function.
        name: what errors call it, such as "the arm by_degree".
        argument: what the one argument is, such as "the task"; "" where there is none.
        returns: what it must return, such as "masks or scores".
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*(None,) * bool(argument))
    except TypeError as error:
        wanted = f"one argument, {argument}" if argument else "no argument"
        raise ConfigError(
            f"{name} must take {wanted}; got {function.__name__}{signature}. Give the others defaults, or wrap it in a "
            f"function of {'one' if argument else 'none'}."
        ) from error
    if function.__code__.co_flags & _NOT_AT_ONCE:
        raise ConfigError(f"{name} must return {returns}; it yields, or is to be awaited. Return them.")


def called(function: Function, name: str, *arguments: Any) -> Any:
    """What a function returns. Raises ConfigError with its line, and what it says, where it fails."""
    try:
        with chdir(os.curdir):  # it may leave the folder
            return function(*arguments)
    except (Exception, SystemExit) as error:  # or call one that ends a script
        raise ConfigError(f"{name} failed{place_of(error)}: {told(error)}") from error


def _dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _unimportable(name: str, module: str, error: BaseException) -> str:
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if not f"{module}.".startswith(f"{missing}.") or not missing:
        return f"{name} cannot be imported{place_of(error)}: {told(error)}"
    top = module.partition(".")[0]
    remedy = f"Run the command in the folder of {top}.py, or install the package." if missing == top else ""
    return f"{name} cannot be imported: there is no module {missing}. {remedy}".strip()

"""Arms of the user's own: a function of Python, or one that is named on the command line."""

import importlib
import inspect
import os
import sys
import zlib
from collections.abc import Callable
from contextlib import chdir
from pathlib import PurePath
from typing import Any

import numpy as np

from weedout_core.errors import ConfigError, MaskError
from weedout_core.lab.arms.sources import source
from weedout_core.lab.arms.starts import start_of
from weedout_core.lab.experiment.arms import Arm, Start, Task
from weedout_core.lab.experiment.failures import place_of, told

#: A function of the user's: what it returns is described at :func:`weedout_core.lab.arms.starts.start_of`.
Choose = Callable[[Task], Any]

_NOT_AT_ONCE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def own(function: Choose, name: str | None = None) -> Arm:
    """An arm from a function. It is called by its own name, unless another is given.

    The files that define it are part of a run's identity (:func:`weedout_core.lab.arms.sources.source`). What else it
    reads beside its argument, such as a variable of the function that made it, is not: give arms that differ in that
    alone other names.

    Raises:
        ConfigError: it is not a function of one argument, or it returns nothing but what must be waited for.
    """
    called = "an arm" if name is None else f"the arm {name}"
    if not inspect.isfunction(function):
        raise ConfigError(
            f"{called} must be a function of one argument, the task; got {type(function).__name__}. Wrap it in a "
            "function that is defined in a file or a notebook."
        )
    name = name or function.__name__
    _check_call(function, name)

    def choose(task: Task) -> Start:
        before = _handed(task)
        made = function(task)
        if _handed(task) != before:
            raise MaskError("it changed an array that it was handed. Copy what you change.")
        return start_of(made, task)

    return Arm(name, choose, source=source(function))


def imported(place: str) -> Arm:
    """The arm that ``package.module:function`` names, looked for in the present folder too, as by ``python -m``.

    Raises:
        ConfigError: there is no such function, or its module cannot be imported.
    """
    module, function = checked_place(place)
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # for good: a function may import when it is called
    try:
        with chdir(os.curdir):  # a module may leave the folder
            found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a script without a guard ends itself
        raise ConfigError(_unimportable(place, module, error)) from error
    if not hasattr(found, function):
        there = [name for name, value in vars(found).items() if getattr(value, "__module__", "") == module]
        remedy = f"Name what it has: {', '.join(there)}." if there else "Write the function there."
        raise ConfigError(f"the arm {place} does not exist: {module} has no {function}. {remedy}")
    return own(getattr(found, function), function)


def checked_place(place: str) -> tuple[str, str]:
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
        f"an arm of your own must be package.module:function, such as my_methods:by_degree; got {place!r}.{remedy}"
    )


def _dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _check_call(function: Choose, name: str) -> None:
    """Raise ConfigError unless a function can be called with the task alone, and then returns."""
    signature = inspect.signature(function)
    try:
        signature.bind(None)
    except TypeError as error:
        raise ConfigError(
            f"the arm {name} must take one argument, the task; got {function.__name__}{signature}. Give the others "
            "defaults, or wrap it in a function of one."
        ) from error
    if function.__code__.co_flags & _NOT_AT_ONCE:
        raise ConfigError(f"the arm {name} must return masks or scores; it yields, or is to be awaited. Return them.")


def _unimportable(place: str, module: str, error: BaseException) -> str:
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if not f"{module}.".startswith(f"{missing}.") or not missing:
        return f"the arm {place} cannot be imported{place_of(error)}: {told(error)}"
    top = module.partition(".")[0]
    remedy = f"Run the command in the folder of {top}.py, or install the package." if missing == top else ""
    return f"the arm {place} cannot be imported: there is no module {missing}. {remedy}".strip()


def _handed(task: Task) -> int:
    """A checksum of what a task hands out. Its arrays are read-only, but other libraries may write to them."""
    code = 0
    for array in (*task.train, *task.validation, *(task.params[path] for path in sorted(task.params))):
        code = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, code)
    return code

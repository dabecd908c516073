"""Arms of the user's own: a function of Python, or one that is named on the command line."""

import hashlib
import importlib
import inspect
import marshal
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from weedout_core.errors import ConfigError, MaskError
from weedout_core.lab.arms.starts import start_of
from weedout_core.lab.experiment.arms import Arm, Start, Task

#: A function of the user's: what it returns is described at :func:`weedout_core.lab.arms.starts.start_of`.
Choose = Callable[[Task], Any]


def own(function: Choose, name: str | None = None) -> Arm:
    """An arm from a function. It is called by its own name, unless another is given.

    The file that defines it is part of a run's identity. What it reads beside its argument, such as a module that it
    imports or a variable of the function that made it, is not: give arms that differ in that alone other names.

    Raises:
        ConfigError: it is not a function.
    """
    if not inspect.isfunction(function):
        raise ConfigError(
            f"an arm must be a function of one argument, the task; got {type(function).__name__}. Wrap it in a "
            "function that is defined in a file or a notebook."
        )
    source = _source(function)

    def choose(task: Task) -> Start:
        before = _handed(task)
        made = function(task)
        if _handed(task) != before:
            raise MaskError("it changed an array that it was handed. Copy what you change.")
        return start_of(made, task)

    return Arm(name or function.__name__, choose, source=source)


def imported(place: str) -> Arm:
    """The arm that ``package.module:function`` names, looked for in the present folder too.

    Raises:
        ConfigError: there is no such function, or its module cannot be imported.
    """
    module, _, function = place.partition(":")
    if not module or not function.isidentifier():
        raise ConfigError(f"arm must be package.module:function, such as my_methods:by_degree; got {place!r}.")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a script without a guard ends itself
        raise ConfigError(
            f"the arm {place} cannot be imported: {type(error).__name__}: {error}. Run the command in the folder "
            f"of {module.partition('.')[0]}.py, or install the package."
        ) from error
    finally:
        sys.path.remove(here)
    if not hasattr(found, function):
        raise ConfigError(f"the arm {place} does not exist: {module} has no {function}.")
    return own(getattr(found, function))


def _source(function: Callable[..., Any]) -> str:
    """The SHA-256 of the file that defines a function, not of what that imports; without a file, of its code."""
    path = Path(inspect.getsourcefile(function) or "")
    return hashlib.sha256(path.read_bytes() if path.is_file() else marshal.dumps(function.__code__)).hexdigest()


def _handed(task: Task) -> int:
    """A checksum of what a task hands out. Its arrays are read-only, but other libraries may write to them."""
    code = 0
    for array in (*task.train, *task.validation, *(task.params[path] for path in sorted(task.params))):
        code = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, code)
    return code

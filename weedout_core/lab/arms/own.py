"""Arms of the user's own: a function of Python, or one that is named on the command line."""

import inspect
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from weedout_core.errors import MaskError, RunError
from weedout_core.lab.arms.starts import start_of
from weedout_core.lab.code.functions import check_call, imported
from weedout_core.lab.code.sources import source
from weedout_core.lab.experiment.arms import Arm, Start, Task

#: A function of the user's: what it returns is described at :func:`weedout_core.lab.arms.starts.start_of`.
Choose = Callable[[Task], Any]


def own(function: Choose, name: str | None = None) -> Arm:
    """An arm from a function. It is called by its own name, unless another is given.

    The files that define it are part of a run's identity (:func:`weedout_core.lab.code.sources.source`). What else it
    reads beside its argument, such as a variable of the function that made it, is not: give arms that differ in that
    alone other names.

    Raises:
        ConfigError: it is not a function of one argument, or it returns nothing but what must be waited for.
    """
    called = name or getattr(function, "__name__", "of your own")
    check_call(function, f"the arm {called}", ["the task"], "masks or scores")

    return Arm(called, partial(_chosen_by, function), source=source(function))


def _chosen_by(function: Choose, task: Task) -> Start:
    before = _handed(task)
    made = function(task)
    if _handed(task) != before:
        raise MaskError("it changed an array that it was handed. Copy what you change.")
    return start_of(made, task)


def imported_arm(place: str) -> Arm:
    """The arm that ``package.module:function`` names.

    Raises:
        ConfigError: there is no such function, its module cannot be imported, or it is no arm.
    """
    return own(imported(place, "arm"), place.partition(":")[2])


def same_sources(arms: Iterable[Arm]) -> None:
    """Raise RunError unless the files of a user's functions are those that their arms were made of.

    A function that was sent without its file is the same.
    """
    for arm in arms:
        if not isinstance(arm.choose, partial) or arm.choose.func is not _chosen_by:
            continue
        function: Choose = arm.choose.args[0]
        if Path(inspect.getsourcefile(inspect.unwrap(function)) or "").is_file() and source(function) != arm.source:
            raise RunError(f"the arm {arm.name} must be that of the run; here its files are others. Copy them.")


def _handed(task: Task) -> int:
    """A checksum of what a task hands out. Its arrays are read-only, but other libraries may write to them."""
    code = 0
    for array in (*task.train, *task.validation, *(task.params[path] for path in sorted(task.params))):
        code = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, code)
    return code

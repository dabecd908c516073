"""The fence: a context in which the caller's settings of a framework neither change a result nor are changed.

The functions of a backend run inside the backend's own fence. NumPy code of the core and of backends runs inside the
core's fence, where NumPy has the settings of ``NUMPY``. Settings that a fence does not list cannot change a result.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

Fence = Callable[[], AbstractContextManager[object]]

#: The value of each of NumPy's settings inside the fence, and the function that reads the caller's value.
NUMPY: Mapping[str, tuple[Any, Callable[[], Any]]] = {
    # Underflow in exp must neither raise nor warn: a filter can turn warnings into errors. Values that are not finite
    # are counted instead.
    "errors": (dict.fromkeys(("divide", "over", "under", "invalid"), "ignore"), np.geterr),
    "buffer": (8192, np.getbufsize),  # how many numbers NumPy converts at a time in a sum; its default
}

#: The arguments of phases that are functions of the caller.
CALLBACKS = ("on_generation", "on_epoch", "checkpoint")


@contextmanager
def numpy_settings(errors: Mapping[str, Any], buffer: int) -> Generator[None]:
    """Set NumPy's settings in this thread (``np.errstate``, ``np.setbufsize``), and restore them afterwards."""
    with np.errstate(**errors):
        np.setbufsize(buffer)  # errstate restores it too: both are one variable of the context
        yield


def fenced_phase(phase: Callable[P, T]) -> Callable[P, T]:
    """Run a function of the core in the NumPy settings of ``NUMPY``, and its callbacks in the caller's settings.

    Settings that a callback changes are the caller's from then on.
    """

    @wraps(phase)
    def in_our_settings(*args: P.args, **kwargs: P.kwargs) -> T:
        callers = _Callers()
        for name, callback in kwargs.items():
            if name in CALLBACKS and callback is not None:
                kwargs[name] = callers.inside(cast(Callable[..., Any], callback))
        try:
            with our_numpy():
                return phase(*args, **kwargs)
        finally:
            callers.leave()

    return in_our_settings


class _Callers:
    """NumPy's settings as the caller has them while a phase is under way: its callbacks may change them."""

    def __init__(self) -> None:
        self._before = self._now = _read()

    def inside(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(callback)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with numpy_settings(*self._now):
                try:
                    return callback(*args, **kwargs)
                finally:
                    self._now = _read()

        return inside

    def leave(self) -> None:
        """After the phase, which restored the settings from before it, apply what callbacks changed."""
        if self._now != self._before:
            errors, buffer = self._now
            np.seterr(**errors)
            np.setbufsize(buffer)


def _read() -> tuple[Any, Any]:
    errors, buffer = (read() for _, read in NUMPY.values())
    return errors, buffer


our_numpy = partial(numpy_settings, *(ours for ours, _ in NUMPY.values()))

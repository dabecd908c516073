"""The fence: what the caller has set neither changes what is computed inside, nor is changed by it.

A backend's calls are made inside its own fence, and what the core and a backend compute in NumPy inside the core's, in
which NumPy has the settings of ``NUMPY``. A setting that is not in a fence's list cannot matter there.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

Fence = Callable[[], AbstractContextManager[object]]

#: What each of NumPy's settings is inside, and how the caller's is read.
NUMPY: Mapping[str, tuple[Any, Callable[[], Any]]] = {
    # An underflow in an exp is no error, and no warning that a filter could make one. What is not finite is counted.
    "errors": (dict.fromkeys(("divide", "over", "under", "invalid"), "ignore"), np.geterr),
    "buffer": (8192, np.getbufsize),  # so many numbers of another type are summed at a time; NumPy's default
}

#: A phase's arguments that are the caller's own functions.
CALLBACKS = ("on_generation", "on_epoch", "checkpoint")


@contextmanager
def numpy_settings(errors: Mapping[str, Any], buffer: int) -> Generator[None]:
    """NumPy's settings in this thread (``np.errstate``, ``np.setbufsize``); what they were is put back."""
    with np.errstate(**errors):
        np.setbufsize(buffer)  # errstate puts it back too: both are one variable of the context
        yield


def fenced_phase(phase: Callable[P, T]) -> Callable[P, T]:
    """A function of the core that computes in NumPy's settings of ``NUMPY``, while its callbacks have the caller's.

    What a callback sets there is the caller's from then on.
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
        """After the phase, where NumPy has the settings of before."""
        if self._now != self._before:
            errors, buffer = self._now
            np.seterr(**errors)
            np.setbufsize(buffer)


def _read() -> tuple[Any, Any]:
    errors, buffer = (read() for _, read in NUMPY.values())
    return errors, buffer


our_numpy = partial(numpy_settings, *(ours for ours, _ in NUMPY.values()))

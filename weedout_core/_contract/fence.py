"""The fence: what the caller has set neither changes what is computed inside, nor is changed by it.

A backend's calls are made inside its own fence, and what the core and a backend compute in NumPy inside the core's, in
which NumPy has the settings of ``NUMPY``. A setting that is not in a fence's list cannot matter there.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial, update_wrapper, wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

Fence = Callable[[], AbstractContextManager[object]]

#: The functions of a backend's record that are called inside its fence.
CALLS = (
    "asarray", "to_numpy", "random_bits", "keep_smallest", "masks_from_keys", "draw_parameters", "score_population",
    "predict", "train_init", "train_epoch", "compiled_memory",
)  # fmt: skip

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


class Fenced:
    """A call of a backend, made inside a fence. Two are equal where call and fence are."""

    def __init__(self, call: Callable[..., Any], fence: Fence) -> None:
        update_wrapper(self, call)  # its signature
        self._made = (call, fence)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call, fence = self._made
        with fence(), our_numpy():
            return call(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fenced) and self._made == other._made

    def __hash__(self) -> int:
        return hash(self._made)

    def inside(self, fence: Fence) -> bool:
        """Whether this is the fence that it is made in."""
        return self._made[1] == fence


def fenced(call: Callable[..., Any], fence: Fence) -> Callable[..., Any]:
    """A call as it stands in the record: made inside the fence. One that is there already stays as it is."""
    return call if isinstance(call, Fenced) and call.inside(fence) else Fenced(call, fence)


def fenced_phase(phase: Callable[P, T]) -> Callable[P, T]:
    """A function of the core that computes in NumPy's settings of ``NUMPY``, while its callbacks have the caller's."""

    @wraps(phase)
    def in_our_settings(*args: P.args, **kwargs: P.kwargs) -> T:
        callers = partial(numpy_settings, *(read() for _, read in NUMPY.values()))
        for name, callback in kwargs.items():
            if name in CALLBACKS and callback is not None:
                kwargs[name] = _inside(callers, cast(Callable[..., Any], callback))
        with our_numpy():
            return phase(*args, **kwargs)

    return in_our_settings


def _inside(fence: Fence, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with fence():
            return function(*args, **kwargs)

    return inside


our_numpy = partial(numpy_settings, *(ours for ours, _ in NUMPY.values()))

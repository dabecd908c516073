"""The threads with which JAX computes on a CPU. Their number is fixed when a process first asks for JAX's devices."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import jax
from jax._src import xla_bridge  # nothing public says whether a process has asked for devices

from weedout_core.errors import BackendError

#: The variables that JAX reads the number from, the first that is set; without one it takes a thread for each core.
_VARIABLES = ("PJRT_NPROC", "NPROC")

_begun: list[int] = []


def devices(platform: str | None, threads: int | None) -> list[Any]:
    """JAX's devices of a platform, whose CPU has a number of threads; None leaves the number.

    Raises:
        BackendError: this process has asked for devices before, and has another number.
    """
    if not xla_bridge.backends_are_initialized():
        with _variables(threads):
            found = jax.devices(platform)
            _begun[:] = [_number()]
        return found
    if threads not in (None, number()):
        raise BackendError(
            f"threads must be {number()}, with which JAX computes in this process since it asked for its devices; got "
            f"{threads}. Connect before anything else uses JAX, or in a process of its own."
        )
    return jax.devices(platform)


def number() -> int:
    """The number of threads with which JAX computes on the CPU of this process."""
    return _begun[0] if _begun else _number()


def _number() -> int:
    """The number with which JAX begins."""
    for name in _VARIABLES:
        if os.environ.get(name, "").isdecimal():
            return max(1, int(os.environ[name]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _variables(threads: int | None) -> Generator[None]:
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update({} if threads is None else dict.fromkeys(_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

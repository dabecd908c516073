"""The threads that compute a group on a CPU, on whose number floats may depend in their last bits."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

from weedout_core.backend import Backend
from weedout_core.errors import ConfigError, RunError


def decided_threads(asked: int | None, backend: Backend) -> int | None:
    """The number of threads of a run that begins: as many as were asked for, or as the backend has in this process.

    Returns:
        the number; None on a device whose results do not depend on it.
    Raises:
        ConfigError: a number was asked for on such a device.
    """
    if backend.threads is None and "cpu" not in backend.device.lower():
        if asked is not None:
            raise ConfigError(f"threads has no effect on {backend.device}, only on a CPU. Leave it out.")
        return None
    return asked or backend.threads or max((pool["num_threads"] for pool in _pools()), default=1)


def check_threads(threads: int | None, backend: Backend) -> None:
    """Raise RunError unless a backend computes in this process with the number of threads of the run."""
    if None not in (threads, backend.threads) and threads != backend.threads:
        raise RunError(
            f"this run computes with {threads} threads, as its config.json says; {backend.name} has {backend.threads} "
            "in this process. Continue it with --workers 1, in a process that has as many."
        )


@contextmanager
def with_threads(threads: int | None) -> Generator[None]:
    """A context in which NumPy computes with a number of threads; a backend takes it when it connects."""
    with threadpool_limits(threads, "blas"):
        yield


def _pools() -> list[dict[str, Any]]:
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]

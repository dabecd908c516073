"""Compilation: how long it has taken, and where compiled programs are kept for later processes."""

import os
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from weedout_core.errors import BackendError

# The events that JAX reports about a program: tracing, lowering, compilation (or reading it from the cache).
_EVENTS = "/jax/core/compile/"
_seconds: list[float] = []


def _on_event(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith(_EVENTS):
        _seconds.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_on_event)


def compile_seconds() -> float:
    """The seconds spent on compiling all programs of this process since the backend was imported."""
    return sum(_seconds)


def keep_programs(folder: str | os.PathLike[str]) -> None:
    """Keep the compiled programs in a folder and reuse those that it holds, for all programs of this process.

    Raises BackendError if the folder cannot be written.
    """
    if not str(folder):
        raise BackendError(f"cache must be a folder that can be written; got {folder!r}.")
    path = Path(folder).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"cache must be a folder that can be written; got {path} ({error.strerror}).") from error
    if not os.access(path, os.W_OK):
        raise BackendError(f"cache must be a folder that can be written; got {path}. Take another one.")
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # keep all programs, not only slow ones
    compilation_cache.reset_cache()  # JAX reads these settings only once, at its first compilation

"""Compilation: how long it has taken, and where its programs are kept from process to process."""

import os
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from weedout_core.errors import BackendError

# What JAX reports of a program: tracing, lowering, compilation (or reading it from the cache).
_EVENTS = "/jax/core/compile/"
_seconds: list[float] = []


def _on_event(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith(_EVENTS):
        _seconds.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_on_event)


def compile_seconds() -> float:
    """The seconds spent on all programs of this process since the backend was imported."""
    return sum(_seconds)


def keep_programs(folder: str | os.PathLike[str]) -> None:
    """Keep every compiled program in a folder, and take those that are there: all of the process, not only ours.

    Raises BackendError where the folder cannot be written.
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
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # all of them, not only those that took long
    compilation_cache.reset_cache()  # JAX looks at its settings once, when it compiles first

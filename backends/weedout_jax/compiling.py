"""Compilation: what programs may do, how long it has taken, and where they are kept for later processes."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from weedout_core.errors import BackendError

#: A GPU has algorithms that add up in the order in which threads end, and give other bits each time: none of these.
_OPTIONS: Mapping[str, bool] = MappingProxyType({"xla_gpu_exclude_nondeterministic_ops": True})

# The events that JAX reports about a program: tracing, lowering, compilation (or reading it from the cache).
_EVENTS = "/jax/core/compile/"
_seconds: list[float] = []


def _on_event(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith(_EVENTS):
        _seconds.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_on_event)


def compiled(static: str | tuple[str, ...]) -> Callable[[Callable[..., Any]], Any]:
    """``jax.jit`` of a program that computes a network, which gives the same bits each time it is called.

    Args:
        static: names of the arguments for each value of which another program is compiled.
    """
    return partial(jax.jit, static_argnames=static, compiler_options=dict(_OPTIONS))


def compile_seconds() -> float:
    """The seconds spent on compiling all programs of this process since the backend was imported."""
    return sum(_seconds)


def keep_programs(folder: str | os.PathLike[str]) -> None:
    """Keep the compiled programs in a folder and reuse those that it holds, for all programs of this process.

    They are machine code, and whoever can write them can change what is run: so the folder must be the user's own. A
    new one is closed to all other users.

    Raises:
        BackendError: the folder's path is no valid text, the folder cannot be written, or it or something in it is
            another user's or can be written by one.
    """
    wanted = "cache must be a folder that can be written; got"
    if not str(folder):
        raise BackendError(f"{wanted} {folder!r}.")
    path = Path(os.path.expanduser(folder)).absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # such as a byte of a file name that is no UTF-8
        raise BackendError(f"{wanted} {str(path)!r}, which XLA cannot read as text. Take another name.") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        others = _of_others(path)
    except OSError as error:
        raise BackendError(f"{wanted} {path} ({error.strerror}).") from error
    if not os.access(path, os.W_OK):
        raise BackendError(f"{wanted} {path}. Take another one.")
    if others is not None:
        raise BackendError(
            "cache must be a folder that is your own and that no other user can write, because the programs in it are "
            f"run; got {path}, where another user owns or can write {others}. Take a new one."
        )
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # keep all programs, not only slow ones
    compilation_cache.reset_cache()  # JAX reads these settings only once, at its first compilation


def _of_others(folder: Path) -> Path | None:
    """A folder, or the first of its files, if another user owns it or can write it. Windows does not say so."""
    if not hasattr(os, "geteuid"):
        return None
    through = folder.stat().st_mode << 1  # who may enter the folder, at the bits of who may write a file
    for path in (folder, *sorted(folder.iterdir())):
        with suppress(FileNotFoundError):  # another process has deleted it
            found = path.stat()
            writable = found.st_mode & 0o022 & (-1 if path == folder else through)
            if writable or found.st_uid != os.geteuid():
                return path
    return None

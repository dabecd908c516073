"""Signals that ask the command to end: Ctrl-C, a terminal that closes, a scheduler whose time is up.

Each becomes a KeyboardInterrupt, on whose way the progress is written. The command alone calls :func:`hear`: to a
library, the signals are its caller's.
"""

import _thread
import atexit
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

#: What a sentence says of a request, by its signal. Windows has no SIGHUP.
_ENDED = {
    getattr(signal, name): said
    for name, said in {"SIGINT": "interrupted", "SIGTERM": "ended by SIGTERM", "SIGHUP": "ended by SIGHUP"}.items()
    if hasattr(signal, name)
}
KEPT = "what was saved is kept, and the same command goes on from there."
_SAME = 1.0  # seconds in which further signals are the same request: people press twice, a scheduler asks each process


class _Request:
    """The request to end: the last signal, when it came (in seconds), and whether the command is already ending.

    Further, whether it waits for a moment at which it can end, and whether this process has got a signal itself.

    It is no dataclass, because what is imported here comes before the command hears any signal.
    """

    number: int | None = None
    at: float = -math.inf
    ending: bool = False
    deferred: bool = False
    heard: bool = False


_request = _Request()


def hear() -> None:
    """Take each of the signals as a request to end, unless it is ignored, as under nohup, or handled by others."""
    for number in _ENDED:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)
            # What is registered first comes last: then Python lets go of its handlers, and nothing is left to be done.
            atexit.register(signal.signal, number, signal.SIG_IGN)
    # A library's callback may lose the KeyboardInterrupt, which is raised again then: nothing is to be read about it.
    sys.excepthook, sys.unraisablehook = _quiet(sys.excepthook), _quiet_unraisable(sys.unraisablehook)


def begin() -> None:
    """Forget that a call before was asked to end: a worker may be handed another one."""
    _request.ending = False


def end_begins() -> None:
    """From here on the command ends on its own: no signal raises any more, and one that insists ends it at once."""
    _request.ending = True


@contextmanager
def deferred() -> Generator[None]:
    """A context in which a request to end is noted alone, and a second one ends the process at once."""
    _request.deferred = True
    try:
        yield
    finally:
        _request.deferred = False


def noted() -> int | None:
    """The signal that asked to end; None if there was none."""
    return _request.number


def end_as(number: int) -> NoReturn:
    """End as if this process had got a signal, which another one has got."""
    _request.number = number
    raise KeyboardInterrupt


def requested() -> int | None:
    """The exit code of a command that was asked to end, 128 + the signal's number; None if it was not."""
    return None if _request.number is None else 128 + _request.number


def how_it_ended() -> str:
    """How the command came to end, the first words of a sentence."""
    return _ENDED[_request.number or signal.SIGINT]


def end_at_once() -> NoReturn:
    """End the process where it is, with a sentence: every file is written whole or not at all."""
    with suppress(OSError):  # what it would say it to has ended before
        os.write(2, f"weedout: {how_it_ended()}; {KEPT}\n".encode())
    os._exit(requested() or 130)


def leave(code: int) -> NoReturn:
    """End the process with an exit code.

    One that was asked to end does so without the interpreter's own end. A library that was left in the middle of a call
    may crash there, as JAX does.
    """
    end_begins()
    if requested() is None:
        sys.exit(code)
    os._exit(code)


def _handle(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if now - _request.at < _SAME:
        return
    again, _request.heard, _request.number, _request.at = _request.heard, True, number, now
    if _request.deferred and not again:
        return
    # Modules written in C do not survive an error while they are imported: some print it, and fail with another.
    if _request.ending or _request.deferred or _importing(frame):
        end_at_once()
    _thread.start_new_thread(_again, (number,))
    raise KeyboardInterrupt


def _again(number: int) -> None:
    """Repeat a request that is not met, because other code has caught the KeyboardInterrupt."""
    time.sleep(1.1 * _SAME)
    if not _request.ending:
        _thread.interrupt_main(signal.Signals(number))


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _quiet(hook: Callable[..., Any]) -> Callable[..., Any]:
    return lambda kind, *rest: None if issubclass(kind, KeyboardInterrupt) else hook(kind, *rest)


def _quiet_unraisable(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """After a request, the destructor of what was left half made fails too: Numba's do, where it was compiling."""
    return lambda lost: hook(lost) if requested() is None else None

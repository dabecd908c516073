"""What is said where a module of the user's fails, or does not compute as it did when it was adopted."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from weedout_core.errors import BackendError, WeedoutError

_LONGEST = 300  # characters of what another library says


@contextmanager
def told(module: Any, when: str) -> Generator[None]:
    """Inside this context what a module raises becomes a BackendError, which says when it was and what it says."""
    try:
        yield
    except WeedoutError:
        raise
    except Exception as error:
        name = type(module).__name__
        raise BackendError(f"{name} failed {when}, with {type(error).__name__}: {said(error)}.") from error


def said(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = next((line for line in lines if not line.endswith(":")), lines[0]).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def unnumbered(name: str) -> str:
    """The name of an activation without the number of its call."""
    return name.partition("#")[0]


def check_times(module: Any, wanted: Mapping[str, int], times: Mapping[str, int], examples: int) -> None:
    """Raise BackendError unless the activations that are masked were called as often as when they were adopted.

    Masks are laid by the number of the call, and would lie elsewhere.
    """
    for name, often in wanted.items():
        if times.get(name, 0) != often:
            raise BackendError(
                f"{type(module).__name__} must call its activations as when it was adopted; {name!r} was called "
                f"{often} times then, and {times.get(name, 0)} times for {examples} examples now. Call them alike for "
                "all inputs and in all modes, or those that are not always called in a module of their own."
            )

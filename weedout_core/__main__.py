"""``python -m weedout_core`` is the command ``weedout``."""

import os
from typing import NoReturn

from weedout_core.lab import signals


def command() -> NoReturn:
    """Run the command line as a process of its own, which hears signals before it imports what takes time."""
    signals.hear()
    _hold_standard_streams()
    try:
        from weedout_core.lab.cli import main

        code = main()
    except KeyboardInterrupt:
        signals.end_at_once()
    signals.leave(code)


def _hold_standard_streams() -> None:
    """Put the null device in the place of a standard stream that was closed.

    The next file of a run would take that place, and a library that writes its messages there would damage it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free


if __name__ == "__main__":
    command()

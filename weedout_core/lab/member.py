"""``python -m weedout_core.lab.member``: the process of a host that computes with those of other hosts.

The command's own process has begun it, and owns it: see ``engines/owner.py``.
"""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

from weedout_core.lab import signals


def _run(log: str, arguments: Sequence[str]) -> NoReturn:
    """Run a command as the process that computes, and end with its exit code, without the ends of libraries."""
    signals.hear()
    threading.Thread(target=_end_with_the_owner, daemon=True).start()
    sys.stdout, sys.stderr = _apart(sys.stdout, log), _apart(sys.stderr, log)
    try:
        from weedout_core.lab.cli import main

        code = main(arguments, member=True)
    except KeyboardInterrupt:
        signals.end_at_once()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _apart(stream: TextIO, log: str) -> TextIO:
    """A standard stream for Python alone: what libraries write to its number goes to a file."""
    number = stream.fileno()
    own = os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors=stream.errors)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), number)
    return own


def _end_with_the_owner() -> NoReturn:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os._exit(1)


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])

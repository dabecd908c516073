"""What is said of code of the user's that failed: the error in one line, and where in her code it arose."""

import os
import sysconfig
from pathlib import Path
from traceback import walk_tb

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Name
from weedout_core.errors import ConfigError, WeedoutError

_MOST = 400  # characters; other libraries write pages
_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")
_INSTALLED = tuple({f"{Path(sysconfig.get_path(name))}{os.sep}" for name in _LIBRARIES})
_OURS = frozenset({"weedout_core", "weedout_numpy", "weedout_jax", "weedout_torch"})


@guarded
def own_failure(name: Name, error: Exception | SystemExit) -> ConfigError:
    """What to raise where a function of the user's failed: it has the line of hers, and what the error says.

    Args:
        name: what the function is called, such as "the fitness my_search:margin".
        error: what it raised.
    """
    return ConfigError(f"{name} failed{place_of(error)}: {told(error)}")


def told(error: BaseException) -> str:
    """An error in one line: its kind, unless it is one of this library's, and what it says."""
    kind = "" if isinstance(error, WeedoutError) else type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # one of the user's, whose text cannot be made
        text = "it has no text"
    short = text if len(text) <= _MOST else f"{text[:_MOST]}..."
    return ": ".join(part for part in (kind, short) if part)


def place_of(error: BaseException) -> str:
    """The innermost line of the user's that an error came through, as in ", in methods.py, line 7"; "" if none."""
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((*_INSTALLED, "<frozen"))
        and str(frame.f_globals.get("__name__")).partition(".")[0] not in _OURS
    ]
    return f", in {_short(lines[-1][0])}, line {lines[-1][1]}" if lines else ""


def _short(name: str) -> str:
    path, here = Path(name), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)

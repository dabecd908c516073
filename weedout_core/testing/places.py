"""Where in a backend an error was raised."""

import traceback
from pathlib import Path

from weedout_core._contract import checked_call


def raised_in(error: Exception) -> list[str]:
    """Where in a backend an error was raised: its author's innermost frame, and the innermost of all if that differs.

    Nothing for an error that does not come out of a function of a backend.
    """
    frames = list(traceback.extract_tb(error.__traceback__))
    calls = [place for place, frame in enumerate(frames[:-1]) if Path(frame.filename) == Path(checked_call.__file__)]
    if not calls:
        return []
    inside = frames[calls[-1] + 1 :]
    own = [frame for frame in inside if _of(Path(inside[0].filename), Path(frame.filename))]
    return list(dict.fromkeys(f"in {frame.name}, {frame.filename}:{frame.lineno}" for frame in (own[-1], inside[-1])))


def _of(first: Path, other: Path) -> bool:
    """Whether a file is of the package of the first one; that is the file itself if it is a module alone."""
    return other.is_relative_to(first.parent) if (first.parent / "__init__.py").exists() else other == first

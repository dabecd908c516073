"""How a value stands in an error: short, and whatever it is."""

from typing import Any

_MOST = 80


def shown(value: Any) -> str:
    """A value in words of its own, at most so long; an array by its dtype and shape."""
    kind = type(value).__name__
    try:
        if getattr(value, "shape", ()):
            return f"{kind} of {getattr(value, 'dtype', 'no dtype')} {tuple(value.shape)}"
        text = repr(value)
    except Exception:  # of an integer with more digits than Python writes, or of anything that somebody made
        return f"{kind}, which has no text"
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"

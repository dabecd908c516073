"""Standard output and standard error for the command, whatever their encoding, and with one error where they fail."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: The replacement for a character that a stream's encoding lacks. A character that is not here is escaped as in Python.
PLAIN = {
    "−": "-", "–": "-", "·": "-", "…": "...", "±": "+/-", "×": "x", "≥": ">=", "≤": "<=", "≠": "!=", "→": "->",
    "←": "<-", "√": "sqrt", "²": "^2", "ₙ": "_n", "∞": "inf", "β": "beta", "γ": "gamma", "δ": "delta",
    "ε": "epsilon", "η": "eta", "π": "pi", "Σ": "sum", "∂": "d", "ü": "ue",
    "─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "├": "+", "└": "+", "┬": "+",
}  # fmt: skip
_ERRORS = "weedout-plain"


class StreamError(Exception):
    """A standard stream cannot be written: for example, the disk is full or the reader of the pipe has ended."""


class _Stream:
    """A text stream that replaces characters its encoding lacks, and raises StreamError where it cannot be written."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        shown = text.encode(encoding, _ERRORS).decode(encoding)
        with self._explained():
            self._stream.write(shown)
        return len(text)

    def flush(self) -> None:
        with self._explained():
            self._stream.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._discard()
            raise StreamError(f"{self._name} cannot be written: {error.strerror}. Written files are kept.") from error

    def _discard(self) -> None:
        """Discard what is still buffered: the interpreter would write it when it ends, and fail again."""
        with suppress(OSError, ValueError):  # a stream in memory has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Inside this context, ``sys.stdout`` and ``sys.stderr`` can show every text, and raise StreamError on failure.

    A process that was started without one of these streams has None there; text written to it is discarded.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = _Stream(sys.stdout or io.StringIO(), "standard output")
    sys.stderr = _Stream(sys.stderr or io.StringIO(), "standard error")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character) or _escaped(character) for character in lacking), error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(_ERRORS, _plain)

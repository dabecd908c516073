"""Standard output and standard error for the command, whatever their encoding, and with one error where they fail."""

import codecs
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: The replacement for a character that a stream's encoding lacks. A character that is not here is escaped as in Python.
PLAIN = {
    "−": "-", "–": "-", "·": "-", "…": "...", "±": "+/-", "×": "x", "≥": ">=", "≤": "<=", "≠": "!=", "→": "->",
    "←": "<-", "√": "sqrt", "²": "^2", "³": "^3", "ₙ": "_n", "∞": "inf", "β": "beta", "γ": "gamma", "δ": "delta",
    "ε": "epsilon", "η": "eta", "π": "pi", "Σ": "sum", "∂": "d", "ü": "ue",
    "─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "├": "+", "└": "+", "┬": "+",
}  # fmt: skip
_ERRORS = "weedout-plain"


class StreamError(ValueError):
    """A standard stream cannot be written: the disk is full, the reader of the pipe has ended, or it was closed.

    It is a ValueError, as Python's own for a closed stream is, which ``logging`` passes over when the process ends.
    """


class Stream:
    """A text stream that replaces characters its encoding lacks, and raises StreamError where it cannot be written.

    It stays open when it is closed or detached, as by a user's function: it is the process's, which goes on.
    """

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._explained():
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(text.encode(encoding, _ERRORS).decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._explained():
            self._stream.flush()

    def close(self) -> None:
        self.flush()

    def detach(self) -> Any:
        """A binary stream of its own, which may be closed."""
        self.flush()
        return open(os.dup(self._stream.fileno()), "wb")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: it was closed or detached by another name
            self._discard()
            why = error.strerror if isinstance(error, OSError) else "it was closed"
            raise StreamError(f"{self._name} cannot be written: {why}. Written files are kept.") from error

    def _discard(self) -> None:
        """Discard what is still buffered: the interpreter would write it when it ends, and fail again."""
        with suppress(OSError, ValueError):  # a stream in memory has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def standard_streams() -> Iterator[tuple[Stream, Stream]]:
    """Inside this context, ``sys.stdout`` and ``sys.stderr`` can show every text, and raise StreamError on failure.

    A process that was started without one of these streams has None there; text written to it is discarded.

    Yields:
        both, which stay the same where other code puts others in their places.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = out = Stream(sys.stdout or io.StringIO(), "standard output")
    sys.stderr = err = Stream(sys.stderr or io.StringIO(), "standard error")
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = map(_whole, before)


_NARROWEST, _WIDEST = 40, 1000  # columns


@contextmanager
def readable_width() -> Iterator[None]:
    """Inside this context texts are laid out for 40 to 1,000 columns, whatever a terminal or ``COLUMNS`` says.

    In no column nothing is shown, and in one the parser never ends laying out its help.
    """
    before = os.environ.get("COLUMNS")
    columns = shutil.get_terminal_size().columns
    bounded = min(max(columns, _NARROWEST), _WIDEST)
    if before is not None or bounded != columns:
        os.environ["COLUMNS"] = str(bounded)
    try:
        yield
    finally:
        if before is not None:
            os.environ["COLUMNS"] = before
        else:
            os.environ.pop("COLUMNS", None)


def printable(text: str) -> str:
    """A text that a terminal shows as it is: what would steer the terminal, or is no character, is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _whole(stream: Any) -> Any:
    """A stream, None if it was detached: the interpreter would flush it when it ends, and fail."""
    try:
        getattr(stream, "closed", False)
    except ValueError:
        return None
    return stream


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character) or _escaped(character) for character in lacking), error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(_ERRORS, _plain)

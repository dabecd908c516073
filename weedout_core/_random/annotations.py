"""Annotations of keys and words: their shapes, without the cost of importing jaxtyping, and what is converted to them.

Functions that draw on the host take anything that holds the two words of a key. Functions that also run inside compiled
programs take only arrays of uint32, and check dtype and shape.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from array_api_compat import array_namespace

from weedout_core._guard.composed import either
from weedout_core._guard.hosted import frozen, hosted
from weedout_core._guard.kinds import Kind, UnfitError, integer

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    # Type checkers read this, and programs that check shapes at run time have imported jaxtyping already.
    from jaxtyping import UInt32
else:

    class UInt32:
        """Stands in for jaxtyping's: ``UInt32[array, shape]`` is the array."""

        def __class_getitem__(cls, item: tuple[type, str]) -> type:
            return item[0]


_FROM_SEED = "Make a key from a seed with wc.key(seed)."


def _host_keys(axes: int | None) -> Any:
    def convert(_: str, value: Any) -> np.ndarray:
        """Take words of any integer type, such as those read from JSON, and return a read-only copy."""
        words = hosted(_raw(value))
        fits = words.shape[-1:] == (2,) and words.dtype.kind in "iu" and axes in (None, words.ndim)
        if not fits or not all(0 <= int(end) < 2**32 for end in (words.min(initial=0), words.max(initial=0))):
            raise UnfitError
        return frozen(words.astype(np.uint32, copy=False))

    return convert


def _raw(key: Any) -> Any:
    """The words of a typed key of JAX, if it is of the default implementation, whose stream is the one used here."""
    return sys.modules["jax"].random.key_data(key) if str(getattr(key, "dtype", "")) == "key<fry>" else key


def _traced(*last: int) -> Any:
    def convert(_: str, value: Any) -> Any:
        if value.dtype != array_namespace(value).uint32 or tuple(value.shape)[len(value.shape) - len(last) :] != last:
            raise UnfitError
        return value

    return convert


def _some_words(name: str, value: Any) -> Any:
    words = _traced()(name, value)
    if not words.shape:
        raise UnfitError
    return words


KEY = Kind("uint32 of shape (2,), from wc.key(seed)", _host_keys(1))
KEYS = Kind("uint32 of shape (*batch, 2)", _host_keys(None), remedy=_FROM_SEED)
_TRACED_KEYS = Kind(
    "an array of uint32 of shape (*batch, 2), from wc.key(seed)",
    _traced(2),
    remedy="Convert words of another dtype with .astype, and a typed key of JAX with jax.random.key_data.",
)
_WORDS = Kind("an array of uint32 with at least one axis", _some_words)
_DATA = either(integer(0, 2**32 - 1), Kind("an array of uint32", _traced()))

#: One key, uint32 ``(2,)``, from :func:`key`.
Key = Annotated[UInt32[np.ndarray, "2"], KEY]
#: A batch of keys, uint32 ``(*batch, 2)``.
Keys = Annotated[UInt32[np.ndarray, "*batch 2"], KEYS]
#: Keys in an array of any framework, also inside compiled programs.
TracedKeys = Annotated[Any, _TRACED_KEYS]
Words = Annotated[Any, _WORDS]
FoldedIn = Annotated[Any, _DATA]
WordCount = Annotated[int, integer(0, 2**32)]

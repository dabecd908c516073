"""Keys and words in annotations: their shapes, without what importing jaxtyping costs, and what else becomes one.

Where arrays are drawn from on the host, a key is whatever holds its two words. Functions that run inside compiled
programs too take arrays of uint32 alone, of which they see dtype and shape.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from array_api_compat import array_namespace

from weedout_core._guard.composed import either
from weedout_core._guard.hosted import frozen, hosted
from weedout_core._guard.kinds import Kind, UnfitError, integer

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    # Type checkers read it, and whoever checks shapes at run time has imported it before.
    from jaxtyping import UInt32
else:

    class UInt32:
        """Stands in for jaxtyping's: ``UInt32[array, shape]`` is the array."""

        def __class_getitem__(cls, item: tuple[type, str]) -> type:
            return item[0]


_FROM_SEED = "A seed becomes one by wc.key(seed)."


def _host_keys(axes: int | None) -> Any:
    def convert(_: str, value: Any) -> np.ndarray:
        """Words of any type of integer, as those that went through JSON are; a copy that nobody can write to."""
        words = hosted(_raw(value))
        fits = words.shape[-1:] == (2,) and words.dtype.kind in "iu" and axes in (None, words.ndim)
        if not fits or not all(0 <= int(end) < 2**32 for end in (words.min(initial=0), words.max(initial=0))):
            raise UnfitError
        return frozen(words.astype(np.uint32, copy=False))

    return convert


def _raw(key: Any) -> Any:
    """The words of one of JAX's typed keys, of its default implementation alone, whose stream is this one."""
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
    remedy="Take .astype of uint32 for words of another type, and jax.random.key_data of one of JAX's typed keys.",
)
_WORDS = Kind("an array of uint32 with at least one axis", _some_words)
_DATA = either(integer(0, 2**32 - 1), Kind("an array of uint32", _traced()))

Key = Annotated[UInt32[np.ndarray, "2"], KEY]
Keys = Annotated[UInt32[np.ndarray, "*batch 2"], KEYS]
#: Of any framework, in compiled programs too.
TracedKeys = Annotated[Any, _TRACED_KEYS]
Words = Annotated[Any, _WORDS]
FoldedIn = Annotated[Any, _DATA]
WordCount = Annotated[int, integer(0, 2**32)]

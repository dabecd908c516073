"""The random stream and the selection of nodes on a CPU, as loops that Numba compiles and that use all cores.

The results equal those of the core to the bit. With array operations of NumPy or PyTorch, each of the hundred steps for
a word would be a pass over memory; in these loops a word stays in the processor's registers.

Arrays are NumPy arrays. Each loop does a part of the work, from ``start`` to ``stop``, so that threads can share it.
What takes few passes over words, such as comparing them with one bound, is NumPy's.
"""

import math
from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import numba
import numpy as np
from numba import uint32

from weedout_core.backend import side_by_side

ROTATIONS = EVEN, ODD = (13, 15, 26, 6), (17, 29, 16, 24)  # rotations of the even and the odd blocks of four rounds
PARITY = 0x1BD11BDA
_PART = 2**16  # words for a thread at a time: tens of microseconds, much longer than handing them over takes


def bits(keys: np.ndarray, n: int) -> np.ndarray:
    """The core's ``bits``: uint32 ``(*batch, 2)`` → ``(*batch, n)``."""
    words = np.empty((*keys.shape[:-1], n), dtype=np.uint32)
    _shared(_bits, _rows(keys), _rows(words), work=words.size, part=_PART)
    return words


def bits_at(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """The core's ``bits_at``: uint32 ``(*batch, 2)``, counters that broadcast with ``(*batch, 1)``."""
    shape = np.broadcast_shapes((*keys.shape[:-1], 1), counters.shape)
    words = np.empty(shape, dtype=np.uint32)
    keys, counters = _rows(keys, (*shape[:-1], 2)), _rows(counters, shape)
    _shared(_bits_at, keys, counters, _rows(words), work=words.size, part=_PART)
    return words


def fold_in(keys: np.ndarray, data: int) -> np.ndarray:
    """The core's ``fold_in`` of one number: uint32 ``(*batch, 2)`` → the same."""
    folded = np.empty(keys.shape, dtype=np.uint32)
    _fold_in(_rows(keys), np.uint32(data), _rows(folded))
    return folded


def keep_smallest(words: np.ndarray, k: int) -> np.ndarray:
    """The core's ``keep_smallest``: uint32 ``(*batch, n)`` → bool."""
    kept = np.empty(words.shape, dtype=np.bool_)
    rows = _rows(words)
    _shared(_keep_smallest, rows, int(k), _rows(kept), work=len(rows), part=-(-_PART // rows.shape[1]))
    return kept


def keep_below(words: np.ndarray, bound: int) -> np.ndarray:
    """The words of at most ``bound``, and the first of the smallest: uint32 ``(m, n)`` → bool."""
    kept = words <= np.uint32(bound)
    np.put_along_axis(kept, words.argmin(axis=-1, keepdims=True), True, axis=-1)
    return kept


def ranked(words: np.ndarray) -> np.ndarray:
    """The same words, but the first of the smallest is 0, and no other is: uint32 ``(m, n)`` → the same."""
    others = np.maximum(words, np.uint32(1))
    np.put_along_axis(others, words.argmin(axis=-1, keepdims=True), np.uint32(0), axis=-1)
    return others


@cache
def compile_loops() -> float:
    """Compile the loops. Returns the seconds that this took."""
    started = perf_counter()
    keys, words = np.zeros((1, 2), dtype=np.uint32), np.zeros((1, 1), dtype=np.uint32)
    fold_in(keys, 0)
    bits(keys, 1)
    bits_at(keys, words)
    keep_smallest(words, 1)
    return perf_counter() - started


def _rows(array: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array ``(*batch, n)``, or one that broadcasts to ``shape``, as ``(R, n)``, contiguous and writable.

    The loops are compiled for this type only: Numba would compile again for strided or read-only arrays.
    """
    if shape not in (None, array.shape):
        array = np.broadcast_to(array, shape)
    return np.require(array, requirements=["C", "W"]).reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _shared(loop: Callable[..., None], *arrays: Any, work: int, part: int) -> None:
    side_by_side(lambda start: loop(*arrays, start, min(start + part, work)), range(0, work, part))


def _loop(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call. It runs without the interpreter's lock.

    Each process compiles anew: Numba keeps programs for later processes in files that it unpickles, and so whoever can
    write such a file would run code here.
    """
    return numba.njit(nogil=True)(function)


@_loop
def _encrypt(key0: Any, key1: Any, low: Any) -> tuple[Any, Any]:
    """Both output words for the counter (0, low). Numba widens results of uint32, so each step is cast back."""
    schedule = (key0, key1, uint32(key0 ^ key1 ^ uint32(PARITY)))
    x0, x1 = key0, uint32(low + key1)
    for block in range(5):
        for rotation in EVEN if block % 2 == 0 else ODD:
            x0 = uint32(x0 + x1)
            x1 = uint32((x1 << uint32(rotation)) | (x1 >> uint32(32 - rotation)))
            x1 = uint32(x1 ^ x0)
        x0 = uint32(x0 + schedule[(block + 1) % 3])
        x1 = uint32(x1 + schedule[(block + 2) % 3] + uint32(block + 1))
    return x0, x1


@_loop
def _bits(keys: Any, words: Any, start: int, stop: int) -> None:
    """Compute the words ``(R, n)`` from start to stop, counted row after row."""
    n = words.shape[1]
    for row in range(start // n, -(-stop // n)):
        first = max(start - row * n, 0)
        some = words[row, first : stop - row * n]
        for i in range(len(some)):
            word0, word1 = _encrypt(keys[row, 0], keys[row, 1], uint32(first + i))
            some[i] = word0 ^ word1


@_loop
def _bits_at(keys: Any, counters: Any, words: Any, start: int, stop: int) -> None:
    """The same as ``_bits``, for counters ``(R, n)``."""
    n = words.shape[1]
    for row in range(start // n, -(-stop // n)):
        first = max(start - row * n, 0)
        some, at = words[row, first : stop - row * n], counters[row, first : stop - row * n]
        for i in range(len(some)):
            word0, word1 = _encrypt(keys[row, 0], keys[row, 1], at[i])
            some[i] = word0 ^ word1


@_loop
def _fold_in(keys: Any, data: Any, folded: Any) -> None:
    for row in range(len(keys)):
        folded[row, 0], folded[row, 1] = _encrypt(keys[row, 0], keys[row, 1], data)


@_loop
def _keep_smallest(words: Any, k: int, kept: Any, start: int, stop: int) -> None:
    """Compute the masks of the rows from start to stop."""
    for row in range(start, stop):
        some, mask = words[row], kept[row]
        threshold, surplus = _kth_smallest(some, k)
        for i in range(len(some)):
            mask[i] = some[i] <= threshold
        i = len(some)
        while surplus > 0:  # of the words equal to the threshold the last ones go
            i -= 1
            if some[i] == threshold:
                mask[i] = False
                surplus -= 1


@_loop
def _kth_smallest(words: Any, k: int) -> tuple[Any, int]:
    """The k-th smallest word or an equivalent threshold, and how many words more than k do not exceed it."""
    first, last, below, within, step = 0, 2**32 - 1, 0, len(words), 0
    while within != k and first < last:
        share = (k - below - 0.5) / (within - below) if step % 4 < 3 else 0.5
        threshold = first + min(int((last - first) * share), last - first - 1)
        found = _count(words, uint32(threshold))
        if found >= k:
            last, within = threshold, found
        else:
            first, below = threshold + 1, found
        step += 1
    return uint32(last), within - k


@_loop
def _count(words: Any, threshold: Any) -> Any:
    """How many words do not exceed the threshold."""
    found = uint32(0)  # as wide as a word, so that vector instructions count many words at a time
    for i in range(len(words)):
        if words[i] <= threshold:
            found = uint32(found + uint32(1))
    return found

"""The random stream: counter-based Threefry-2x32 with 20 rounds, the same bits in every framework.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The layout of keys and
counters is that of ``jax.random`` with its default implementation and partitionable bits, so JAX's own
generator draws the same numbers. A draw depends on its key and its index alone: never on how many are drawn
with it, on the order, or on the number of devices.

A key is a uint32 array whose last axis holds its two words. Leading axes are a batch of keys. All functions
follow the array namespace of their key (NumPy, JAX, any array-API library with uint32 arithmetic).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import is_numpy_namespace

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import NonNegative, Seed
from weedout_core._guard.traced import words_namespace
from weedout_core._random.annotations import FoldedIn, Key, TracedKeys, WordCount, Words
from weedout_core._random.threads import side_by_side
from weedout_core.errors import ConfigError

#: The version of everything that decides which masks a seed gives. Golden files hold masks of this version.
SAMPLER_VERSION = 1


_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


_PARITY = 0x1BD11BDA


#: Words that NumPy draws at once: three arrays of them fit the caches, and threads seldom wait for each other.
BLOCK = 2**17


@guarded
def key(seed: Seed) -> Key:
    """Make a key from a seed.

    Args:
        seed: 0 ≤ seed < 2^64.
    Returns:
        uint32 ``(2,)``: ``(seed >> 32, seed & 0xffffffff)``, as ``jax.random.key`` has it.
    Raises:
        ConfigError: the seed is not an integer in range.
    """
    return np.asarray([seed >> 32, seed & 0xFFFFFFFF], dtype=np.uint32)


def _shift_right(words: Any, places: int) -> Any:
    return words >> places


def threefry2x32(
    k0: Any, k1: Any, c0: Any, c1: Any, shift_right: Callable[[Any, int], Any] = _shift_right
) -> tuple[Any, Any]:
    """Encrypt the counter words ``(c0, c1)`` under the key words ``(k0, k1)``: Threefry-2x32, 20 rounds.

    Where arrays can be changed, as NumPy's can, the rounds work in place; nothing handed in is changed.

    Args:
        k0, k1: uint32 arrays of one shape, with at least one axis.
        c0, c1: uint32 arrays of one shape, which broadcast against the keys.
        shift_right: shifts a word array to the right by a number of places.
    Returns:
        the two uint32 output words, of the broadcast shape.
    """
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = c0 + k0, c1 + k1
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x0 += x1
            carried = shift_right(x1, 32 - rotation)
            x1 <<= rotation
            x1 |= carried
            x1 ^= x0
        x0 += schedule[(block + 1) % 3]
        x1 += schedule[(block + 2) % 3] + (block + 1)
    return x0, x1


@guarded
def bits(key: TracedKeys, n: WordCount) -> Any:
    """Draw ``n`` words. Element i is the xor of the two output words for the counter ``(i >> 32, i)``.

    Args:
        key: uint32 ``(*batch, 2)``.
        n: 0 ≤ n ≤ 2^32.
    Returns:
        uint32 ``(*batch, n)``, uniform over all words.
    Raises:
        ConfigError: ``n`` is out of range, or the key is not an array of uint32.
    """
    xp = words_namespace(key)
    if is_numpy_namespace(xp):
        return _bits_numpy(key, n)
    return bits_at(key, xp.arange(n, dtype=xp.uint32))


def _bits_numpy(key: np.ndarray, n: int) -> np.ndarray:
    """:func:`bits` in NumPy, where every operation passes over memory: in blocks that stay in the cache."""
    keys = key.reshape(-1, 2)
    words = np.empty((len(keys), n), dtype=np.uint32)
    rows = max(1, BLOCK // max(n, 1))

    def draw(block: tuple[int, int]) -> None:
        row, start = block
        some, counters = keys[row : row + rows], np.arange(start, min(start + BLOCK, n), dtype=np.uint32)
        # A new array for each of the twenty shifts would cost as much as they do.
        shift_right = partial(np.right_shift, out=np.empty((len(some), len(counters)), dtype=np.uint32))
        word0, word1 = threefry2x32(some[:, 0:1], some[:, 1:2], np.zeros_like(counters), counters, shift_right)
        np.bitwise_xor(word0, word1, out=words[row : row + rows, start : start + BLOCK])

    side_by_side(draw, [(row, start) for row in range(0, len(keys), rows) for start in range(0, n, BLOCK)])
    return words.reshape(*key.shape[:-1], n)


@guarded
def bits_at(key: TracedKeys, counters: Words) -> Any:
    """Some of the words of :func:`bits`, each drawn alone: element i is ``bits(key, 2^32)[counters[i]]``.

    Args:
        key: uint32 ``(*batch, 2)``.
        counters: uint32 ``(n,)``, or any shape that broadcasts against ``(*batch, 1)``.
    Returns:
        uint32, of the broadcast shape.
    Raises:
        ConfigError: the shapes do not broadcast, or key or counters are not arrays of uint32.
    """
    xp = words_namespace(key, counters)
    _check_broadcast("counters", counters.shape, (*key.shape[:-1], 1))
    word0, word1 = threefry2x32(key[..., 0:1], key[..., 1:2], xp.zeros_like(counters), counters)
    return word0 ^ word1


@guarded
def fold_in(key: TracedKeys, data: FoldedIn) -> Any:
    """Derive a key from a key and a number: both output words for the counter ``(0, data)``.

    Args:
        key: uint32 ``(*batch, 2)``.
        data: an integer in [0, 2^32), or a uint32 array that broadcasts against ``batch``.
    Returns:
        uint32 ``(*batch, 2)`` after broadcasting.
    Raises:
        ConfigError: the number is out of range, the numbers do not broadcast, or keys or numbers are of another dtype.
    """
    xp = words_namespace(key)
    if not isinstance(data, int):
        words_namespace(key, data)
    else:
        data = xp.asarray(data, dtype=xp.uint32)
    _check_broadcast("data", data.shape, key.shape[:-1])
    word0, word1 = threefry2x32(key[..., 0:1], key[..., 1:2], xp.zeros_like(data[..., None]), data[..., None])
    return xp.concat([word0, word1], axis=-1)


@guarded
def split(key: TracedKeys, n: WordCount) -> Any:
    """Derive ``n`` keys: key i is ``fold_in(key, i)``.

    Args:
        key: uint32 ``(2,)``.
        n: the number of keys, 0 ≤ n ≤ 2^32.
    Returns:
        uint32 ``(n, 2)``.
    Raises:
        ConfigError: ``n`` is out of range, or the key is not an array of uint32.
    """
    xp = words_namespace(key)
    return fold_in(key, xp.arange(n, dtype=xp.uint32))


def below(key: Key, bound: int) -> int:
    """Draw one integer in [0, bound), 1 ≤ bound ≤ 2^32: the high word of ``bits(key, 1) × bound``.

    No value's probability is off by more than 2^-32.
    """
    return int(bits(key, 1)[0]) * bound >> 32


def _check_broadcast(name: str, shape: tuple[int, ...], batch: tuple[int, ...]) -> None:
    try:
        np.broadcast_shapes(tuple(shape), tuple(batch))
    except ValueError as error:
        raise ConfigError(
            f"{name} must broadcast against the batch of keys, {tuple(batch)}; got shape {tuple(shape)}."
        ) from error


@guarded
def permutation(key: Key, n: NonNegative) -> np.ndarray:
    """Draw a permutation of 0 … n−1, int32 ``(n,)``: the indices sorted by their words, equal words by index.

    Raises:
        ConfigError: ``n`` is below 0, or ``key`` is not a key.
    """
    return np.argsort(bits(key, n), kind="stable").astype(np.int32)

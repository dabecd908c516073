"""Randomness: every random number is a pure function of a key and an index. Paper, Algorithm 1, wherever it draws.

A usual generator hides a state, and the i-th number needs all numbers before it. A *counter-based* one encrypts the
number i under a key, and the ciphertext is the random number: any element can be drawn alone, in any order, on any
device. The cipher is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC 2011, section 3.3). Keys and counters are laid out as in ``jax.random``.

A *word* is an integer of 32 bits, and a key is two words, uint32 ``(2,)``. New keys descend from old ones by
:func:`fold_in`, like a path of folders: the mask of a candidate at a site is drawn with the key
seed / purpose / generation / candidate / site, and an array of the parent's weights with seed / purpose / the array's
path. Different paths give unrelated numbers.
"""

import zlib

import numpy as np
from jaxtyping import Float64, Int32, UInt32
from scipy.special import erfinv  # pyright: ignore[reportMissingTypeStubs]

Key = UInt32[np.ndarray, "2"]
Keys = UInt32[np.ndarray, "m 2"]  # one for each of several candidates or networks

# The first step of every path from the seed: what the numbers are for.
WEIGHTS = 0
MASKS = 1
VALIDATION_BATCHES = 2
DATA_ORDER = 3
AUGMENTATION = 4
LIMITED_TRAINING = 11

ROUNDS = 20
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)  # of Threefry-2x32, in Salmon et al. and their Random123 library
PARITY = 0x1BD11BDA  # the constant C240 of the third key word, in its 32-bit form


def key(seed: int) -> Key:
    """The key of a seed, 0 ≤ seed < 2^64: its high word and its low word."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], dtype=np.uint32)


def path_code(path: str) -> int:
    """The number that stands for a name in the path of a key: its CRC-32, a checksum of 32 bits."""
    return zlib.crc32(path.encode())


def threefry2x32(
    key: Key, high: UInt32[np.ndarray, " n"], low: UInt32[np.ndarray, " n"]
) -> tuple[UInt32[np.ndarray, " n"], UInt32[np.ndarray, " n"]]:
    """Encrypt n counters of two words ``(high, low)`` under a key. All sums are modulo 2^32: uint32 arrays wrap around.

    A round mixes the two words: add, rotate, xor. After every fourth round the key goes in again, in turn the words
    k0, k1 and k2 = k0 ⊕ k1 ⊕ parity, and with it the number of the injection, so that no two are alike.

    Returns:
        the two output words of each counter.
    """
    k0, k1 = int(key[0]), int(key[1])
    schedule = (k0, k1, k0 ^ k1 ^ PARITY)
    x0, x1 = high + k0, low + k1
    for i in range(ROUNDS):
        x0 = x0 + x1
        x1 = rotate_left(x1, ROTATIONS[i % 8]) ^ x0
        if i % 4 == 3:
            injection = i // 4 + 1
            x0 = x0 + schedule[injection % 3]
            x1 = x1 + schedule[(injection + 1) % 3] + injection
    return x0, x1


def rotate_left(word: UInt32[np.ndarray, " n"], by: int) -> UInt32[np.ndarray, " n"]:
    """Move the 32 bits of each word to the left by some places; what falls off comes in on the right."""
    return (word << by) | (word >> (32 - by))


def random_bits(key: Key, n: int) -> UInt32[np.ndarray, " n"]:
    """Draw n ≤ 2^32 uniform words: word i is the xor of the two output words for the counter ``(0, i)``."""
    counter = np.arange(n, dtype=np.uint32)
    word0, word1 = threefry2x32(key, np.zeros_like(counter), counter)
    return word0 ^ word1


def fold_in(key: Key, number: int) -> Key:
    """The child of a key with this number, 0 ≤ number < 2^32: both output words for the counter ``(0, number)``."""
    counter = np.array([number], dtype=np.uint32)
    return np.concatenate(threefry2x32(key, np.zeros_like(counter), counter))


def permutation(key: Key, n: int) -> Int32[np.ndarray, " n"]:
    """A uniform permutation of 0 … n−1: give each number a random word, and sort by ``(word, number)``."""
    return np.argsort(random_bits(key, n), kind="stable").astype(np.int32)


def standard_normal(key: Key, n: int) -> Float64[np.ndarray, " n"]:
    """Draw n numbers from the normal distribution with mean 0 and variance 1, by inverting its distribution function.

    The 23 high bits of a word make f in [0, 1), and f a number u in (−1, 1); then x = √2 · erf⁻¹(u) is normal, since
    P(X ≤ x) = (1 + erf(x/√2)) / 2. u is rounded to float32, as on an accelerator; −1 itself, where erf⁻¹ is −∞, is
    left out by starting one float above it. The maximum changes nothing; it stands in ``jax.random`` too.
    """
    f = (random_bits(key, n) >> 9).astype(np.float32) * np.float32(2**-23)
    lowest = np.nextafter(np.float32(-1), np.float32(0))
    u = np.maximum(lowest, 2 * f + lowest)
    return np.sqrt(2) * erfinv(u.astype(np.float64))

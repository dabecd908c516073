"""The random stream against published vectors, and its distributions against theory."""

import math
import zlib

import numpy as np
import pytest
from scipy import special, stats

from weedout_numpy.randomness import (
    fold_in,
    key,
    path_code,
    permutation,
    random_bits,
    rotate_left,
    standard_normal,
    threefry2x32,
)


def words(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint32)


@pytest.mark.parametrize(
    ("key_words", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_vectors_published_with_random123(
    key_words: tuple[int, int], counter: tuple[int, int], expected: tuple[int, int]
) -> None:
    x0, x1 = threefry2x32(words(*key_words), words(counter[0]), words(counter[1]))
    assert (int(x0[0]), int(x1[0])) == expected, "threefry2x32 with 20 rounds must encrypt the published counters"


def test_rotation_brings_the_high_bits_back_in_on_the_right() -> None:
    assert rotate_left(words(0x80000001), 1)[0] == 0x00000003, "the bit that falls off on the left must come in again"


def test_a_key_holds_the_high_and_the_low_word_of_the_seed() -> None:
    np.testing.assert_array_equal(key(0x0123456789ABCDEF), words(0x01234567, 0x89ABCDEF))
    assert key(5).dtype == np.uint32, "key words are uint32"


def test_a_word_is_the_xor_of_both_output_words_of_its_counter() -> None:
    root = key(7)
    x0, x1 = threefry2x32(root, words(0, 0, 0), words(0, 1, 2))
    np.testing.assert_array_equal(random_bits(root, 3), x0 ^ x1)
    assert random_bits(root, 3).dtype == np.uint32


def test_a_word_does_not_depend_on_how_many_are_drawn_with_it() -> None:
    np.testing.assert_array_equal(random_bits(key(1), 1000)[:10], random_bits(key(1), 10))
    assert random_bits(key(1), 0).shape == (0,), "no words can be asked for"


def test_a_child_key_is_both_output_words_of_its_number() -> None:
    x0, x1 = threefry2x32(key(3), words(0), words(0xFFFFFFFF))
    np.testing.assert_array_equal(fold_in(key(3), 0xFFFFFFFF), words(int(x0[0]), int(x1[0])))


def test_a_path_is_known_by_its_crc32() -> None:
    assert path_code("hidden_0") == zlib.crc32(b"hidden_0")


def test_words_are_uniform() -> None:
    """Of 2^16 words a fair bit is set in 2^15 ± 6 standard deviations of √(2^16)/2 = 128 (chance of failing < 1e-7)."""
    drawn = random_bits(key(11), 2**16)
    for bit in range(32):
        ones = int(np.count_nonzero(drawn >> bit & 1))
        assert abs(ones - 2**15) < 6 * 128, f"bit {bit} is set in {ones} of {2**16} words"


def test_a_permutation_sorts_by_word() -> None:
    order = permutation(key(2), 100)
    np.testing.assert_array_equal(np.sort(order), np.arange(100), "every number must occur once")
    drawn = random_bits(key(2), 100)
    assert (np.diff(drawn[order].astype(np.int64)) >= 0).all(), "the words must rise along the permutation"
    assert order.dtype == np.int32


def test_equal_words_leave_a_permutation_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weedout_numpy.randomness.random_bits", lambda key, n: np.arange(n, dtype=np.uint32) % 2)
    evens_then_odds = [*range(0, 1000, 2), *range(1, 1000, 2)]
    np.testing.assert_array_equal(permutation(key(0), 1000), evens_then_odds, "ties go to the lowest number")


def test_normal_numbers_invert_the_distribution_function() -> None:
    """Equation by equation for the first words, in exact arithmetic but for the one rounding to float32."""
    for word, x in zip(random_bits(key(4), 200), standard_normal(key(4), 200), strict=True):
        lowest = -1 + 2**-24  # the float32 after −1
        u = max(lowest, float(np.float32(2 * (int(word) >> 9) / 2**23 + lowest)))
        assert x == math.sqrt(2) * special.erfinv(u), "x = √2 · erf⁻¹(u) of the top 23 bits"


def test_normal_numbers_are_normal() -> None:
    drawn = standard_normal(key(5), 100_000)
    assert np.isfinite(drawn).all(), "−1, where the inverse is −∞, is never drawn"
    assert drawn.dtype == np.float64
    # Kolmogorov–Smirnov: a true normal sample falls below this p-value once in a million keys.
    assert stats.kstest(drawn, "norm").pvalue > 1e-6, "the sample must look standard normal"


def test_a_word_of_zeros_gives_a_finite_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word 0 means u = −1 but for the guard; no key gives it on purpose."""
    monkeypatch.setattr("weedout_numpy.randomness.random_bits", lambda key, n: np.zeros(n, dtype=np.uint32))
    (x,) = standard_normal(key(0), 1)
    assert x == math.sqrt(2) * special.erfinv(-1 + 2**-24), "u must start one float32 above −1"


def test_a_read_only_key_is_enough_and_stays_as_it_is() -> None:
    root = key(6)
    root.setflags(write=False)
    for draw in (random_bits, permutation, standard_normal, fold_in):
        np.testing.assert_array_equal(draw(root, 5), draw(root, 5), f"{draw.__name__} must be a pure function")

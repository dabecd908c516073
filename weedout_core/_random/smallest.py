"""The k smallest of random words: how an exact mask is made of them."""

from typing import Any, cast

import numpy as np
from array_api_compat import array_namespace, is_numpy_namespace

from weedout_core._guard.guarded import guarded
from weedout_core._guard.traced import words_namespace
from weedout_core._random.annotations import Words
from weedout_core._random.stream import BLOCK
from weedout_core._random.threads import side_by_side
from weedout_core.errors import ConfigError


@guarded
def order_keys(bits: Words) -> Any:
    """uint32 words as int32 that sort the same way: bits xor 2^31, reinterpreted.

    For frameworks without uint32 arithmetic. Raises ConfigError for an array of another dtype, or without an axis.
    """
    xp = words_namespace(bits)
    return xp.astype(bits ^ xp.asarray(2**31, dtype=xp.uint32), xp.int32)


@guarded
def keep_smallest(bits: Words, k: int) -> Any:
    """Keep the ``k`` nodes with the smallest words. Of nodes with equal words the one with the lower index is kept.

    Args:
        bits: uint32 ``(*batch, n)``.
        k: 1 ≤ k ≤ n.
    Returns:
        bool ``(*batch, n)``, exactly ``k`` True along the last axis.
    Raises:
        ConfigError: ``k`` is out of range, or ``bits`` is not an array of uint32.
    """
    if not 1 <= k <= bits.shape[-1]:
        raise ConfigError(f"keep_smallest needs 1 ≤ k ≤ {bits.shape[-1]}, the number of nodes; got {k}.")
    if is_numpy_namespace(words_namespace(bits)):
        return _keep_smallest_numpy(bits, k)
    return keep_smallest_ordered(order_keys(bits), k)


def keep_smallest_ordered(order: Any, k: int) -> Any:
    """``keep_smallest`` on order keys (int32). No sort: the k-th smallest is found bit by bit, by counting.

    The threshold t grows from the highest bit down: a bit stays set while fewer than k words are below t.
    After 32 counts t is the k-th smallest word; of the words equal to it the first ones fill up to k.
    """
    xp = array_namespace(order)
    shape = (*order.shape[:-1], 1)
    threshold = xp.full(shape, -(2**31), dtype=xp.int32)  # the order key of bits 0
    for bit in range(31, -1, -1):
        step = -(2**31) if bit == 31 else 1 << bit
        raised = threshold ^ xp.full(shape, step, dtype=xp.int32)
        fewer = xp.count_nonzero(order < raised, axis=-1, keepdims=True) < k
        threshold = xp.where(fewer, raised, threshold)
    below, equal = order < threshold, order == threshold
    missing = k - xp.count_nonzero(below, axis=-1, keepdims=True)
    rank = xp.cumulative_sum(xp.astype(equal, xp.int32), axis=-1)
    return below | (equal & (rank <= missing))


def _keep_smallest_numpy(bits: np.ndarray, k: int) -> np.ndarray:
    n = bits.shape[-1]
    words, mask = bits.reshape(-1, n), np.empty(bits.shape, dtype=np.bool_)
    masks, together = mask.reshape(-1, n), max(1, BLOCK // n)

    def keep(start: int) -> None:
        for row in range(start, min(start + together, len(words))):
            _keep_smallest_of(words[row], k, masks[row])

    side_by_side(keep, range(0, len(words), together))
    return mask


def _keep_smallest_of(words: np.ndarray, k: int, kept: np.ndarray) -> None:
    """Write the mask of one row, uint32 ``(n,)``, into ``kept``, bool ``(n,)``."""
    threshold = _kth_smallest(words, k)
    np.less_equal(words, threshold, out=kept)
    surplus = int(cast(Any, np.count_nonzero(kept))) - k
    if surplus:  # of the words equal to the threshold the last ones go
        kept[np.flatnonzero(words == threshold)[-surplus:]] = False


def _kth_smallest(words: np.ndarray, k: int) -> np.uint32:
    """A threshold that exactly k words do not exceed; if ties allow none, the k-th smallest word.

    It is found by interpolation. Words are drawn uniformly, so about six counts are enough. Every fourth step halves
    the range instead, so that no words need more than 128 counts.
    """
    # The threshold is in [first, last]. ``below`` words are less than ``first``, ``within`` words at most ``last``.
    first, last, below, within, step = 0, 2**32 - 1, 0, words.size, 0
    while within != k and first < last:
        share = (k - below - 0.5) / (within - below) if step % 4 < 3 else 0.5
        threshold = first + min(int((last - first) * share), last - first - 1)
        found = int(cast(Any, np.count_nonzero(words <= np.uint32(threshold))))
        if found >= k:
            last, within = threshold, found
        else:
            first, below = threshold + 1, found
        step += 1
    return np.uint32(last)

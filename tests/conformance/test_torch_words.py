"""Words and selection in PyTorch, both ways: in compiled loops, and in operations on int32 as on other devices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'weedout-core[torch]'")

from weedout_torch import host, masks, stream
from weedout_torch.integers import counting, from_host, to_host

SEEDS = st.integers(0, 2**64 - 1)


def keys_of(seed: int, batch: tuple[int, ...]) -> np.ndarray:
    return wc.split(wc.key(seed), int(np.prod(batch))).reshape(*batch, 2)


def bits_of_operations(keys: np.ndarray, n: int) -> np.ndarray:
    low = counting(n, from_host(keys).device)
    return to_host(stream.output_words(from_host(keys), low)[0] ^ stream.output_words(from_host(keys), low)[1])


def keep_by_operations(words: np.ndarray, k: int) -> np.ndarray:
    return masks.kept_by_counting(from_host(words.copy()), k).numpy()


@pytest.mark.parametrize("bits", [host.bits, bits_of_operations])
@given(seed=SEEDS, batch=st.sampled_from([(), (1,), (3,), (2, 2)]), n=st.integers(0, 5000))
def test_words(bits: Callable[..., np.ndarray], seed: int, batch: tuple[int, ...], n: int) -> None:
    keys = keys_of(seed, batch)
    np.testing.assert_array_equal(bits(keys, n), wc.bits(keys, n), strict=True)


@pytest.mark.parametrize(("rows", "n"), [(1, 2**16), (1, 3 * 2**16 + 5), (70_001, 3), (3, 2**15 + 1), (2, 2**17 - 1)])
def test_parts_that_threads_share_leave_no_seam(rows: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    share = host.side_by_side
    monkeypatch.setattr(host, "side_by_side", lambda work, of: parts.append(len(of)) or share(work, of))
    keys = keys_of(1, (rows,))
    words = wc.bits(keys, n)
    np.testing.assert_array_equal(host.bits(keys, n), words)
    counters = np.arange(n, dtype=np.uint32)[::-1]
    np.testing.assert_array_equal(host.bits_at(keys, counters), words[:, ::-1])
    np.testing.assert_array_equal(host.keep_smallest(words, 1), wc.keep_smallest(words, 1))
    assert parts[0] == parts[1] == -(-rows * n // 2**16)


@given(seed=SEEDS, counters=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9))
def test_words_at_some_counters(seed: int, counters: list[int]) -> None:
    keys, at = keys_of(seed, (2, 3)), np.array(counters, dtype=np.uint32)
    for some in (at, at + np.arange(3, dtype=np.uint32)[:, None], at + np.arange(6, dtype=np.uint32).reshape(2, 3, 1)):
        np.testing.assert_array_equal(host.bits_at(keys, some), wc.bits_at(keys, some), strict=True)


@given(seed=SEEDS, batch=st.sampled_from([(), (1,), (2, 3)]), data=st.integers(0, 2**32 - 1))
def test_keys_folded(seed: int, batch: tuple[int, ...], data: int) -> None:
    keys = keys_of(seed, batch)
    np.testing.assert_array_equal(host.fold_in(keys, data), wc.fold_in(keys, data), strict=True)
    low = from_host(np.full((*batch, 1), data, dtype=np.uint32))
    operations = np.concatenate([to_host(word) for word in stream.output_words(from_host(keys), low)], axis=-1)
    np.testing.assert_array_equal(operations, wc.fold_in(keys, data), strict=True)


@pytest.mark.parametrize("keep", [host.keep_smallest, keep_by_operations])
@given(
    seed=SEEDS, n=st.integers(1, 300), share=st.floats(0, 1), few=st.sampled_from([0, 8, 29, 32]), high=st.booleans()
)
def test_the_smallest_are_kept_and_the_first_of_equal_ones(
    keep: Callable[..., np.ndarray], seed: int, n: int, share: float, few: int, high: bool
) -> None:
    words = wc.bits(keys_of(seed, (3,)), n).astype(np.uint64)
    # Shifted, many are equal: all of them, with none of their bits left.
    shifted = (words >> few).astype(np.uint32)
    some = ~shifted if high else shifted
    k = 1 + round(share * (n - 1))
    np.testing.assert_array_equal(keep(some, k), wc.keep_smallest(some, k), strict=True)


def test_loops_are_compiled_where_no_folder_can_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise RuntimeError("no locator available")

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", refuse)
    assert host._loop(lambda word: word + 1)(1) == 2


def test_compilation_is_timed() -> None:
    seconds = wc.load_backend("torch", device="cpu").compile_seconds
    assert seconds is not None
    assert 0 < seconds() == seconds(), "the loops are compiled once, when the backend is connected"

"""Words and selection in PyTorch, both ways: in compiled loops, and in operations on int32 as on other devices."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from tests.conformance.connected import connected

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'weedout-core[torch]'")

import torch

from weedout_torch import host, masks, stream
from weedout_torch.integers import counting, from_host, to_host

ROOT = Path(__file__).resolve().parents[2]
SEEDS = st.integers(0, 2**64 - 1)


def keys_of(seed: int, batch: tuple[int, ...]) -> np.ndarray:
    return wc.random.split(wc.key(seed), int(np.prod(batch))).reshape(*batch, 2)


def bits_of_operations(keys: np.ndarray, n: int) -> np.ndarray:
    word0, word1 = stream.output_words(from_host(keys), counting(n, from_host(keys).device))
    return to_host(word0 ^ word1)


def keep_by_operations(words: np.ndarray, k: int) -> np.ndarray:
    return masks.kept_by_counting(from_host(words.copy()), k).numpy()


@pytest.mark.parametrize("bits", [host.bits, bits_of_operations])
@given(seed=SEEDS, batch=st.sampled_from([(), (1,), (3,), (2, 2)]), n=st.integers(0, 5000))
def test_words(bits: Callable[..., np.ndarray], seed: int, batch: tuple[int, ...], n: int) -> None:
    keys = keys_of(seed, batch)
    np.testing.assert_array_equal(bits(keys, n), wc.random.bits(keys, n), strict=True)


@pytest.mark.parametrize(("rows", "n"), [(1, 2**16), (1, 3 * 2**16 + 5), (70_001, 3), (3, 2**15 + 1), (2, 2**17 - 1)])
@pytest.mark.slow
def test_parts_that_threads_share_leave_no_seam(rows: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    share = host.side_by_side
    monkeypatch.setattr(host, "side_by_side", lambda work, of: parts.append(len(of)) or share(work, of))
    keys = keys_of(1, (rows,))
    words = wc.random.bits(keys, n)
    np.testing.assert_array_equal(host.bits(keys, n), words)
    counters = np.arange(n, dtype=np.uint32)[::-1]
    np.testing.assert_array_equal(host.bits_at(keys, counters), words[:, ::-1])
    for k in {1, -(-n // 2), n}:
        np.testing.assert_array_equal(host.keep_smallest(words, k), wc.backend.keep_smallest(words, k))
    assert parts[:2] == [-(-rows * n // 2**16)] * 2, "words"
    assert set(parts[2:]) == {-(-rows // -(-(2**16) // n))}, "rows, of as many words"


def test_arrays_in_pieces_or_read_only_are_compiled_for_no_more() -> None:
    keys = wc.random.split(wc.key(1), 8)
    compiled = {loop: len(loop.signatures) for loop in (host._bits, host._bits_at, host._fold_in, host._keep_smallest)}
    host.compile_loops()
    frozen, pieces = keys[2:5].copy(), keys[::2]
    frozen.setflags(write=False)
    for some in (frozen, pieces, keys[:0], np.broadcast_to(keys[0], (3, 2))):
        words = wc.random.bits(some, 7)
        words.setflags(write=False)
        np.testing.assert_array_equal(host.bits(some, 7), words)
        np.testing.assert_array_equal(host.bits_at(some, np.arange(7, dtype=np.uint32)), words)
        np.testing.assert_array_equal(host.fold_in(some, 3), wc.random.fold_in(some, 3))
        np.testing.assert_array_equal(host.keep_smallest(words, 2), wc.backend.keep_smallest(words, 2))
    assert all(len(loop.signatures) == max(1, before) == 1 for loop, before in compiled.items())


@pytest.mark.parametrize("name", ["torch", "torch_xla"])
@pytest.mark.parametrize(("n", "wanted"), [(-1, "an integer of at least 0"), (2**32 + 1, "at most 4,294,967,296")])
def test_a_number_of_words_out_of_range(name: str, n: int, wanted: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=rf"^n must be {wanted}; got {n}\.$"):
        connected(name).random_bits(wc.key(0), n)


@given(seed=SEEDS, counters=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9))
def test_words_at_some_counters(seed: int, counters: list[int]) -> None:
    keys, at = keys_of(seed, (2, 3)), np.array(counters, dtype=np.uint32)
    for some in (at, at + np.arange(3, dtype=np.uint32)[:, None], at + np.arange(6, dtype=np.uint32).reshape(2, 3, 1)):
        np.testing.assert_array_equal(host.bits_at(keys, some), wc.random.bits_at(keys, some), strict=True)


@given(seed=SEEDS, batch=st.sampled_from([(), (1,), (2, 3)]), data=st.integers(0, 2**32 - 1))
def test_keys_folded(seed: int, batch: tuple[int, ...], data: int) -> None:
    keys = keys_of(seed, batch)
    np.testing.assert_array_equal(host.fold_in(keys, data), wc.random.fold_in(keys, data), strict=True)
    low = from_host(np.full((*batch, 1), data, dtype=np.uint32))
    operations = np.concatenate([to_host(word) for word in stream.output_words(from_host(keys), low)], axis=-1)
    np.testing.assert_array_equal(operations, wc.random.fold_in(keys, data), strict=True)


@pytest.mark.parametrize("keep", [host.keep_smallest, keep_by_operations])
@given(
    seed=SEEDS, n=st.integers(1, 300), share=st.floats(0, 1), few=st.sampled_from([0, 8, 29, 32]), high=st.booleans()
)
def test_the_smallest_are_kept_and_the_first_of_equal_ones(
    keep: Callable[..., np.ndarray], seed: int, n: int, share: float, few: int, high: bool
) -> None:
    words = wc.random.bits(keys_of(seed, (3,)), n).astype(np.uint64)
    # Shifted, many are equal: all of them, with none of their bits left.
    shifted = (words >> few).astype(np.uint32)
    some = ~shifted if high else shifted
    k = 1 + round(share * (n - 1))
    np.testing.assert_array_equal(keep(some, k), wc.backend.keep_smallest(some, k), strict=True)


@given(seed=SEEDS, n=st.integers(1, 300), few=st.sampled_from([0, 8, 29, 32]), bound=st.integers(0, 2**32 - 1))
def test_below_a_bound_and_ranked_the_first_of_the_smallest_is_special(seed: int, n: int, few: int, bound: int) -> None:
    words = (wc.random.bits(keys_of(seed, (3,)), n).astype(np.uint64) >> few).astype(np.uint32)
    first = wc.backend.keep_smallest(words, 1)
    for limit in (bound, bound >> few, 0):
        np.testing.assert_array_equal(host.keep_below(words, limit), (words <= limit) | first, strict=True)
    np.testing.assert_array_equal(host.ranked(words), np.where(first, 0, np.maximum(words, 1)).astype(np.uint32))


CONNECTS = """
import weedout_core as wc
from weedout_torch import host
loops = host._bits, host._bits_at, host._fold_in, host._keep_smallest
before = [len(loop.signatures) for loop in loops]
backend = wc.load_backend("torch", device="cpu")
connected = [len(loop.signatures) for loop in loops]
seconds = backend.compile_seconds()
backend.masks_from_keys(wc.random.split(wc.key(0), 3), wc.mask_plan({"a": (50,)}, 0.5))
print(before, connected, [len(loop.signatures) for loop in loops], seconds > 0.1, seconds == backend.compile_seconds())
"""


@pytest.mark.slow
def test_loops_are_compiled_and_timed_when_the_backend_is_connected(tmp_path: Path) -> None:
    path = os.pathsep.join(str(ROOT / part) for part in (".", "backends"))
    environment = os.environ | {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CONNECTS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:1] == ["[0, 0, 0, 0] [1, 1, 1, 1] [1, 1, 1, 1] True True"], done.stderr
    assert not any(tmp_path.iterdir()), "nothing is kept that a later process would unpickle"


def test_weights_and_scores_are_float32_whatever_the_default() -> None:
    backend, net = wc.load_backend("torch", device="cpu"), wc.mlp(8, (16,), 4)
    x, y = np.random.default_rng(0).standard_normal((24, 8)).astype(np.float32), np.arange(24) % 4
    population = wc.ask_tell.ask(wc.ask_tell.init(wc.key(3), wc.mask_space(net), 0.5, wc.SearchConfig(population=7)))
    wanted = backend.score(net, backend.initialise(net, wc.key(1)), population, x, y)
    torch.set_default_dtype(torch.bfloat16)
    try:
        params = backend.initialise(net, wc.key(1))
        found = backend.score(net, params, population, x, y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {path: value.dtype for path, value in params.items()} == dict.fromkeys(params, torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, wanted)

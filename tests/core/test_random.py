"""The random stream is jax.random's, bit for bit, and a draw depends on its key and its index alone."""

import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from tests.conformance.connected import connected
from weedout_core._random.keys import path_code
from weedout_core._random.stream import BLOCK, below, permutation, threefry2x32

SEEDS = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
WORDS = st.integers(0, 2**32 - 1)
MLP = wc.mlp(3, (4,), 2)


def jax_key(seed: int) -> jax.Array:
    return jax.random.key(seed, impl="threefry2x32")


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_answers(
    counter: tuple[int, int], key: tuple[int, int], words: tuple[int, int]
) -> None:
    k0, k1, c0, c1 = (np.asarray([word], dtype=np.uint32) for word in (*key, *counter))
    found = tuple(int(word[0]) for word in threefry2x32(k0, k1, c0, c1))
    assert found == words, "the block function differs from the authors' known-answer test (20 rounds)"


# JAX compiles anew for every length, so only a few are drawn; what other lengths give is
# test_fewer_bits_are_the_first_of_more and test_split_gives_the_keys_of_fold_in.
@given(SEEDS, st.sampled_from([0, 1, 2, 255, 1024]))
def test_bits_are_those_of_jax(seed: int, n: int) -> None:
    with jax.threefry_partitionable(True):
        expected = np.asarray(jax.random.bits(jax_key(seed), (n,), "uint32"))
    found = wc.random.bits(wc.key(seed), n)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, expected)


@given(SEEDS, WORDS)
def test_fold_in_is_that_of_jax(seed: int, data: int) -> None:
    expected = jax.random.key_data(jax.random.fold_in(jax_key(seed), data))
    np.testing.assert_array_equal(wc.random.fold_in(wc.key(seed), data), np.asarray(expected))


@given(SEEDS, st.sampled_from([1, 2, 50]))
def test_split_is_that_of_jax(seed: int, n: int) -> None:
    with jax.threefry_partitionable(True):
        expected = jax.random.key_data(jax.random.split(jax_key(seed), n))
    np.testing.assert_array_equal(wc.random.split(wc.key(seed), n), np.asarray(expected))


@given(SEEDS, st.integers(0, 40))
def test_split_gives_the_keys_of_fold_in(seed: int, n: int) -> None:
    key = wc.key(seed)
    one_by_one = np.reshape([wc.random.fold_in(key, index) for index in range(n)], (n, 2))
    np.testing.assert_array_equal(wc.random.split(key, n), one_by_one)


@given(SEEDS, st.integers(0, 100), st.integers(0, 100))
def test_fewer_bits_are_the_first_of_more(seed: int, k: int, extra: int) -> None:
    key = wc.key(seed)
    np.testing.assert_array_equal(
        wc.random.bits(key, k + extra)[:k], wc.random.bits(key, k), "how many are drawn must not change what is drawn"
    )


@given(SEEDS, st.lists(st.integers(0, 99), max_size=20))
def test_a_word_can_be_drawn_alone(seed: int, counters: list[int]) -> None:
    found = wc.random.bits_at(wc.key(seed), np.asarray(counters, dtype=np.uint32))
    assert (found.dtype, found.shape) == (np.uint32, (len(counters),))
    np.testing.assert_array_equal(
        found, wc.random.bits(wc.key(seed), 100)[counters], "in any order, some of them again"
    )


def test_the_last_words_of_all_can_be_drawn() -> None:
    with jax.threefry_partitionable(True):
        expected = jax.random.bits(jax_key(4), (2**16,), "uint32")[-3:]
    found = wc.random.bits_at(wc.key(4), np.arange(2**16 - 3, 2**16, dtype=np.uint32))
    np.testing.assert_array_equal(found, np.asarray(expected))
    assert len(set(wc.random.bits_at(wc.key(4), np.asarray([0, 2**31, 2**32 - 1], dtype=np.uint32)).tolist())) == 3


def test_keys_side_by_side_draw_the_same_counters_or_each_its_own() -> None:
    keys, each = wc.random.split(wc.key(1), 3), np.asarray([[5, 0], [7, 7], [1, 9]], dtype=np.uint32)
    words = wc.random.bits(keys, 10)
    np.testing.assert_array_equal(wc.random.bits_at(keys, each), np.take_along_axis(words, each.astype(int), axis=-1))
    np.testing.assert_array_equal(wc.random.bits_at(keys, each[0]), words[:, [5, 0]])


@given(st.lists(SEEDS, min_size=1, max_size=6), st.integers(0, 40), WORDS)
def test_a_batch_of_keys_draws_what_each_key_draws(seeds: list[int], n: int, data: int) -> None:
    keys = np.stack([wc.key(seed) for seed in seeds])
    np.testing.assert_array_equal(wc.random.bits(keys, n), np.stack([wc.random.bits(key, n) for key in keys]))
    np.testing.assert_array_equal(
        wc.random.fold_in(keys, data), np.stack([wc.random.fold_in(key, data) for key in keys])
    )
    numbers = np.arange(len(seeds), dtype=np.uint32)
    pairs = [wc.random.fold_in(key, int(number)) for key, number in zip(keys, numbers, strict=True)]
    np.testing.assert_array_equal(
        wc.random.fold_in(keys, numbers), np.stack(pairs), "keys and numbers go together in pairs"
    )


def test_keys_may_have_any_number_of_axes() -> None:
    keys = np.stack([wc.random.split(wc.key(seed), 3) for seed in range(2)])
    assert wc.random.bits(keys, 5).shape == (2, 3, 5)
    np.testing.assert_array_equal(wc.random.bits(keys, 5)[1, 2], wc.random.bits(wc.random.fold_in(wc.key(1), 2), 5))


@pytest.mark.parametrize(("n", "shape"), [(0, (0,)), (1, (1,))])
def test_bits_of_few(n: int, shape: tuple[int, ...]) -> None:
    assert wc.random.bits(wc.key(3), n).shape == shape


@pytest.mark.parametrize(("keys", "n"), [(1, 2 * BLOCK + 3), (3, BLOCK), (5, BLOCK // 2 + 1), (BLOCK + 1, 2)])
def test_words_do_not_depend_on_the_block_in_which_they_are_drawn(keys: int, n: int) -> None:
    some = wc.random.split(wc.key(3), keys)
    before = some.copy()
    drawn = wc.random.bits(some, n)
    assert drawn.shape == (keys, n)
    for row in {0, keys // 2, keys - 1}:
        np.testing.assert_array_equal(drawn[row], jax.random.bits(jax.random.wrap_key_data(some[row]), (n,), "uint32"))
    np.testing.assert_array_equal(some, before, err_msg="the keys handed in")


def test_the_core_traces_under_jit() -> None:
    key = wc.key(7)
    traced = jax.jit(lambda k: wc.random.fold_in(k, 3) + wc.random.bits(k, 2))(key)
    np.testing.assert_array_equal(np.asarray(traced), wc.random.fold_in(key, 3) + wc.random.bits(key, 2))


def test_drawing_leaves_the_key_alone() -> None:
    key = wc.key(5)
    key.flags.writeable = False
    wc.random.bits(key, 10)
    wc.random.fold_in(key, 1)
    wc.random.split(key, 2)
    permutation(key, 9)
    np.testing.assert_array_equal(key, [0, 5])


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (0, (0, 0)),
        (5, (0, 5)),
        (2**32 - 1, (0, 2**32 - 1)),
        (2**32, (1, 0)),
        (2**64 - 1, (2**32 - 1, 2**32 - 1)),
    ],
)
def test_a_key_is_the_two_words_of_its_seed(seed: int, words: tuple[int, int]) -> None:
    key = wc.key(seed)
    assert (key.dtype, tuple(key.tolist())) == (np.uint32, words)


@pytest.mark.parametrize(
    ("seed", "wanted"),
    [
        *((wrong, "an integer of at least 0") for wrong in (-1, True, 1.0, None, "1")),
        (2**64, "at most 18,446,744,073,709,551,615"),
    ],
)
def test_a_seed_out_of_range_is_an_error(seed: Any, wanted: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=rf"^seed must be {wanted}; got {seed!r}\.$"):
        wc.key(seed)


@pytest.mark.parametrize(("n", "wanted"), [(-1, "an integer of at least 0"), (2**32 + 1, "at most 4,294,967,296")])
def test_a_number_of_words_out_of_range_is_an_error(n: int, wanted: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=rf"^n must be {wanted}; got {n}\.$"):
        wc.random.bits(wc.key(0), n)


def test_the_streams_keep_their_numbers() -> None:
    assert {stream.name: int(stream) for stream in wc.random.Stream} == {
        "WEIGHTS": 0,
        "MASKS": 1,
        "VALIDATION_BATCHES": 2,
        "DATA_ORDER": 3,
        "AUGMENTATION": 4,
        "CONTROL": 5,
        "SELECTION": 6,
        "SCORES": 7,
        "ARMS": 8,
        "SANITY": 9,
        "NOISE": 10,
        "LIMITED_TRAINING": 11,
        "THINNING": 12,
    }, "another number is another stream: every result of a seed would change"


@given(st.text(max_size=20))
def test_a_path_stands_in_the_stream_as_its_crc(path: str) -> None:
    assert path_code(path) == zlib.crc32(path.encode("utf-8"))


@given(SEEDS, st.integers(1, 200), st.data())
def test_a_permutation_orders_by_bits(seed: int, n: int, data: st.DataObject) -> None:
    key = wc.key(seed)
    order = permutation(key, n)
    assert sorted(order.tolist()) == list(range(n)), "every index once"
    words = wc.random.bits(key, n)[order].astype(np.int64)
    assert (np.diff(words) >= 0).all(), "in the order of the bits"
    k = data.draw(st.integers(1, n), label="k")
    kept = np.flatnonzero(wc.backend.keep_smallest(wc.random.bits(key, n), k))
    np.testing.assert_array_equal(np.sort(order[:k]), kept, "its first k are the k that keep_smallest keeps")


@given(SEEDS, st.integers(1, 2**32))
def test_below_is_in_range_and_monotone_in_the_word(seed: int, bound: int) -> None:
    drawn = below(wc.key(seed), bound)
    assert 0 <= drawn < bound
    word = int(wc.random.bits(wc.key(seed), 1)[0])
    assert drawn == word * bound // 2**32, "the word's place in [0, 2^32) is the value's place in [0, bound)"


def test_bits_are_uniform() -> None:
    # 64 keys of 1,024 words: each of the 32 bits is set Binomial(65,536, 1/2) times, standard deviation 128. Six
    # deviations in one of 32 have a chance of 6e-8; the seed is fixed, so this cannot fail now and then.
    words = wc.random.bits(wc.random.split(wc.key(2024), 64), 1024)
    for bit in range(32):
        ones = int(np.count_nonzero((words >> np.uint32(bit)) & np.uint32(1)))
        assert abs(ones - 2**15) < 6 * 128, f"bit {bit} is set {ones} times of {2**16}"


def test_fold_in_takes_the_integers_of_numpy() -> None:
    np.testing.assert_array_equal(wc.random.fold_in(wc.key(1), np.int64(3)), wc.random.fold_in(wc.key(1), 3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (-1, "an integer of at least 0 or an array of uint32; got -1."),
        (2**32, "at most 4,294,967,295; got 4294967296."),
        (np.arange(3), "an integer of at least 0 or an array of uint32; got ndarray of int64 (3,)."),
        (np.ones(2), "an integer of at least 0 or an array of uint32; got ndarray of float64 (2,)."),
    ],
)
def test_fold_in_of_anything_else_is_an_error(data: object, message: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=rf"^data must be {re.escape(message)}$"):
        wc.random.fold_in(wc.key(1), data)


@pytest.mark.parametrize("held", [lambda key: key.tolist(), lambda key: np.array(json.loads(json.dumps(key.tolist())))])
@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
def test_a_key_that_went_through_json_draws_what_it_drew_before(name: str, held: Callable[[np.ndarray], Any]) -> None:
    backend, space, net = connected(name), {"site": (50,)}, MLP
    for seed in (0, 7, 2**64 - 1):
        key = wc.key(seed)
        wanted = backend.to_numpy(backend.sample_masks(key, space, sparsity=0.5, count=3)["site"])
        found = backend.to_numpy(backend.sample_masks(held(key), space, sparsity=0.5, count=3)["site"])
        np.testing.assert_array_equal(found, wanted)
        drawn, again = (backend.initialise(net, one)["logits/kernel"] for one in (key, held(key)))
        np.testing.assert_array_equal(backend.to_numpy(again), backend.to_numpy(drawn))


@pytest.mark.parametrize(
    "wrong", [0, [1, 2, 3], [-1, 2], [0, 2**32], [0.0, 1.0], "key", None, np.array([[0, 1]], np.uint32), [True, False]]
)
def test_what_is_no_key_is_refused_at_every_door(wrong: Any) -> None:
    backend, space = wc.load_backend("numpy"), {"site": (5,)}
    for door in (
        lambda: backend.sample_masks(wrong, space, sparsity=0.5, count=2),
        lambda: backend.initialise(MLP, wrong),
        lambda: wc.ask_tell.init(wrong, space, 0.5),
    ):
        with pytest.raises(
            wc.errors.ConfigError, match=r"key must be uint32 of shape \(2,\), from wc\.key\(seed\); got"
        ):
            door()


def test_a_typed_key_of_jax_is_its_words_at_every_door() -> None:
    backend, space = wc.load_backend("numpy"), {"site": (50,)}
    typed: Any = jax_key(7)
    words = wc.key(7)
    np.testing.assert_array_equal(wc.ask_tell.init(typed, space, 0.5).key, words)
    for door in (
        lambda key: backend.sample_masks(key, space, sparsity=0.5, count=3)["site"],
        lambda key: backend.initialise(MLP, key)["logits/kernel"],
    ):
        np.testing.assert_array_equal(door(typed), door(words))


def test_a_typed_key_of_another_stream_is_refused_in_a_sentence() -> None:
    other: Any = jax.random.key(0, impl="rbg")
    with pytest.raises(wc.errors.ConfigError, match=r"^key must be uint32 of shape \(2,\), from wc\.key\(seed\); got"):
        wc.ask_tell.init(other, {"site": (5,)}, 0.5)


@pytest.mark.parametrize("framework", ["numpy", "jax.numpy"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint64", "float32"])
def test_words_of_another_dtype_draw_nothing(framework: str, dtype: str) -> None:
    xp = pytest.importorskip(framework)
    if framework == "jax.numpy" and dtype.endswith("64"):
        dtype = dtype.replace("64", "16")  # JAX has none of 64 bits unless it is told to
    keys = xp.asarray([[1, 2]], dtype=dtype)
    for draw in (
        lambda: wc.random.bits(keys, 3),
        lambda: wc.random.bits_at(keys, xp.arange(3, dtype=xp.uint32)),
        lambda: wc.random.fold_in(keys, 1),
        lambda: wc.random.split(keys[0], 3),
    ):
        with pytest.raises(wc.errors.ConfigError, match=rf"^key must be an array of uint32 .* got \w+ of {dtype} \("):
            draw()
